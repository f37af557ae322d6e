"""Any image set of torchvision's that knows a training and a test split."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import PositiveInt

from vaebench.base.errors import UserError
from vaebench.data.pictures import as_rgb, resized
from vaebench.data.raw import RawFiles
from vaebench.data.shares import Part, divide
from vaebench.data.splits import ordered_splits
from vaebench.data.store import StoreWriter

__all__ = ["Torchvision"]

BATCH = 1000


class Torchvision:
    """A class of ``torchvision.datasets``, downloaded where it is not there.

    Args:
        dataset: its name, "FashionMNIST" say.
        side: height and width that the images are brought to; without it they keep theirs.
        channels: 3 for colour, 1 for grey.
        validation: training images to hold back, or their share.
        limit: most images of each split.
    """

    def __init__(
        self,
        *,
        dataset: str,
        side: PositiveInt | None = None,
        channels: Literal[1, 3] = 3,
        validation: Part | Literal[0] = 0,
        limit: PositiveInt | None = None,
    ):
        self.dataset, self.side, self.channels = dataset, side, channels
        self.validation, self.limit = validation, limit

    def write(self, raw: RawFiles, store: StoreWriter) -> None:
        """Write training, validation and test images."""
        training, test = (self._open(raw, split) for split in ("train", "test"))
        parts = divide(self.dataset, len(training), {"validation": self.validation}, store.seed, self.limit)
        (parts["test"],) = divide(self.dataset, len(test), {}, store.seed, self.limit).values()
        digest = hashlib.sha256()
        for name, rows in parts.items():
            for images, labels in self._batches(test if name == "test" else training, rows):
                digest.update(images.tobytes())
                store.append(images, labels)
        raw.record(Path("torchvision", self.dataset), digest.hexdigest())
        store.describe(splits=ordered_splits(*map(len, parts.values())))

    def _open(self, raw: RawFiles, split: Literal["train", "test"]):
        from torchvision import datasets

        known = [name for name in datasets.__all__ if _chooses(getattr(datasets, name))]
        if self.dataset not in known:
            raise UserError(
                f"torchvision has no set {self.dataset!r} with two splits; it has {', '.join(known)}."
            )
        cls = getattr(datasets, self.dataset)
        options = {"train": split == "train"} if _chooses(cls) == "train" else {"split": split}
        for root in raw.roots:
            try:
                return cls(str(root), download=False, **options)
            except (RuntimeError, OSError):
                continue
        root = raw.roots[-1]
        root.mkdir(parents=True, exist_ok=True)
        try:
            return cls(str(root), download=True, **options)
        except (RuntimeError, OSError, ValueError) as error:
            raise UserError(
                f"torchvision's {self.dataset} is not below {raw.roots[0]} and cannot be downloaded "
                f"({' '.join(str(error).split())}); put its files there."
            ) from None

    def _batches(self, images, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for first in range(0, len(rows), BATCH):
            pairs = [images[int(row)] for row in rows[first : first + BATCH]]
            pixels = np.stack([self._pixels(image) for image, _ in pairs])
            yield pixels, np.array([int(label) for _, label in pairs])

    def _pixels(self, image: Image.Image) -> np.ndarray:
        image = as_rgb(image)
        if self.side is not None:
            image = resized(image, self.side)
        pixels = np.asarray(image.convert("L") if self.channels == 1 else image)
        return pixels[None] if self.channels == 1 else pixels.transpose(2, 0, 1)


def _chooses(cls) -> Literal["train", "split", ""]:
    """The argument by which a set's class chooses a split, "" where it downloads nothing or has no such."""
    parameters = inspect.signature(cls).parameters
    if "download" not in parameters:
        return ""
    return "train" if "train" in parameters else "split" if "split" in parameters else ""
