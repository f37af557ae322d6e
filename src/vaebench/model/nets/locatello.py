"""The pair of Saha et al., Table IX, after Locatello et al. (2019): dSprites and 3D Shapes at 64 x 64.

4 x 4 filters at stride 2 with one pixel of padding on each side. Table IX ends dSprites' decoder in nothing,
the logits of a Bernoulli likelihood, and 3D Shapes' in a sigmoid. Weights start as in the authors' code, see
:func:`~vaebench.model.nets.common.initialize`.
"""

from __future__ import annotations

from pydantic import PositiveInt
from torch import nn

from vaebench.model.nets.common import Init, initialize, require_shape

__all__ = ["Locatello"]

FLAT = 4 * 4 * 64


class Locatello:
    """64 x 64 images in [0, 1] of one channel (dSprites) or three (3D Shapes).

    Args:
        image_shape: (C, H, W).
        latent_dim: d.
        hidden: units of a further fully connected layer with ReLU on each side, 256 in the code of Saha et
            al. and of Locatello et al.; None, as Table IX lists the layers, for no such layer.
        init: initialization of weights.

    Raises:
        UserError: for another image shape.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        latent_dim: PositiveInt = 6,
        hidden: PositiveInt | None = None,
        init: Init = "he_normal",
    ):
        require_shape("locatello", image_shape, (1, 64, 64), (3, 64, 64))
        self.latent_dim, self.init = latent_dim, init
        self.activation = "identity" if image_shape[0] == 1 else "sigmoid"
        self._channels, self._hidden = image_shape[0], hidden

    def encoder(self, features: int) -> nn.Module:
        """(B, C, 64, 64) to (B, ``features``)."""
        half = nn.Sequential(
            nn.Conv2d(self._channels, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            *self._dense(FLAT),
            nn.Linear(self._hidden or FLAT, features),
        )
        return initialize(half, self.init)

    def decoder(self, channels: int) -> nn.Module:
        """(B, ``latent_dim``) to raw (B, ``channels``, 64, 64)."""
        half = nn.Sequential(
            *self._dense(self.latent_dim),
            nn.Linear(self._hidden or self.latent_dim, FLAT),
            nn.Unflatten(1, (64, 4, 4)),
            nn.ConvTranspose2d(64, 64, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(32, channels, 4, stride=2, padding=1),
        )
        return initialize(half, self.init)

    def _dense(self, inputs: int) -> tuple[nn.Module, ...]:
        return (nn.Linear(inputs, self._hidden), nn.ReLU()) if self._hidden else ()
