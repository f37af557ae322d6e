"""MNIST from its four idx files, in the layout of ``torchvision.datasets.MNIST``.

A file of the published size must be the published file, by its MD5: Fashion-MNIST and a file with a
flipped bit have the same headers. Smaller files of the same format are taken as they are.

Takida et al. train on 28 × 28 and, in Section 5.3, with artificial noise (:mod:`vaebench.data.noise`);
Saha et al. zero-pad to 32 × 32 and hold the last 10,000 training images back.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from vaebench.base.errors import UserError
from vaebench.data.idx import parse_idx
from vaebench.data.noise import Noise, add_noise
from vaebench.data.raw import RawFiles, RawSet
from vaebench.data.splits import ordered_splits, training_rows
from vaebench.data.store import StoreWriter

__all__ = ["Mnist"]

FOLDER = "MNIST/raw"
MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
PUBLISHED = {"train": 60_000, "t10k": 10_000}
SIZE = 28
ADVICE = (
    f"Its four files are {', '.join(MD5)}, uncompressed, in a folder {FOLDER}, as "
    "torchvision.datasets.MNIST keeps them."
)
BATCH = 5_000


def _download(root: Path) -> None:
    from torchvision.datasets import MNIST

    MNIST(root, download=True)


class Mnist:
    """MNIST.

    Args:
        validation: number of training images held back for validation, the last ones.
        pad: 2 for zero-padding to 32 × 32.
        noise: ``{pattern, variance}`` of the noise added to all splits; the images are then float32,
            and the noise is fixed by the seed of ``prepare``, whatever the limits.
        train_limit: keep only the first so many training images, after validation was taken.
        test_limit: keep only the first so many test images.
    """

    published = RawSet("MNIST", tuple(MD5), ADVICE, (FOLDER,), ("mnist",), _download)

    def __init__(
        self,
        *,
        validation: NonNegativeInt = 0,
        pad: Literal[0, 2] = 0,
        noise: Noise | None = None,
        train_limit: PositiveInt | None = None,
        test_limit: PositiveInt | None = None,
    ):
        self.validation = validation
        self.pad = pad
        self.noise = None if noise is None else Noise.model_validate(noise)
        self.train_limit = train_limit
        self.test_limit = test_limit

    @property
    def training_images(self) -> int:
        """Images of the training split."""
        return len(range(PUBLISHED["train"] - self.validation)[: self.train_limit])

    def write(self, raw: RawFiles, store: StoreWriter) -> None:
        """Write training, validation and test images, in the files' order."""
        folder = raw.find(self.published)
        images, labels = _read(raw, folder, "train")
        test_images, test_labels = _read(raw, folder, "t10k")
        train, validation = training_rows("mnist", len(images), self.validation, self.train_limit)
        test = slice(0, len(test_images) if self.test_limit is None else self.test_limit)
        if test.stop > len(test_images):
            raise UserError(f"mnist: test_limit is {test.stop} of {len(test_images)} test images; lower it.")
        self._append(store, images, labels, [train, validation], stream=0)
        self._append(store, test_images, test_labels, [test], stream=1)
        side = SIZE + 2 * self.pad
        store.describe(
            splits=ordered_splits(train.stop, self.validation, test.stop),
            noise=None if self.noise is None else self.noise.describe((1, side, side), store.seed),
        )

    def _append(
        self, store: StoreWriter, images: np.ndarray, labels: np.ndarray, kept: list[slice], stream: int
    ) -> None:
        rng = np.random.default_rng([store.seed, stream])
        keep = np.zeros(len(images), bool)
        for rows in kept:
            keep[rows] = True
        margin = (self.pad, self.pad)
        for first in range(0, len(images), BATCH):
            rows = slice(first, first + BATCH)
            batch = np.pad(images[rows, None], ((0, 0), (0, 0), margin, margin))
            if self.noise is not None:
                batch = add_noise(batch.astype(np.float32) / 255, labels[rows], self.noise, rng)
            if keep[rows].any():
                store.append(batch[keep[rows]], labels[rows][keep[rows]])


def _read(raw: RawFiles, folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    images = _read_idx(raw, folder / f"{part}-images-idx3-ubyte", 3, PUBLISHED[part])
    labels = _read_idx(raw, folder / f"{part}-labels-idx1-ubyte", 1, PUBLISHED[part])
    if images.shape[1:] != (SIZE, SIZE):
        raise UserError(
            f"{folder / f'{part}-images-idx3-ubyte'} holds images of {images.shape[1]} × {images.shape[2]}, "
            f"MNIST's are {SIZE} × {SIZE}; replace it with the published file."
        )
    if len(images) != len(labels):
        raise UserError(
            f"{folder} holds {len(images)} {part} images but {len(labels)} {part} labels; replace both files "
            "with the published ones."
        )
    if labels.max() > 9:
        raise UserError(
            f"{folder / f'{part}-labels-idx1-ubyte'} holds the label {labels.max()}, which is no digit; "
            "replace it with the published file."
        )
    return images, labels


def _read_idx(raw: RawFiles, path: Path, dimensions: int, published: int) -> np.ndarray:
    content = raw.read(path)
    array = parse_idx(content, dimensions, path)
    if len(array) == published:
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if md5 != MD5[path.name]:
            raise UserError(
                f"{path} is not MNIST's: its MD5 is {md5}, the published one {MD5[path.name]}. "
                "Delete it, and it is downloaded again."
            )
    return array
