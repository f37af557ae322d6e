"""One Gaussian with full covariance, fitted to the posterior means by maximum likelihood.

    z = m + Rᵀε,   ε ~ N(0, I),   RᵀR = (1/N) Σ (z_i − m)(z_i − m)ᵀ

R, the Cholesky factor up to signs, comes from a QR decomposition of the centred latents: the covariance is
never formed, and one that is singular because latent dimensions have collapsed needs no jitter.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vaebench.densities.latents import posterior_means
from vaebench.densities.store import read_arrays, write_arrays, write_record

__all__ = ["GaussianDensity"]


class GaussianDensity:
    """N(m, RᵀR) with m (d,) and R (k, d), k = min(N, d)."""

    def fit(self, latents: dict[str, np.ndarray], seed: int) -> None:
        """Fit to ``train_mean`` (N, d); ``seed`` is not used.

        Raises:
            UserError: fewer than two latents, or values that are not finite.
        """
        means = posterior_means(latents).astype(np.float64)
        self._mean = means.mean(axis=0)
        deviations = (means - self._mean) / np.sqrt(len(means))
        self._factor: np.ndarray = np.asarray(np.linalg.qr(deviations, mode="r"))

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, d) float32."""
        noise = rng.standard_normal((n, len(self._factor)))
        return (self._mean + noise @ self._factor).astype(np.float32)

    def save(self, directory: Path) -> None:
        """Write ``density.json`` and ``arrays.npz``."""
        write_arrays(directory, mean=self._mean, factor=self._factor)
        write_record(directory, "gaussian", {}, {"latent_dim": len(self._mean)})

    @classmethod
    def load(cls, directory: Path, options: dict, fitted: dict) -> GaussianDensity:
        """Read back what :meth:`save` wrote."""
        gaussian = cls()
        arrays = read_arrays(directory, mean=1, factor=2)
        gaussian._mean, gaussian._factor = arrays["mean"], arrays["factor"]
        if gaussian._factor.shape[1:] != gaussian._mean.shape:
            raise ValueError("the shapes of mean and factor do not agree")
        return gaussian
