"""An encoding without noise."""

from __future__ import annotations

from torch import Tensor

from vaebench.base.precision import full
from vaebench.model.posteriors.base import Latent, Posterior

__all__ = ["Deterministic"]


class Deterministic(Posterior):
    """z = μ(x)."""

    formula = "z = mu(x)"
    stochastic = False

    def __init__(self, latent_dim: int):
        super().__init__(latent_dim)

    def forward(self, h: Tensor) -> Latent:
        """(B, d) features, taken as they are."""
        mean = full(h)
        return Latent(mean, None, mean)
