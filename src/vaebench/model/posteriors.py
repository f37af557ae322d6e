"""q(z|x): what an encoder's features mean, and how a latent is drawn from them.

A posterior asks the encoder for ``features`` numbers an image and turns them into a :class:`Latent`.

    >>> posterior = POSTERIORS.build({"name": "shared", "sigma2": 0.01}, 8)
    >>> posterior.features, posterior(torch.zeros(3, 8)).z.shape
    (8, torch.Size([3, 8]))
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from pydantic import PositiveFloat
from torch import Tensor, nn

from vaebench.base.precision import full
from vaebench.base.registry import Registry

__all__ = ["POSTERIORS", "Deterministic", "Gaussian", "Latent", "Shared"]

LOG_VAR_RANGE = (-30.0, 20.0)
"""Bounds of ln σ²: far outside what training visits, and inside what float32 can exponentiate."""


@dataclass
class Latent:
    """A batch of posteriors and one draw from each.

    Attributes:
        mean: (B, d).
        log_var: (B, d), ln σ² per dimension; None where the encoding is deterministic.
        z: (B, d), the draw; the mean itself where the encoding is deterministic.
    """

    mean: Tensor
    log_var: Tensor | None
    z: Tensor

    def detach(self) -> Latent:
        """The same values without their history."""
        log_var = None if self.log_var is None else self.log_var.detach()
        return Latent(self.mean.detach(), log_var, self.z.detach())


def _draw(mean: Tensor, log_var: Tensor) -> Latent:
    return Latent(mean, log_var, mean + torch.exp(0.5 * log_var) * torch.randn_like(mean))


class Gaussian(nn.Module):
    """N(μ(x), diag σ²(x)): the encoder gives μ and ln σ².

    ln σ² is cut to [−30, 20], so that σ² and the KL are finite whatever the encoder puts out.
    """

    stochastic = True

    def __init__(self, latent_dim: int):
        super().__init__()
        self.features = 2 * latent_dim

    def forward(self, h: Tensor) -> Latent:
        """(B, 2d) features to a draw."""
        mean, log_var = full(h).chunk(2, dim=1)
        return _draw(mean, log_var.clamp(*LOG_VAR_RANGE))


class Shared(nn.Module):
    """N(μ(x), σz² I) with one σz² for all images and dimensions (Takida et al., Section 4 and Appendix E).

    Args:
        latent_dim: d.
        sigma2: σz²; None trains it, from 1.
    """

    stochastic = True

    def __init__(self, latent_dim: int, *, sigma2: PositiveFloat | None = None):
        super().__init__()
        self.features = latent_dim
        log_sigma2 = torch.tensor(0.0 if sigma2 is None else math.log(sigma2))
        if sigma2 is None:
            self.log_sigma2 = nn.Parameter(log_sigma2)
        else:
            self.register_buffer("log_sigma2", log_sigma2)

    def forward(self, h: Tensor) -> Latent:
        """(B, d) features to a draw."""
        mean = full(h)
        log_var = self.log_sigma2.clamp(*LOG_VAR_RANGE).to(mean.dtype)
        return _draw(mean, log_var.expand_as(mean))


class Deterministic(nn.Module):
    """z = μ(x)."""

    stochastic = False

    def __init__(self, latent_dim: int):
        super().__init__()
        self.features = latent_dim

    def forward(self, h: Tensor) -> Latent:
        """(B, d) features, taken as they are."""
        mean = full(h)
        return Latent(mean, None, mean)


POSTERIORS = Registry(
    "posterior",
    {
        "gaussian": Gaussian,
        "shared": Shared,
        "deterministic": Deterministic,
    },
)
