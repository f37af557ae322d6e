"""Interface of a posterior, and the latents that it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

__all__ = ["LOG_VAR_RANGE", "Latent", "Posterior"]

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

    @classmethod
    def draw(cls, mean: Tensor, log_var: Tensor) -> Latent:
        """z = μ + σ ε with ε ~ N(0, I) from torch's default generator."""
        return cls(mean, log_var, mean + torch.exp(0.5 * log_var) * torch.randn_like(mean))

    def detach(self) -> Latent:
        """The same values without their history."""
        log_var = None if self.log_var is None else self.log_var.detach()
        return Latent(self.mean.detach(), log_var, self.z.detach())


class Posterior(nn.Module):
    """q(z|x) as a function of the encoder's features.

    Attributes:
        features: numbers per image that the encoder must give.
        stochastic: True if z is drawn; else ``log_var`` is None.
        formula: origin of z in one line, as :class:`~vaebench.model.likelihoods.base.Likelihood` has it.
        citation: the publication.
    """

    formula: ClassVar[str | dict] = ""
    citation: ClassVar[str | dict] = ""
    stochastic: ClassVar[bool] = True

    def __init__(self, features: int):
        super().__init__()
        self.features = features

    def forward(self, h: Tensor) -> Latent:
        """(B, features) to a draw."""
        raise NotImplementedError

    def monitor(self) -> dict[str, float]:
        """Numbers for the history's row of this epoch; waits for the device."""
        return {}
