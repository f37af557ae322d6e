"""The two ranges of an image's values: as stored, and as the networks see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ValueRange", "as_unit"]


class ValueRange(NamedTuple):
    """Values of black and white in the images that a model sees, (0, 1) or (-1, 1)."""

    low: float
    high: float

    def to_model(self, images: Tensor) -> Tensor:
        """Stored images (uint8 0 to 255, or float 0 to 1 where noise was added) to float32 in this range."""
        unit = as_unit(images)
        return unit if self == (0, 1) else unit * (self.high - self.low) + self.low

    def to_unit(self, x: Tensor) -> Tensor:
        """This range to [0, 1]."""
        return x if self == (0, 1) else (x - self.low) / (self.high - self.low)


def as_unit(images: Tensor) -> Tensor:
    """Stored images, uint8 or float in [0, 1], as float in [0, 1]."""
    return images if images.is_floating_point() else images.float() / 255
