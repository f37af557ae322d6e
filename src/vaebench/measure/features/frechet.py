r"""The Fréchet distance between two Gaussians, as pytorch-fid defines it, computed symmetrically.

    d² = ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁Σ₂)^½)

(Takida et al., Eq. 12). Σ₁Σ₂ is similar to the symmetric Σ₁^½ Σ₂ Σ₁^½, whose eigenvalues are real and not
negative, so the trace of the root needs no complex matrix square root and no ε on the diagonal, singular
covariances included.

>>> import numpy as np
>>> float(frechet_distance(np.zeros(2), np.eye(2), np.ones(2), 4 * np.eye(2)))
4.0
"""

from __future__ import annotations

import numpy as np

__all__ = ["frechet_distance", "moments", "symmetric_root"]


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (D,) and unbiased covariance (D, D) of ``features`` (N, D), in float64; of one row it is NaN."""
    features = features.astype(np.float64)
    if len(features) < 2:
        return features.mean(axis=0), np.full(2 * features.shape[1:], np.nan)
    return features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False))


def symmetric_root(sigma: np.ndarray) -> np.ndarray:
    """The symmetric square root of a covariance (D, D); eigenvalues that round below 0 are 0."""
    values, vectors = np.linalg.eigh(sigma)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def frechet_distance(
    mu1: np.ndarray, sigma1: np.ndarray, mu2: np.ndarray, sigma2: np.ndarray, root1: np.ndarray | None = None
) -> float:
    """The squared Fréchet distance, in the features' units squared.

    Args:
        mu1, mu2: means (D,).
        sigma1, sigma2: covariances (D, D).
        root1: ``symmetric_root(sigma1)`` where it is known.
    """
    root = symmetric_root(sigma1) if root1 is None else root1
    product = root @ sigma2 @ root
    values = np.linalg.eigvalsh((product + product.T) / 2)
    trace = np.trace(sigma1) + np.trace(sigma2) - 2 * np.sqrt(np.maximum(values, 0)).sum()
    return max(0.0, float(np.square(mu1 - mu2).sum() + trace))
