"""Sets with known factors: every combination once.

Without a validation set the images are in lexicographic order, so that the row of a combination follows from
the sizes alone, as ``numpy.ravel_multi_index`` gives it. The test set is every row: the disentanglement
metrics draw images by their factors, and the benchmark's own protocol (Locatello et al., 2019) trains and
measures on the whole set.

A validation set, which the learning-rate schedule and AVAE's β follow, is a random choice of images that do
not train, as in the code of Saha et al. (20,000 there): the others come first, in order, then these. So a
reconstruction error on the test set is nearly one on training images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from vaebench.base.errors import UserError
from vaebench.base.terminal import bars
from vaebench.data.store import StoreWriter

__all__ = ["append_grid", "check_grid", "factor_grid", "thinned"]


def factor_grid(sizes: Sequence[int]) -> np.ndarray:
    """(prod(sizes), F) int64: all combinations, the last factor running fastest."""
    return np.indices(sizes, np.int64).reshape(len(sizes), -1).T


def check_grid(factors: np.ndarray, path: Path, name: str) -> list[int]:
    """The number of values of each factor, of a set that must be a whole grid.

    Args:
        factors: (N, F) integers.
        path: the file, for the message.
        name: of the array within it, for the message.

    Raises:
        UserError: ``factors`` is not :func:`factor_grid` of its sizes.
    """
    sizes = [int(size) for size in factors.max(axis=0) + 1]
    if np.prod(sizes, dtype=object) != len(factors) or not np.array_equal(factors, factor_grid(sizes)):
        raise UserError(
            f"{path}: the {len(factors)} rows of {name} are not every combination of {sizes} values "
            "in order; replace it with the published file."
        )
    return sizes


def thinned(sizes: Mapping[str, int], thin: Mapping[str, int] | None) -> dict[str, int]:
    """Each factor's number of values where only every k-th is kept, k by its name in ``thin``, else 1."""
    return {name: math.ceil(size / (thin or {}).get(name, 1)) for name, size in sizes.items()}


def append_grid(
    store: StoreWriter,
    sizes: dict[str, int],
    batches: Iterable[np.ndarray],
    validation: int,
    title: str,
    thin: Mapping[str, int] | None = None,
) -> None:
    """Append a whole grid, or every k-th value of some factors, and describe it.

    Args:
        store: destination.
        sizes: each factor's name and number of values.
        batches: (B, C, H, W) images, in the order of :func:`factor_grid`.
        validation: number of them set aside after the others, chosen by the store's seed.
        title: of the progress bar.
        thin: each thinned factor's k; what remains is a grid too.

    Raises:
        UserError: an unknown factor, or no image left to train on.
    """
    thin = thin or {}
    if unknown := sorted(set(thin) - set(sizes)):
        raise UserError(f"{title} has no factor {', '.join(unknown)} to thin; it has {', '.join(sizes)}.")
    step = np.array([thin.get(name, 1) for name in sizes])
    grid = factor_grid(list(sizes.values()))
    kept = (grid % step == 0).all(axis=1)
    rows = np.flatnonzero(kept)
    if validation >= len(rows):
        raise UserError(f"{title}: validation is {validation} of {len(rows)} images; lower it.")
    chosen = rows[np.sort(np.random.default_rng(store.seed).choice(len(rows), validation, replace=False))]
    trains = kept.copy()
    trains[chosen] = False
    held_out = []
    first = 0
    with bars() as shown:
        images_done = shown.add_task(title, total=len(grid), note="")
        for images in batches:
            last = first + len(images)
            here = trains[first:last]
            store.append(images[here], factors=grid[first:last][here] // step)
            held_out.append(images[chosen[(chosen >= first) & (chosen < last)] - first])
            first = last
            shown.advance(images_done, len(images))
    count = len(rows)
    splits = {"train": (0, count - validation), "test": (0, count)}
    if validation:
        store.append(np.concatenate(held_out), factors=grid[chosen] // step)
        splits["validation"] = (count - validation, count)
    store.describe(splits=splits, factors=thinned(sizes, thin))
