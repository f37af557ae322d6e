"""CIFAR-10 from the Python batches, in the layout of ``torchvision.datasets.CIFAR10``.

The batches are pickles, and unpickling runs what the file says. So each file's bytes are compared with
the published MD5 (torchvision's list) first, and only the published files are ever unpickled: nobody can
make another file of a given MD5. And should somebody learn to, the unpickler calls what makes an array and
nothing else.
"""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from vaebench.base.errors import UserError
from vaebench.data.raw import RawFiles, RawSet
from vaebench.data.splits import ordered_splits, training_rows
from vaebench.data.store import StoreWriter

__all__ = ["Cifar10"]

FOLDER = "cifar-10-batches-py"
MD5 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}
ALIASES = (FOLDER, "cifar-10-python", "cifar-10-batches-bin", "cifar-10-binary", "cifar-10-matlab", "cifar10")
SHAPE = (3, 32, 32)
TRAIN = 50_000
ARRAYS = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}
"""Globals that a pickled array names."""
ADVICE = (
    "It is cifar-10-python.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html, unpacked to a folder "
    f"{FOLDER}."
)


def _download(root: Path) -> None:
    from torchvision.datasets import CIFAR10

    CIFAR10(root, download=True)


class Cifar10:
    """CIFAR-10.

    Args:
        validation: number of training images held back for validation, the last ones.
        limit: keep only the first so many images of each split.
    """

    published = RawSet("CIFAR-10", tuple(MD5), ADVICE, (FOLDER,), ALIASES, _download)

    def __init__(self, *, validation: NonNegativeInt = 0, limit: PositiveInt | None = None):
        self.validation = validation
        self.limit = limit

    @property
    def training_images(self) -> int:
        """Images of the training split."""
        return len(range(TRAIN - self.validation)[: self.limit])

    def write(self, raw: RawFiles, store: StoreWriter) -> None:
        """Write training, validation and test images, in the batches' order."""
        folder = raw.find(self.published)
        *training, test = (_read(raw, folder / name) for name in MD5)
        images, labels = (np.concatenate(parts) for parts in zip(*training, strict=True))
        rows = training_rows("cifar10", len(images), self.validation)
        counts = []
        for split, numbers in [*((images[part], labels[part]) for part in rows), test]:
            store.append(split[: self.limit], numbers[: self.limit])
            counts.append(len(split[: self.limit]))
        store.describe(splits=ordered_splits(*counts))


def _read(raw: RawFiles, path: Path) -> tuple[np.ndarray, np.ndarray]:
    content = raw.read(path)
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if md5 != MD5[path.name]:
        raise UserError(
            f"{path} is not CIFAR-10's: its MD5 is {md5}, the published one {MD5[path.name]}, and another "
            f"pickle is not opened. Delete {path.parent}, and it is downloaded again."
        )
    batch = _Unpickler(io.BytesIO(content), encoding="latin1").load()
    return batch["data"].reshape(-1, *SHAPE), np.array(batch["labels"])


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        if (module, name) not in ARRAYS:
            raise pickle.UnpicklingError(f"{module}.{name} makes no array")
        return super().find_class(module, name)
