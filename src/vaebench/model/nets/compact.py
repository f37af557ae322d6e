"""A small pair for 8 x 8 digits: about 0.1 M weights, seconds of training on a CPU.

It belongs to neither paper. Two stride-2 convolutions and one hidden layer each way, without batch
normalization; any height and width that two halvings divide will do.
"""

from __future__ import annotations

from pydantic import PositiveInt
from torch import nn

from vaebench.base.errors import UserError

__all__ = ["Compact"]


class Compact:
    """Encoder and decoder for (C, H, W) images with H and W multiples of 4, values in [0, 1].

    Args:
        image_shape: (C, H, W).
        latent_dim: d.

    Raises:
        UserError: for another height or width.
    """

    activation = "sigmoid"

    def __init__(self, image_shape: tuple[int, int, int], *, latent_dim: PositiveInt = 8):
        self.channels, self.height, self.width = image_shape
        if self.height % 4 or self.width % 4:
            raise UserError(
                "Network 'compact' takes images whose height and width are multiples of 4, but the data "
                f"set's are {self.height}x{self.width}; pad them or choose another network."
            )
        self.latent_dim = latent_dim
        self._grid = (64, self.height // 4, self.width // 4)

    def encoder(self, features: int) -> nn.Module:
        """(B, C, H, W) to (B, ``features``)."""
        return nn.Sequential(
            nn.Conv2d(self.channels, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * self._grid[1] * self._grid[2], 128),
            nn.ReLU(),
            nn.Linear(128, features),
        )

    def decoder(self, channels: int) -> nn.Module:
        """(B, ``latent_dim``) to raw (B, ``channels``, H, W)."""
        return nn.Sequential(
            nn.Linear(self.latent_dim, 128),
            nn.ReLU(),
            nn.Linear(128, 64 * self._grid[1] * self._grid[2]),
            nn.ReLU(),
            nn.Unflatten(1, self._grid),
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, channels, 4, stride=2, padding=1),
        )
