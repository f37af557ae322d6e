"""Helpers of several protocols: check of the image's shape, map to [-1, 1], initialization."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from vaebench.base.errors import UserError

__all__ = ["Init", "Symmetric", "initialize", "require_shape"]

Init = Literal["he_normal", "pytorch"]
"""Initialization of weights: that of Saha et al. (see :func:`initialize`), or PyTorch's defaults."""

TRUNCATED = 0.87962566
"""Standard deviation of a standard normal cut to [-2, 2]."""


class Symmetric(nn.Module):
    """2x − 1: images in [0, 1], of any shape, to [-1, 1]."""

    def forward(self, x: Tensor) -> Tensor:
        """``x`` in [0, 1] to [-1, 1]."""
        return 2 * x - 1


def require_shape(network: str, image_shape: tuple[int, int, int], *allowed: tuple[int, int, int]) -> None:
    """Refuse a (C, H, W) for which the protocol lists no layers.

    Raises:
        UserError: naming the network, the shape, and the shapes that it takes.
    """
    if tuple(image_shape) not in allowed:
        wanted = " or ".join("x".join(map(str, shape)) for shape in allowed)
        raise UserError(
            f"Network {network!r} takes images of {wanted} (channels x height x width), but the data set's "
            f"are {'x'.join(map(str, image_shape))}; choose another network or another size of the data set."
        )


def initialize(half: nn.Sequential, init: Init) -> nn.Sequential:
    """``half`` of a network with its weights started by ``init``.

    ``he_normal`` is what Saha et al. chose in Keras: truncated normals of variance 2/fan-in for convolutions;
    Keras' default, Glorot's uniform, for fully connected layers and the last transposed convolution; biases
    of 0. (A transposed convolution's fan-in is that of its output's channels, in Keras and in PyTorch.)
    """
    if init == "pytorch":
        return half
    layers = [m for m in half.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))]
    transposed = [layer for layer in layers if isinstance(layer, nn.ConvTranspose2d)]
    for layer in layers:
        nn.init.zeros_(layer.bias)
        if isinstance(layer, nn.Linear) or layer in transposed[-1:]:
            nn.init.xavier_uniform_(layer.weight)
        else:
            std = (2 / layer.weight[0].numel()) ** 0.5 / TRUNCATED
            nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    return half
