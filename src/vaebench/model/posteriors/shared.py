"""One variance for all images and dimensions."""

from __future__ import annotations

import math

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn

from vaebench.base.described import Described, describes
from vaebench.base.precision import full
from vaebench.model.posteriors.base import LOG_VAR_RANGE, Latent, Posterior

__all__ = ["Shared"]


@describes({"sigma_z2": Described("σz²")})
class Shared(Posterior):
    """N(μ(x), σz² I) with one σz² for all images and dimensions (Takida et al., Section 4 and Appendix E).

    Args:
        latent_dim: d.
        sigma2: σz²; None trains it, from 1.
    """

    formula = "z ~ N(mu(x), sigma_z^2 I)"

    def __init__(self, latent_dim: int, *, sigma2: PositiveFloat | None = None):
        super().__init__(latent_dim)
        log_sigma2 = torch.tensor(0.0 if sigma2 is None else math.log(sigma2))
        if sigma2 is None:
            self.log_sigma2 = nn.Parameter(log_sigma2)
        else:
            self.register_buffer("log_sigma2", log_sigma2)

    def forward(self, h: Tensor) -> Latent:
        """(B, d) features to a draw."""
        mean = full(h)
        log_var = self.log_sigma2.clamp(*LOG_VAR_RANGE).to(mean.dtype)
        return Latent.draw(mean, log_var.expand_as(mean))

    def monitor(self) -> dict[str, float]:
        """``sigma_z2``, where it is trained."""
        trained = isinstance(self.log_sigma2, nn.Parameter)
        return {"sigma_z2": float(self.log_sigma2.detach().exp())} if trained else {}
