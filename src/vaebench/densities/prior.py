"""The model's own prior, N(0, s²I): s = 1, or √(1 − h²) for AVAE, whose kernel has the bandwidth h.

The second is where AVAE's latents converge (Saha et al., III-B3). RAE and the plain autoencoder have no
prior: their ``latents["prior_scale"]`` is nan.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vaebench.densities.base import NoDensity
from vaebench.densities.latents import posterior_means
from vaebench.densities.store import write_record

__all__ = ["Prior"]


class Prior:
    """N(0, s²I) in as many dimensions as the latents have."""

    def fit(self, latents: dict[str, np.ndarray], seed: int) -> None:
        """Take s from ``prior_scale`` and d from ``train_mean`` (N, d); ``seed`` is not used.

        Raises:
            NoDensity: where ``prior_scale`` is nan.
        """
        scale = float(latents["prior_scale"])
        if np.isnan(scale):
            raise NoDensity(
                "The method does not match its latents to a prior; sample from a fitted density instead."
            )
        self._scale = scale
        self._latent_dim = posterior_means(latents).shape[1]

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, d) float32."""
        return (self._scale * rng.standard_normal((n, self._latent_dim))).astype(np.float32)

    def save(self, directory: Path) -> None:
        """Write ``density.json``; there are no arrays."""
        write_record(directory, "prior", {}, {"latent_dim": self._latent_dim, "scale": self._scale})

    @classmethod
    def load(cls, directory: Path, options: dict, fitted: dict) -> Prior:
        """Read back what :meth:`save` wrote."""
        prior = cls()
        prior._scale, prior._latent_dim = float(fitted["scale"]), int(fitted["latent_dim"])
        return prior
