"""Plain squared error, for autoencoders that make no claim about p(x|z)."""

from __future__ import annotations

import math

from pydantic import PositiveFloat
from torch import Tensor

from vaebench.model.likelihoods.base import Activation, Likelihood

__all__ = ["L2"]


class L2(Likelihood):
    """``scale`` · Σ r², mean over the batch.

    Args:
        image_shape: (C, H, W).
        activation: function that the decoder's mean goes through.
        scale: 1 for the sum over pixels; 1/d (d pixels times channels) for a loss that is the mean over
            them; 0.05 for the WAE's and AAE's of Saha et al.
    """

    formula = "scale * E[sum r^2]"

    def __init__(
        self, image_shape: tuple[int, int, int], activation: Activation, *, scale: PositiveFloat = 1.0
    ):
        super().__init__(image_shape, activation)
        self.scale = scale
        self.size = math.prod(image_shape)

    def loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """scale · Σ r², a scalar."""
        return self.scale * self.residual(raw, x).square().flatten(1).sum(1).mean()

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """That of the Gaussian with σ² = 1/(2·scale), (B,): this loss is its negative up to a constant."""
        square = self.residual(raw, x).square().flatten(1).sum(1)
        return -self.scale * square - self.size / 2 * math.log(math.pi / self.scale)
