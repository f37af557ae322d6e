"""The networks that tell two sets of latents apart."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from vaebench.base.precision import full, no_autocast
from vaebench.model.regularizers.base import Regularizer

__all__ = ["Discriminator", "Hidden", "frozen", "set_adversary"]

Hidden = Annotated[list[PositiveInt], Field(min_length=1)]
"""Option of a regularizer: the units of the discriminator's hidden layers."""


class Discriminator(nn.Module):
    """(B, d) latents to (B,) logits through fully connected layers with LeakyReLU(0.2)."""

    def __init__(self, latent_dim: int, hidden: Sequence[int]):
        super().__init__()
        layers: list[nn.Module] = []
        for size, following in itertools.pairwise([latent_dim, *hidden]):
            layers += [nn.Linear(size, following), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear([latent_dim, *hidden][-1], 1))

    def forward(self, z: Tensor) -> Tensor:
        """Logits in full precision."""
        with no_autocast(z):
            return self.layers(full(z)).squeeze(1)


def set_adversary(regularizer: Regularizer, hidden: Sequence[int], learning_rate: float) -> None:
    """Give ``regularizer`` a new discriminator of its latents as its adversary."""
    regularizer.adversary = Discriminator(regularizer.context.latent_dim, hidden)
    regularizer.adversary_learning_rate = learning_rate


def frozen(network: nn.Module, z: Tensor) -> Tensor:
    """``network(z)`` with a gradient for ``z`` alone."""
    return torch.func.functional_call(network, {k: p.detach() for k, p in network.named_parameters()}, (z,))
