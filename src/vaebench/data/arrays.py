"""Arrays of one's own: an ``.npz`` with ``images`` and perhaps ``labels`` and ``factors``, or an ``.npy``.

Images are (N, H, W), (N, H, W, C) or (N, C, H, W) with C of 1 or 3: uint8, bool, or float in [0, 1]. The
first of the axes 1 and 3 that may be C is. Labels are (N,) integers from 0, factors (N, F) integers from 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import PositiveInt

from vaebench.base.errors import UserError
from vaebench.base.files import UNREADABLE_ARRAYS
from vaebench.data.raw import RawFiles, RawSet
from vaebench.data.shares import Part, divide
from vaebench.data.splits import ordered_splits
from vaebench.data.store import StoreWriter

__all__ = ["Arrays"]

ADVICE = "It is the .npz or .npy file that the source's option `path` names."
KEYS = ("images", "labels", "factors")
BATCH = 4096
MOST_VALUES = 1_000_000
"""Classes, or values of a factor; more are not numbered from 0."""


class Arrays:
    """Images in a file of numpy's.

    Args:
        path: the file, below ``$VAEBENCH_DATA`` or ``data/raw``, or an absolute path.
        test: images of the test split, or their share.
        validation: as ``test``, of the validation split.
        limit: most images of each split.
    """

    def __init__(
        self,
        *,
        path: str,
        test: Part = 0.2,
        validation: Part | Literal[0] = 0,
        limit: PositiveInt | None = None,
    ):
        self.path, self.test, self.validation, self.limit = path, test, validation, limit

    def write(self, raw: RawFiles, store: StoreWriter) -> None:
        """Write the splits, each in a random order that depends on the store's seed."""
        path = raw.find(RawSet("The file of arrays", (self.path,), ADVICE)) / self.path
        raw.digest(path)
        arrays = _read(path)
        images = _channels_first(path, arrays["images"])
        _check_values(path, images)
        labels, factors = (_integers(path, name, arrays, len(images)) for name in ("labels", "factors"))
        parts = {"validation": self.validation, "test": self.test}
        divided = divide(str(path), len(images), parts, store.seed, self.limit)
        for rows in divided.values():
            for first in range(0, len(rows), BATCH):
                chosen = rows[first : first + BATCH]
                store.append(
                    _stored(images[chosen]),
                    None if labels is None else labels[chosen],
                    None if factors is None else factors[chosen],
                )
        sizes = None
        if factors is not None:
            sizes = {f"factor {i + 1}": int(size) for i, size in enumerate(factors.max(axis=0) + 1)}
        store.describe(splits=ordered_splits(*map(len, divided.values())), factors=sizes)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return {"images": loaded}
        with loaded:
            arrays = {name: loaded[name] for name in KEYS if name in loaded}
            names = ", ".join(loaded.files)
    except (*UNREADABLE_ARRAYS, MemoryError) as error:
        raise UserError(
            f"{path} cannot be read as arrays ({error}); save it with numpy.savez again."
        ) from None
    if "images" not in arrays:
        raise UserError(f"{path} has no array `images`; it has {names or 'none'}. Save it under that name.")
    return arrays


def _channels_first(path: Path, images: np.ndarray) -> np.ndarray:
    if 0 in images.shape:
        raise UserError(f"{path}: images are {images.shape}, which is none; save them again.")
    if images.ndim == 3:
        return images[:, None]
    if images.ndim == 4 and images.shape[1] in (1, 3):
        return images
    if images.ndim == 4 and images.shape[3] in (1, 3):
        return images.transpose(0, 3, 1, 2)
    raise UserError(
        f"{path}: images are {images.shape}; they should be (N, H, W), (N, H, W, C) or (N, C, H, W), with "
        "C 1 or 3."
    )


def _check_values(path: Path, images: np.ndarray) -> None:
    """Refuse what would have to be scaled by a guess."""
    if images.dtype == bool:
        return
    lowest, highest = (images.min(), images.max()) if images.dtype.kind in "iuf" else (None, None)
    if images.dtype == np.uint8 and highest > 1:  # type: ignore[operator]
        return
    if images.dtype.kind == "f" and lowest >= 0 and highest <= 1:  # type: ignore[operator]
        return
    values = "" if lowest is None else f" from {lowest} to {highest}"
    raise UserError(
        f"{path}: images are {images.dtype}{values}; they should be uint8 from 0 to 255, bool, or float in "
        "[0, 1] (0 and 1 as bool). Convert them, then save them again."
    )


def _stored(images: np.ndarray) -> np.ndarray:
    if images.dtype == bool:
        return images.astype(np.uint8) * 255
    return images if images.dtype == np.uint8 else images.astype(np.float32)


def _integers(path: Path, name: str, arrays: dict[str, np.ndarray], count: int) -> np.ndarray | None:
    values = arrays.get(name)
    if values is None:
        return None
    dimensions = 1 if name == "labels" else 2
    if (
        not np.issubdtype(values.dtype, np.integer)
        or values.ndim != dimensions
        or len(values) != count
        or values.size == 0
        or values.min() < 0
        or values.max() >= MOST_VALUES
    ):
        shape = "(N,)" if dimensions == 1 else "(N, F)"
        raise UserError(
            f"{path}: {name} are {values.shape}, {values.dtype}; they should be {shape} integers from 0, "
            f"below {MOST_VALUES:,}, one row per image of {count}."
        )
    return values
