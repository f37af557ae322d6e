"""The pair of Saha et al., Table IX, after Locatello et al. (2019): dSprites and 3D Shapes at 64 x 64.

4 x 4 filters at stride 2 with one pixel of padding on each side; the encoder maps [0, 1] to 2x − 1 first.
Table IX ends dSprites' decoder in nothing and 3D Shapes' in a sigmoid.
"""

from __future__ import annotations

from pydantic import PositiveInt
from torch import nn

from vaebench.model.nets.common import Symmetric, require_shape

__all__ = ["Locatello"]


class Locatello:
    """64 x 64 images in [0, 1] of one channel (dSprites) or three (3D Shapes).

    Raises:
        UserError: for another image shape.
    """

    def __init__(self, image_shape: tuple[int, int, int], *, latent_dim: PositiveInt = 6):
        require_shape("locatello", image_shape, (1, 64, 64), (3, 64, 64))
        self.latent_dim = latent_dim
        self.activation = "identity" if image_shape[0] == 1 else "sigmoid"
        self._channels = image_shape[0]

    def encoder(self, features: int) -> nn.Module:
        """(B, C, 64, 64) to (B, ``features``)."""
        return nn.Sequential(
            Symmetric(),
            nn.Conv2d(self._channels, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4 * 4 * 64, features),
        )

    def decoder(self, channels: int) -> nn.Module:
        """(B, ``latent_dim``) to raw (B, ``channels``, 64, 64)."""
        return nn.Sequential(
            nn.Linear(self.latent_dim, 4 * 4 * 64),
            nn.Unflatten(1, (64, 4, 4)),
            nn.ConvTranspose2d(64, 64, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, channels, 4, stride=2, padding=1),
        )
