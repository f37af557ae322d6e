"""Fully connected layers for images of any shape: the cheapest pair per step on a CPU, the quickstart's."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated

from pydantic import Field, PositiveInt
from torch import nn

__all__ = ["Dense"]


class Dense:
    """ReLU layers of the sizes in `hidden`, mirrored in the decoder, for any (C, H, W); values in [0, 1].

    Args:
        image_shape: (C, H, W), any.
        latent_dim: d.
        hidden: the encoder's layer sizes.
    """

    activation = "sigmoid"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        latent_dim: PositiveInt = 8,
        hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (512,),
    ):
        self.image_shape, self.latent_dim, self.hidden = image_shape, latent_dim, tuple(hidden)

    def encoder(self, features: int) -> nn.Module:
        """(B, C, H, W) to (B, ``features``)."""
        return nn.Sequential(nn.Flatten(), *_layers(math.prod(self.image_shape), *self.hidden, features))

    def decoder(self, channels: int) -> nn.Module:
        """(B, ``latent_dim``) to raw (B, ``channels``, H, W)."""
        shape = (channels, *self.image_shape[1:])
        return nn.Sequential(
            *_layers(self.latent_dim, *self.hidden[::-1], math.prod(shape)), nn.Unflatten(1, shape)
        )


def _layers(*sizes: int) -> list[nn.Module]:
    """Linear layers with a ReLU between any two."""
    return [part for before, after in pairwise(sizes) for part in (nn.ReLU(), nn.Linear(before, after))][1:]
