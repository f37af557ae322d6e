"""The colours of methods, in figures and on the page."""

from __future__ import annotations

__all__ = ["PALETTE", "colour"]

PALETTE = [
    *("#3b6fb6", "#d1603d", "#3f8f5f", "#8a5fb0", "#c2912e", "#2f9aa0", "#b5527f", "#6b7a34"),
    *("#5b6b8c", "#a33c3c", "#7aa0d8", "#e2a183", "#8cc29f", "#bfa3d6", "#7d7d7d"),
]
"""One colour per method, in the study's order; the page uses the same."""


def colour(index: int) -> str:
    """The colour of the ``index``-th method."""
    return PALETTE[index % len(PALETTE)]
