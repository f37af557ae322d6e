"""Artificial noise on MNIST whose variance is known: Takida et al., Section 5.3.

Digits 0 to 4 ("small") and 5 to 9 ("big"), upper and lower half of the image: four partitions, SU, SL,
BU and BL. A pattern adds N(0, s²) to every pixel of its partitions:

| pattern | noisy partitions |
| --- | --- |
| uniform | SU, SL, BU, BL |
| spatial | SU, BU |
| conditional | SU, SL |
| spatial_conditional | SU |

The result is not clipped, so the variance is the one that was asked for.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

__all__ = ["NOISY", "Noise", "add_noise", "partitions"]

NOISY = {
    "uniform": ("SU", "SL", "BU", "BL"),
    "spatial": ("SU", "BU"),
    "conditional": ("SU", "SL"),
    "spatial_conditional": ("SU",),
}
"""Each pattern's noisy partitions."""

BIG = 5
"""The smallest of the big digits."""


class Noise(BaseModel):
    """``noise`` in params.yaml: the pattern, and the variance s² on the [0, 1] scale."""

    model_config = ConfigDict(extra="forbid")

    pattern: Literal["uniform", "spatial", "conditional", "spatial_conditional"]
    variance: Annotated[float, Field(gt=0)]

    def describe(self, shape: tuple[int, int, int], seed: int) -> dict[str, Any]:
        """Content of ``meta["noise"]`` for images of ``shape`` (C, H, W); all ranges include their ends."""
        height = shape[1]
        digits = {"S": [0, BIG - 1], "B": [BIG, 9]}
        rows = {"U": [0, height // 2 - 1], "L": [height // 2, height - 1]}
        return {
            "pattern": self.pattern,
            "variance": self.variance,
            "seed": seed,
            "noisy": list(NOISY[self.pattern]),
            "partitions": {
                f"{group}{half}": {"digits": digits[group], "rows": rows[half]}
                for group in "SB"
                for half in "UL"
            },
        }


def partitions(labels: np.ndarray, shape: tuple[int, int, int]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The four partitions as masks.

    Args:
        labels: (N,) digits.
        shape: (C, H, W) of an image; the upper half is its first H // 2 rows.

    Returns:
        SU, SL, BU and BL, each (images (N,) bool, pixels (C, H, W) bool): the partition is the pixels
        where the second is true of the images where the first is.
    """
    small = np.asarray(labels) < BIG
    upper = np.zeros(shape, bool)
    upper[:, : shape[1] // 2] = True
    return {"SU": (small, upper), "SL": (small, ~upper), "BU": (~small, upper), "BL": (~small, ~upper)}


def add_noise(images: np.ndarray, labels: np.ndarray, noise: Noise, rng: np.random.Generator) -> np.ndarray:
    """``images`` (N, C, H, W) float32 with the noise added.

    A draw is made for every pixel, noisy or not: with one generator, all patterns have the same noise
    where they have any, and consecutive batches together have that of one batch.
    """
    drawn = rng.standard_normal(images.shape, dtype=np.float32) * np.float32(noise.variance**0.5)
    masks = partitions(labels, images.shape[1:])
    noisy = np.zeros(images.shape, bool)
    for name in NOISY[noise.pattern]:
        rows, pixels = masks[name]
        noisy |= rows[:, None, None, None] & pixels
    return images + np.where(noisy, drawn, np.float32(0))
