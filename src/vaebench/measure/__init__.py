"""Measuring one trained model: metrics, feature networks and pictures."""
