"""The networks that tell two sets of latents apart."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vaebench.base.precision import full, no_autocast

__all__ = ["Discriminator", "frozen"]


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


def frozen(network: nn.Module, z: Tensor) -> Tensor:
    """``network(z)`` with a gradient for ``z`` alone."""
    return torch.func.functional_call(network, {k: p.detach() for k, p in network.named_parameters()}, (z,))
