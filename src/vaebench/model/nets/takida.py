"""The pairs of Takida et al.: Appendix I.1 and D.1 (MNIST), I.2 and I.3 (CelebA, CelebA-HQ).

What the listings leave open, and the reading taken:

- 5 x 5 filters at stride 2 have padding 2, and output padding 1 where transposed: the listed sizes then hold.
- "All … except for the last" does not say what the last transposed convolution is. On MNIST it doubles the
  size, so it is 5 x 5 at stride 2 too; on CelebA it keeps the size, so it is 5 x 5 at stride 1.
- The MNIST decoder's second fully connected layer is normalized per unit, before the reshape, as in the
  InfoGAN networks that the paper adopts.
- D.1 prints z ∈ R^16, but its latent size is 8, of which FC16 is a mean and a log-variance each. Here the
  encoder has what the posterior asks for: 8 outputs with the one σz² of Section 4, or without one.
"""

from __future__ import annotations

from pydantic import PositiveInt
from torch import nn

from vaebench.cpu.convolution import Conv2d, ConvTranspose2d
from vaebench.model.nets.common import require_shape

__all__ = ["TakidaCelebA", "TakidaMNIST", "TakidaSmooth"]


class TakidaMNIST:
    """Appendix I.1: 28 x 28 x 1 in [0, 1]; 13.3 M weights with 16 latents and a Gaussian posterior.

    Args:
        image_shape: (C, H, W).
        latent_dim: d.

    Raises:
        UserError: for another image shape.
    """

    activation = "sigmoid"

    def __init__(self, image_shape: tuple[int, int, int], *, latent_dim: PositiveInt = 16):
        require_shape("takida_mnist", image_shape, (1, 28, 28))
        self.latent_dim = latent_dim

    def encoder(self, features: int) -> nn.Module:
        """(B, 1, 28, 28) to (B, ``features``)."""
        return nn.Sequential(
            _conv5(1, 64),
            nn.ReLU(),
            _conv5(64, 128),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(128 * 7 * 7, 1024),
            nn.BatchNorm1d(1024),
            nn.ReLU(),
            nn.Linear(1024, features),
        )

    def decoder(self, channels: int) -> nn.Module:
        """(B, ``latent_dim``) to raw (B, ``channels``, 28, 28)."""
        return nn.Sequential(
            nn.Linear(self.latent_dim, 1024),
            nn.BatchNorm1d(1024),
            nn.ReLU(),
            nn.Linear(1024, 128 * 7 * 7),
            nn.BatchNorm1d(128 * 7 * 7),
            nn.ReLU(),
            nn.Unflatten(1, (128, 7, 7)),
            _conv_transpose5(128, 64),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            _conv_transpose5(64, channels),
        )


class TakidaSmooth:
    """Appendix D.1, for Section 4.2: 28 x 28 x 1 in [0, 1], 4 x 4 filters, no batch normalization.

    Args:
        image_shape: (C, H, W).
        latent_dim: d.

    Raises:
        UserError: for another image shape.
    """

    activation = "sigmoid"

    def __init__(self, image_shape: tuple[int, int, int], *, latent_dim: PositiveInt = 8):
        require_shape("takida_smooth", image_shape, (1, 28, 28))
        self.latent_dim = latent_dim

    def encoder(self, features: int) -> nn.Module:
        """(B, 1, 28, 28) to (B, ``features``)."""
        return nn.Sequential(
            nn.Conv2d(1, 64, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 128, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(128 * 7 * 7, 1024),
            nn.ReLU(),
            nn.Linear(1024, features),
        )

    def decoder(self, channels: int) -> nn.Module:
        """(B, ``latent_dim``) to raw (B, ``channels``, 28, 28)."""
        return nn.Sequential(
            nn.Linear(self.latent_dim, 1024),
            nn.ReLU(),
            nn.Linear(1024, 128 * 7 * 7),
            nn.ReLU(),
            nn.Unflatten(1, (128, 7, 7)),
            nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(64, channels, 4, stride=2, padding=1),
        )


class TakidaCelebA:
    """Appendix I.2, 64 x 64 x 3 with 64 latents, and I.3, 128 x 128 x 3 with 256; values in [0, 1].

    Args:
        image_shape: (C, H, W).
        latent_dim: d.

    Raises:
        UserError: for another image shape.
    """

    activation = "sigmoid"

    def __init__(self, image_shape: tuple[int, int, int], *, latent_dim: PositiveInt = 64):
        require_shape("takida_celeba", image_shape, (3, 64, 64), (3, 128, 128))
        self.latent_dim = latent_dim
        self._size = image_shape[1]

    def encoder(self, features: int) -> nn.Module:
        """(B, 3, H, H) to (B, ``features``)."""
        return nn.Sequential(
            _conv5(3, 128),
            nn.ReLU(),
            _conv5(128, 256),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            _conv5(256, 512),
            nn.BatchNorm2d(512),
            nn.ReLU(),
            _conv5(512, 1024),
            nn.BatchNorm2d(1024),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(1024 * (self._size // 16) ** 2, features),
        )

    def decoder(self, channels: int) -> nn.Module:
        """(B, ``latent_dim``) to raw (B, ``channels``, H, H)."""
        side = self._size // 8
        return nn.Sequential(
            nn.Linear(self.latent_dim, 1024 * side * side),
            nn.Unflatten(1, (1024, side, side)),
            _conv_transpose5(1024, 512),
            nn.ReLU(),
            _conv_transpose5(512, 256),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            _conv_transpose5(256, 128),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.ConvTranspose2d(128, channels, 5, stride=1, padding=2),
        )


def _conv5(inputs: int, outputs: int) -> Conv2d:
    return Conv2d(inputs, outputs, 5, stride=2, padding=2)


def _conv_transpose5(inputs: int, outputs: int) -> ConvTranspose2d:
    return ConvTranspose2d(inputs, outputs, 5, stride=2, padding=2, output_padding=1)
