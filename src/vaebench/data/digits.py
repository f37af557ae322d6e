"""The handwritten digits that scikit-learn ships: 1,797 images of 8 × 8, for runs without a network.

The values 0 to 16 are stored as 0 to 255. The test split is the last 360 images in the published order,
so it depends on no seed.
"""

from __future__ import annotations

import numpy as np
from pydantic import NonNegativeInt

from vaebench.data.raw import RawFiles
from vaebench.data.splits import ordered_splits, training_rows
from vaebench.data.store import StoreWriter

__all__ = ["Digits"]

TEST = 360
WHITE = 16


class Digits:
    """scikit-learn's digits.

    Args:
        validation: number of training images held back for validation, the last ones.
    """

    def __init__(self, *, validation: NonNegativeInt = 0):
        self.validation = validation

    def write(self, raw: RawFiles, store: StoreWriter) -> None:
        """Write the whole set: training, validation, test, in the published order."""
        from sklearn.datasets import load_digits

        published = load_digits()
        images = np.rint(published.images[:, None] * (255 / WHITE)).astype(np.uint8)
        train, _ = training_rows("digits", len(images) - TEST, self.validation)
        store.append(images, published.target)
        store.describe(splits=ordered_splits(train.stop, self.validation, TEST))
