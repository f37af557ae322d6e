"""The usual posterior: a mean and a variance per image and dimension."""

from __future__ import annotations

from torch import Tensor

from vaebench.base.precision import full
from vaebench.model.posteriors.base import LOG_VAR_RANGE, Latent, Posterior

__all__ = ["GaussianPosterior"]


class GaussianPosterior(Posterior):
    """N(μ(x), diag σ²(x)): the encoder gives μ and ln σ².

    ln σ² is cut to [−30, 20], so that σ² and the KL are finite whatever the encoder puts out.
    """

    formula = "z ~ N(mu(x), diag sigma^2(x))"

    def __init__(self, latent_dim: int):
        super().__init__(2 * latent_dim)

    def forward(self, h: Tensor) -> Latent:
        """(B, 2d) features to a draw."""
        mean, log_var = full(h).chunk(2, dim=1)
        return Latent.draw(mean, log_var.clamp(*LOG_VAR_RANGE))
