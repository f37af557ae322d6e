"""3D Shapes from its published ``.h5``: 480,000 colour images of 64 × 64, six factors.

``labels`` holds the factors' values as floats; each becomes its index among the values that occur.
Read in slices: the 6 GB of images are never in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from vaebench.base.errors import UserError
from vaebench.data.factors import append_grid, check_grid, thinned
from vaebench.data.raw import RawFiles, RawSet
from vaebench.data.store import StoreWriter

__all__ = ["Shapes3D"]

FILE = "3dshapes.h5"
FACTORS = {"floor_hue": 10, "wall_hue": 10, "object_hue": 10, "scale": 8, "shape": 4, "orientation": 15}
"""The factors and their numbers of values."""
SHAPE = (64, 64, 3)
BATCH = 1_000
ADVICE = f"It is {FILE} from https://github.com/google-deepmind/3d-shapes, alone or in a folder shapes3d."
DAMAGE = (OSError, RuntimeError, KeyError, TypeError, ValueError)


class Shapes3D:
    """3D Shapes; the test set is every row, see :mod:`vaebench.data.factors`.

    Args:
        validation: number of images, chosen at random, that validate and do not train.
        thin: by a factor's name, k to keep only every k-th of its values.
    """

    published = RawSet("3D Shapes", (FILE,), ADVICE, ("shapes3d", "."), ("shapes3d",))

    def __init__(self, *, validation: NonNegativeInt = 0, thin: dict[str, PositiveInt] | None = None):
        self.validation = validation
        self.thin = thin

    @property
    def training_images(self) -> int:
        """Images of the training split."""
        return math.prod(thinned(FACTORS, self.thin).values()) - self.validation

    def write(self, raw: RawFiles, store: StoreWriter) -> None:
        """Write the images in the file's order."""
        import h5py

        path = raw.find(self.published) / FILE
        raw.digest(path)
        with ExitStack() as stack:
            try:
                file = stack.enter_context(h5py.File(path, "r", locking=False))
                _check_inside(path, file)
                images, labels = file["images"], file["labels"]
                _check(path, images, labels)
                factors = _indices(path, labels[:])
            except DAMAGE as error:
                raise _damaged(path, f"it cannot be read ({error})") from None
            sizes = dict(zip(FACTORS, check_grid(factors, path, "labels"), strict=True))
            append_grid(store, sizes, _stream_images(path, images), self.validation, "3D Shapes", self.thin)


def _check_inside(path: Path, file) -> None:
    """HDF5 can point into any other file of the machine; the published file does not."""
    import h5py

    for name in ("images", "labels"):
        link = file.get(name, getlink=True)
        array = file[name] if isinstance(link, h5py.HardLink) else link
        if isinstance(array, h5py.Dataset):
            elsewhere = array.is_virtual or array.external
        else:
            elsewhere = isinstance(array, h5py.ExternalLink | h5py.SoftLink)
        if elsewhere:
            raise _damaged(path, f"{name} lies in another place than the file")


def _check(path, images, labels) -> None:
    for name, array in (("images", images), ("labels", labels)):
        if not hasattr(array, "dtype"):
            raise _damaged(path, f"{name} is a group, not a data set")
    count = len(labels)
    if images.shape != (count, *SHAPE) or images.dtype != np.uint8:
        raise _damaged(
            path, f"images is {images.shape}, {images.dtype} where ({count}, 64, 64, 3), uint8 is expected"
        )
    if labels.shape != (count, len(FACTORS)) or labels.dtype.kind not in "fiu" or count == 0:
        raise _damaged(
            path, f"labels is {labels.shape}, {labels.dtype} where (N, {len(FACTORS)}) numbers are expected"
        )


def _indices(path: Path, labels: np.ndarray) -> np.ndarray:
    finite = np.isfinite(labels).all(axis=1)
    if not finite.all():
        raise _damaged(path, f"row {int(finite.argmin())} of labels holds NaN or infinity")
    columns = [np.unique(column, return_inverse=True)[1] for column in labels.T]
    return np.stack(columns, axis=1).astype(np.int64)


def _stream_images(path: Path, images) -> Iterator[np.ndarray]:
    """The images in batches (B, 3, 64, 64)."""
    for first in range(0, len(images), BATCH):
        try:
            batch = images[first : first + BATCH]
        except DAMAGE as error:
            last = min(first + BATCH, len(images)) - 1
            raise _damaged(path, f"images {first} to {last} cannot be read ({error})") from None
        yield batch.transpose(0, 3, 1, 2)


def _damaged(path: Path, reason: str) -> UserError:
    return UserError(f"{path}: {reason}. Replace it with the published file.")
