"""Spherical interpolation of latents."""

from __future__ import annotations

import numpy as np

__all__ = ["interpolate"]


def interpolate(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Points between ``a`` and ``b`` along the arc, linear where the angle is 0 (or has no plane).

    sin((1 − t)Ω)/sin Ω · a + sin(tΩ)/sin Ω · b, Ω the angle between a and b (Takida et al., 6.2, after
    Ghosh et al.).

    Args:
        a, b: (n, d).
        t: (n,), 0 at ``a`` and 1 at ``b``.

    Returns:
        (n, d) float32.

    >>> interpolate(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([0.5])).round(3).tolist()
    [[0.7070000171661377, 0.7070000171661377]]
    """
    a, b, t = a.astype(np.float64), b.astype(np.float64), t[:, None]
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = (a * b).sum(axis=1) / np.where(norms > 0, norms, np.inf)
    angle = np.arccos(np.clip(cosine, -1, 1))[:, None]
    sine = np.sin(angle)
    flat = (sine < 1e-6) | (norms == 0)[:, None]
    safe = np.where(flat, 1.0, sine)
    first = np.where(flat, 1 - t, np.sin((1 - t) * angle) / safe)
    second = np.where(flat, t, np.sin(t * angle) / safe)
    return (first * a + second * b).astype(np.float32)
