"""Images side by side: a model's reconstructions, samples, and interpolations between two images.

Which test images are shown depends on the data set alone, so the grids of different methods and seeds
compare image by image.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vaebench.measure.interpolation import interpolate
from vaebench.measure.run import Run

__all__ = ["first", "grids", "render", "save_grid", "save_pictures", "stored", "tile", "write_grids"]

COLUMNS, ROWS = 12, 8
GAP = 2
"""White pixels between images."""
LEAST = 24
"""Smaller images are shown enlarged by a whole number."""


def save_grid(path: Path, images: np.ndarray, columns: int) -> None:
    """Write ``images`` (n, C, H, W) as one PNG, row by row; see :func:`tile`."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(tile(images, columns)).save(path)


def tile(images: np.ndarray, columns: int) -> np.ndarray:
    """``images`` in one picture, row by row, uint8 (H, W) or (H, W, 3).

    Args:
        images: (n, C, H, W) in [0, 1], C 1 or 3; values outside are cut.
        columns: images in a row; the last row may be shorter.
    """
    scale = max(1, math.ceil(LEAST / images.shape[2]))
    images = images.repeat(scale, axis=2).repeat(scale, axis=3)
    count, channels, height, width = images.shape
    rows = math.ceil(count / columns)
    grid = np.full(
        (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels), 255, dtype=np.uint8
    )
    pixels = np.rint(np.clip(images, 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    for i, image in enumerate(pixels):
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        grid[top : top + height, left : left + width] = image
    return grid[:, :, 0] if channels == 1 else grid


def write_grids(run: Run, folder: Path) -> list[Path]:
    """Write the model's :func:`grids` as PNG into ``folder``; the files."""
    return save_pictures(grids(run), folder)


def save_pictures(pictures: Mapping[str, np.ndarray], folder: Path) -> list[Path]:
    """Write pictures of :func:`tile` by their names as PNG into ``folder``; the files."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / f"{name}.png": picture for name, picture in pictures.items()}
    for path, picture in files.items():
        Image.fromarray(picture).save(path)
    return list(files)


def grids(run: Run) -> dict[str, np.ndarray]:
    """The model's ``reconstructions``, ``interpolations`` and ``samples-<density>``, each in one picture.

    Reconstructions lie below their originals. A row of the interpolations goes from one test image's code
    to another's. A density that the method does not have gets no picture, a training that diverged none.
    The run's seed determines the samples. Pictures are those of :func:`tile`.
    """
    if run.diverged_at_epoch is not None:
        return {}
    means, originals = run.latents["test_mean"], run.data.split("test")
    shown = np.linspace(0, len(means) - 1, COLUMNS * ROWS // 2).astype(int)
    pairs = np.concatenate([stored(originals[shown]), render(run, means[shown])])
    order = np.arange(len(pairs)).reshape(2, -1, COLUMNS).swapaxes(0, 1).ravel()
    images = {"reconstructions": pairs[order]}

    start, end = np.array_split(np.linspace(0, len(means) - 1, 2 * ROWS).astype(int), 2)
    ratio = np.tile(np.linspace(0, 1, COLUMNS), ROWS)
    path = interpolate(means[np.repeat(start, COLUMNS)], means[np.repeat(end, COLUMNS)], ratio)
    images["interpolations"] = render(run, path)

    for name, density in run.densities.items():
        if density is not None:
            codes = density.sample(COLUMNS * ROWS, run.rng(f"grid {name}"))
            images[f"samples-{name}"] = render(run, codes)
    return {name: tile(shown, COLUMNS) for name, shown in images.items()}


def first(images: np.ndarray) -> np.ndarray:
    """The first of a generator's images, as many as a model's samples, in one picture; see :func:`stored`."""
    return tile(stored(np.asarray(images[: COLUMNS * ROWS])), COLUMNS)


def render(run: Run, codes: np.ndarray) -> np.ndarray:
    """The images (n, C, H, W) in [0, 1] that ``codes`` (n, d) decode to."""
    return np.concatenate([stored(x.cpu().numpy()) for x in run.render(codes)])


def stored(images: np.ndarray) -> np.ndarray:
    """Images (n, C, H, W) in [0, 1], of uint8 or already so."""
    return images / 255 if images.dtype == np.uint8 else images
