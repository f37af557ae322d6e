"""Every pixel and channel a coin: the decoder's raw output are logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from vaebench.base.precision import full
from vaebench.model.likelihoods.base import Activation, Likelihood

__all__ = ["Bernoulli"]


class Bernoulli(Likelihood):
    """Π p^x (1 − p)^(1 − x) with p = sigmoid(raw), whatever the network's activation.

    A probability for x in {0, 1}. For grey values between, the usual cross-entropy, which is not normalized:
    do not compare its ``log_prob`` with a density's.
    """

    value_range = (0.0, 1.0)
    discrete = True

    def __init__(self, image_shape: tuple[int, int, int], activation: Activation):
        super().__init__(image_shape, activation)
        self.activate = torch.sigmoid

    def loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """The cross-entropy summed over pixels, mean over the batch, in nats."""
        return -self.log_prob(raw, x).mean()

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """Minus the cross-entropy, (B,)."""
        entropy = binary_cross_entropy_with_logits(full(raw), full(x).to(full(raw).dtype), reduction="none")
        return -entropy.flatten(1).sum(1)
