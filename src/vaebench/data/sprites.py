"""Sprites: a small set with known factors that needs no file, for the disentanglement path.

One shape on black, 64 × 64, one channel, every combination of

| factor | values |
| --- | --- |
| shape | square, disc, triangle, all of one area at one scale |
| scale | 4: half the square's side, 3.5 to 8 pixels |
| intensity | 4: 0.4 to 1 |
| position_x, position_y | 8 each: the centre, 16 to 48 pixels |

in this order: 3,072 images. Intensity instead of dSprites' orientation, because a turned square or disc
looks the same, and a factor that cannot be seen cannot be found. A pixel is covered by
clip(½ − d, 0, 1), d the signed distance of its centre to the nearest edge's line.
"""

from __future__ import annotations

import numpy as np
from pydantic import NonNegativeInt

from vaebench.data.factors import append_grid, factor_grid
from vaebench.data.raw import RawFiles
from vaebench.data.store import StoreWriter

__all__ = ["FACTORS", "Sprites", "draw"]

SIDE = 64
SCALES = np.linspace(3.5, 8, 4)
INTENSITIES = np.linspace(0.4, 1, 4)
POSITIONS = np.linspace(16, 48, 8)
FACTORS = {"shape": 3, "scale": 4, "intensity": 4, "position_x": 8, "position_y": 8}
BATCH = 512


class Sprites:
    """The procedural sprites; the test set is every row, see :mod:`vaebench.data.factors`.

    Args:
        validation: number of images, chosen at random, that validate and do not train.
    """

    def __init__(self, *, validation: NonNegativeInt = 0):
        self.validation = validation

    def write(self, raw: RawFiles, store: StoreWriter) -> None:
        """Draw every combination, the vertical position running fastest."""
        grid = factor_grid(list(FACTORS.values()))
        batches = (draw(grid[first : first + BATCH]) for first in range(0, len(grid), BATCH))
        append_grid(store, FACTORS, batches, self.validation, "Sprites")


def draw(factors: np.ndarray) -> np.ndarray:
    """(N, 1, 64, 64) uint8 images of ``factors`` (N, 5), the indices of the values."""
    shape, scale, intensity, x, y = (column[:, None, None] for column in factors.T)
    centre = np.arange(SIDE) + 0.5
    dx = centre - POSITIONS[x]
    dy = centre[:, None] - POSITIONS[y]
    half = SCALES[scale]
    covered = np.clip(
        0.5 - np.choose(shape, [_square(dx, dy, half), _disc(dx, dy, half), _triangle(dx, dy, half)]), 0, 1
    )
    return np.rint(255 * INTENSITIES[intensity] * covered).astype(np.uint8)[:, None]


def _square(dx: np.ndarray, dy: np.ndarray, half: np.ndarray) -> np.ndarray:
    return np.maximum(abs(dx), abs(dy)) - half


def _disc(dx: np.ndarray, dy: np.ndarray, half: np.ndarray) -> np.ndarray:
    return np.hypot(dx, dy) - 2 * half / np.sqrt(np.pi)


def _triangle(dx: np.ndarray, dy: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Equilateral, a corner up: three edges at the inradius √(A / (3√3)), A = 4·half²."""
    slope = np.sqrt(3) / 2
    edges = np.maximum(dy, np.maximum(slope * dx, -slope * dx) - dy / 2)
    return edges - 2 * half / 27**0.25
