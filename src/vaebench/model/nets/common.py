"""What several protocols share: the check of the image's shape, and the map to [-1, 1]."""

from __future__ import annotations

from torch import Tensor, nn

from vaebench.base.errors import UserError

__all__ = ["Symmetric", "require_shape"]


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
