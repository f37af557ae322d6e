"""A convolutional pair for images of any shape, for data sets that no protocol has a network for."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, PositiveInt
from torch import nn

from vaebench.cpu.convolution import Conv2d, ConvTranspose2d

__all__ = ["Conv"]

Channels = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


class Conv:
    """Any shape: a stride-2 convolution per entry of `channels`, mirrored by transposed ones; in [0, 1].

    Every convolution halves height and width, rounded up; the decoder's give back the very sizes.

    Args:
        image_shape: (C, H, W), any.
        latent_dim: d.
        channels: output channels of the encoder's convolutions.
        norm: ``batch`` normalizes over the batch after each but the last layer.
    """

    activation = "sigmoid"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        latent_dim: PositiveInt = 64,
        channels: Channels = (32, 64, 128, 256),
        norm: Literal["batch", "none"] = "batch",
    ):
        self.image_shape, self.latent_dim = image_shape, latent_dim
        self.channels, self.norm = tuple(channels), norm
        self.sizes = [tuple(image_shape[1:])]
        for _ in self.channels:
            self.sizes.append(tuple(-(-size // 2) for size in self.sizes[-1]))
        height, width = self.sizes[-1]
        self._flat = self.channels[-1] * height * width

    def encoder(self, features: int) -> nn.Module:
        """(B, C, H, W) to (B, ``features``)."""
        layers: list[nn.Module] = []
        for before, after in pairwise((self.image_shape[0], *self.channels)):
            layers += [Conv2d(before, after, 3, stride=2, padding=1), *self._normalized(after)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(self._flat, features))

    def decoder(self, channels: int) -> nn.Module:
        """(B, ``latent_dim``) to raw (B, ``channels``, H, W)."""
        start = self.channels[-1]
        layers = [
            nn.Linear(self.latent_dim, self._flat),
            nn.Unflatten(1, (start, *self.sizes[-1])),
            *self._normalized(start),
        ]
        outputs = [*self.channels[-2::-1], channels]
        for before, after, size in zip(self.channels[::-1], outputs, self.sizes[-2::-1], strict=True):
            # Twice the smaller size, less one where the halving had rounded up.
            even = tuple(1 - length % 2 for length in size)
            layers.append(ConvTranspose2d(before, after, 3, stride=2, padding=1, output_padding=even))
            layers += self._normalized(after)
        return nn.Sequential(*layers[: -len(self._normalized(channels))])

    def _normalized(self, channels: int) -> list[nn.Module]:
        return [*([nn.BatchNorm2d(channels)] if self.norm == "batch" else []), nn.ReLU()]
