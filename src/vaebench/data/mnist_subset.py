"""5,000 of MNIST's images, shipped with vaebench: 28 × 28 digits for runs without a network or a download.

The first 400 training and the first 100 test images of every class, in turn: image 10 i + c of a part is
the i-th of class c in the published order, so any ten images in a row hold one of each class.

    python -m vaebench.data.mnist_subset        # writes the file anew, from the published files

MNIST is by Yann LeCun and Corinna Cortes, from NIST's Special Databases 1 and 3
(http://yann.lecun.com/exdb/mnist/), under CC BY-SA 3.0 (https://creativecommons.org/licenses/by-sa/3.0/);
so is this part of it.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from vaebench.base.errors import UserError
from vaebench.base.files import file_digest
from vaebench.data.idx import parse_idx
from vaebench.data.mnist import Mnist
from vaebench.data.raw import RawFiles, unreadable
from vaebench.data.splits import ordered_splits, training_rows
from vaebench.data.store import StoreWriter

__all__ = ["MnistSubset", "choose"]

FILE = Path(__file__).with_name("mnist_subset.npz")
SHA256 = "81c338c6196855a55a8c68f6a56523a81d5e0f8051873280e941dd174570aa61"
CLASSES = 10
TRAIN, TEST = 400 * CLASSES, 100 * CLASSES


class MnistSubset:
    """The part of MNIST that is shipped: 4,000 training and 1,000 test images, balanced over the classes.

    Args:
        validation: number of training images held back for validation, the last ones.
        test: number of test images kept, the first ones.
    """

    def __init__(
        self, *, validation: NonNegativeInt = 0, test: Annotated[PositiveInt, Field(le=TEST)] = TEST
    ):
        self.validation, self.test = validation, test

    def write(self, raw: RawFiles, store: StoreWriter) -> None:
        """Write training, validation and test images, in the file's order."""
        images, labels = _shipped()
        train, _ = training_rows("mnist_subset", TRAIN, self.validation)
        kept = slice(TRAIN + self.test)
        store.append(images[kept, None], labels[kept].astype(np.int64))
        store.describe(splits=ordered_splits(train.stop, self.validation, self.test))


def choose(labels: np.ndarray, count: int) -> np.ndarray:
    """Rows of the first ``count`` // 10 images of each class of ``labels`` (N,), the classes in turn."""
    each = [np.flatnonzero(labels == label)[: count // CLASSES] for label in range(CLASSES)]
    return np.stack(each, axis=1).ravel()


def _shipped() -> tuple[np.ndarray, np.ndarray]:
    try:
        content = FILE.read_bytes()
    except OSError as error:
        raise unreadable(FILE, error) from None
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise UserError(f"{FILE} is not the file that vaebench ships; `git checkout` it, or install anew.")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return arrays["images"], arrays["labels"]


def _write(target: Path) -> None:
    raw, images, labels = RawFiles.default(), [], []
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        names = [f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"]
        folder = raw.find(Mnist.published)
        pixels, classes = (
            parse_idx(raw.read(folder / n), d, folder / n) for n, d in zip(names, (3, 1), strict=True)
        )
        rows = choose(classes, count)
        images.append(pixels[rows])
        labels.append(classes[rows])
    np.savez_compressed(target, images=np.concatenate(images), labels=np.concatenate(labels))
    print(f"wrote {target}: SHA-256 {file_digest(target)}")


if __name__ == "__main__":
    _write(FILE)
