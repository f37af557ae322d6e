"""Figures of a study: curves and comparisons, as PNG and PDF."""
