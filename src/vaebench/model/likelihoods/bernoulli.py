"""Every pixel and channel a coin: the decoder's raw output are logits."""

from __future__ import annotations

import torch
from pydantic import PositiveFloat
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from vaebench.base.precision import full
from vaebench.model.likelihoods.base import Activation, Likelihood

__all__ = ["Bernoulli"]


class Bernoulli(Likelihood):
    """Π p^x (1 − p)^(1 − x) with p = sigmoid(raw), whatever the network's activation.

    A probability for x in {0, 1}. For grey values between, the usual cross-entropy, which is not normalized:
    do not compare its ``log_prob`` with a density's.

    Args:
        image_shape: (C, H, W).
        activation: unused.
        scale: of the loss, as :class:`~vaebench.model.likelihoods.l2.L2` has it: 0.05 for the WAE and AAE of
            Saha et al., 1/(H·W) for a loss that is the mean over pixels.
    """

    formula = "scale * E[-sum(x ln m + (1 - x) ln(1 - m))]"
    value_range = (0.0, 1.0)
    discrete = True
    normalized = False

    def __init__(
        self, image_shape: tuple[int, int, int], activation: Activation, *, scale: PositiveFloat = 1.0
    ):
        super().__init__(image_shape, activation)
        self.activate = torch.sigmoid
        self.scale = scale

    def loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """``scale`` times the cross-entropy summed over pixels, mean over the batch, in nats."""
        return -self.scale * self.log_prob(raw, x).mean()

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """Minus the cross-entropy, (B,)."""
        entropy = binary_cross_entropy_with_logits(full(raw), full(x).to(full(raw).dtype), reduction="none")
        return -entropy.flatten(1).sum(1)
