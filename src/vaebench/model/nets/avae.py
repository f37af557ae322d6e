"""The pairs of Saha et al., Table VIII: MNIST padded to 32 x 32, CelebA at 64 x 64, CIFAR-10.

All filters are 4 x 4 with TensorFlow's 'same' padding: one pixel on each side at stride 2. The last
transposed convolution of CelebA and CIFAR-10 has stride 1; 'same' then takes one row and column off the full
result's top and left and two off its bottom and right: padding 1, and a crop of the last row and column.

Encoders of images in [0, 1] map them to 2x − 1 first; CelebA's are in [-1, 1] already and end in tanh.
Weights start as in the authors' code, see :func:`~vaebench.model.nets.common.initialize`.
"""

from __future__ import annotations

from pydantic import PositiveInt
from torch import nn

from vaebench.cpu.convolution import Conv2d, ConvTranspose2d
from vaebench.model.nets.common import Init, Symmetric, initialize, require_shape

__all__ = ["AvaeCIFAR10", "AvaeCelebA", "AvaeMNIST"]


class AvaeMNIST:
    """Table VIII, MNIST: 32 x 32 x 1 in [0, 1].

    Args:
        image_shape: (C, H, W).
        latent_dim: d.
        init: initialization of weights; see :mod:`vaebench.model.nets`.

    Raises:
        UserError: for another image shape.
    """

    activation = "sigmoid"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        latent_dim: PositiveInt = 16,
        init: Init = "he_normal",
    ):
        require_shape("avae_mnist", image_shape, (1, 32, 32))
        self.latent_dim, self.init = latent_dim, init

    def encoder(self, features: int) -> nn.Module:
        """(B, 1, 32, 32) to (B, ``features``)."""
        half = nn.Sequential(
            Symmetric(),
            *_down(1, 64),
            *_down(64, 128),
            *_down(128, 256),
            *_down(256, 512),
            nn.Flatten(),
            nn.Linear(2 * 2 * 512, features),
        )
        return initialize(half, self.init)

    def decoder(self, channels: int) -> nn.Module:
        """(B, ``latent_dim``) to raw (B, ``channels``, 32, 32)."""
        half = nn.Sequential(
            nn.Linear(self.latent_dim, 2 * 2 * 512),
            nn.Unflatten(1, (512, 2, 2)),
            *_up(512, 256),
            *_up(256, 128),
            *_up(128, 64),
            nn.ConvTranspose2d(64, channels, 4, stride=2, padding=1),
        )
        return initialize(half, self.init)


class AvaeCelebA:
    """Table VIII, CelebA: 64 x 64 x 3 in [-1, 1].

    Args:
        image_shape: (C, H, W).
        latent_dim: d.
        init: initialization of weights; see :mod:`vaebench.model.nets`.

    Raises:
        UserError: for another image shape.
    """

    activation = "tanh"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        latent_dim: PositiveInt = 64,
        init: Init = "he_normal",
    ):
        require_shape("avae_celeba", image_shape, (3, 64, 64))
        self.latent_dim, self.init = latent_dim, init

    def encoder(self, features: int) -> nn.Module:
        """(B, 3, 64, 64) to (B, ``features``)."""
        half = nn.Sequential(
            *_down(3, 64),
            *_down(64, 128),
            *_down(128, 256),
            *_down(256, 512),
            nn.Flatten(),
            nn.Linear(4 * 4 * 512, features),
        )
        return initialize(half, self.init)

    def decoder(self, channels: int) -> nn.Module:
        """(B, ``latent_dim``) to raw (B, ``channels``, 64, 64)."""
        half = nn.Sequential(
            nn.Linear(self.latent_dim, 8 * 8 * 512),
            nn.Unflatten(1, (512, 8, 8)),
            *_up(512, 256),
            *_up(256, 128),
            *_up(128, 64),
            *_same(64, channels),
        )
        return initialize(half, self.init)


class AvaeCIFAR10:
    """Table VIII, CIFAR-10: 32 x 32 x 3 in [0, 1].

    Args:
        image_shape: (C, H, W).
        latent_dim: d.
        init: initialization of weights; see :mod:`vaebench.model.nets`.

    Raises:
        UserError: for another image shape.
    """

    activation = "sigmoid"

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        latent_dim: PositiveInt = 128,
        init: Init = "he_normal",
    ):
        require_shape("avae_cifar10", image_shape, (3, 32, 32))
        self.latent_dim, self.init = latent_dim, init

    def encoder(self, features: int) -> nn.Module:
        """(B, 3, 32, 32) to (B, ``features``)."""
        half = nn.Sequential(
            Symmetric(),
            *_down(3, 128),
            *_down(128, 256),
            *_down(256, 512),
            *_down(512, 1024),
            nn.Flatten(),
            nn.Linear(2 * 2 * 1024, features),
        )
        return initialize(half, self.init)

    def decoder(self, channels: int) -> nn.Module:
        """(B, ``latent_dim``) to raw (B, ``channels``, 32, 32)."""
        half = nn.Sequential(
            nn.Linear(self.latent_dim, 8 * 8 * 1024),
            nn.Unflatten(1, (1024, 8, 8)),
            *_up(1024, 512),
            *_up(512, 256),
            *_same(256, channels),
        )
        return initialize(half, self.init)


def _down(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    convolution = Conv2d(inputs, outputs, 4, stride=2, padding=1)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()


def _up(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    convolution = ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()


def _same(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    crop_last = nn.ZeroPad2d((0, -1, 0, -1))
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=1, padding=1), crop_last
