"""dSprites from its published ``.npz``: 737,280 binary images of 64 × 64, six factors.

The images are stored as 0 and 255. The colour, which has one value, is kept as the file has it, so five
factors vary. Read as a stream: the 3 GB of images are never in memory.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from vaebench.base.errors import UserError
from vaebench.base.files import UNREADABLE_ARRAYS
from vaebench.data.factors import append_grid, check_grid, thinned
from vaebench.data.raw import RawFiles, RawSet
from vaebench.data.store import StoreWriter

__all__ = ["DSprites"]

FILE = "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
FACTORS = {"color": 1, "shape": 3, "scale": 6, "orientation": 40, "position_x": 32, "position_y": 32}
"""The factors and their numbers of values."""
SIDE = 64
BATCH = 4_096
LARGEST_TABLE = 64 * 2**20
"""Bytes; the published one, unpacked, has 35 MB, and a forged one might have any number."""
ADVICE = (
    f"It is {FILE} from https://github.com/google-deepmind/dsprites-dataset, alone or in a folder dsprites."
)


class DSprites:
    """dSprites; the test set is every row, see :mod:`vaebench.data.factors`.

    Args:
        validation: number of images, chosen at random, that validate and do not train.
        thin: by a factor's name, k to keep only every k-th of its values.
    """

    published = RawSet("dSprites", (FILE,), ADVICE, ("dsprites", "."), ("dsprites",))

    def __init__(self, *, validation: NonNegativeInt = 0, thin: dict[str, PositiveInt] | None = None):
        self.validation = validation
        self.thin = thin

    @property
    def training_images(self) -> int:
        """Images of the training split."""
        return math.prod(thinned(FACTORS, self.thin).values()) - self.validation

    def write(self, raw: RawFiles, store: StoreWriter) -> None:
        """Write the images in the file's order."""
        path = raw.find(self.published) / FILE
        raw.digest(path)
        factors = _read_factors(path)
        sizes = dict(zip(FACTORS, check_grid(factors, path, "latents_classes"), strict=True))
        append_grid(store, sizes, _stream_images(path, len(factors)), self.validation, "dSprites", self.thin)


def _read_factors(path: Path) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if arrays.zip.getinfo("latents_classes.npy").file_size > LARGEST_TABLE:
                raise ValueError(f"it is larger than {LARGEST_TABLE:,} bytes")
            factors = arrays["latents_classes"]
    except UNREADABLE_ARRAYS as error:
        raise _damaged(path, "latents_classes", f"cannot be read ({error})") from None
    if factors.ndim != 2 or factors.shape[1] != len(FACTORS) or factors.dtype.kind not in "iu":
        raise _damaged(
            path,
            "latents_classes",
            f"is {factors.shape}, {factors.dtype} where (N, {len(FACTORS)}) integers are expected",
        )
    if len(factors) == 0 or factors.min() < 0:
        raise _damaged(path, "latents_classes", "is empty or holds negative indices")
    return factors.astype(np.int64)


def _stream_images(path: Path, count: int) -> Iterator[np.ndarray]:
    """The images in batches (B, 1, 64, 64) of 0 and 255."""
    done = 0
    try:
        with zipfile.ZipFile(path) as archive, archive.open("imgs.npy") as member:
            _check_header(member, path, count)
            while done < count:
                size = min(BATCH, count - done)
                content = member.read(size * SIDE * SIDE)
                if len(content) < size * SIDE * SIDE:
                    raise EOFError(f"it ends within image {done + len(content) // SIDE**2}")
                images = np.frombuffer(content, np.uint8).reshape(size, 1, SIDE, SIDE)
                binary = (images <= 1).all(axis=(1, 2, 3))
                if not binary.all():
                    raise ValueError(f"image {done + int(binary.argmin())} holds values other than 0 and 1")
                yield images * np.uint8(255)
                done += size
            if member.read(1):
                raise ValueError("it is longer than its header says")
    except UNREADABLE_ARRAYS as error:
        raise _damaged(path, "imgs", f"cannot be read after {done} images ({error})") from None


def _check_header(member: IO[bytes], path: Path, count: int) -> None:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(member)
    if shape != (count, SIDE, SIDE) or dtype != np.uint8 or fortran:
        raise _damaged(
            path, "imgs", f"is {shape}, {dtype} where ({count}, {SIDE}, {SIDE}), uint8 in C order is expected"
        )


def _damaged(path: Path, name: str, reason: str) -> UserError:
    return UserError(f"{path}: {name} {reason}. Replace it with the published file.")
