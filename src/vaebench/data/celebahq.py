"""CelebA-HQ: a folder of square images, resized to 128 × 128 without a cut (Takida et al., Appendix I.3).

The set has no split of its own, and the paper does not state its one. Here the images are put in the
order of the numbers in their names (so that ``2.jpg`` comes before ``10.jpg``); the last ``test`` of them
are the test split, those before the validation split. 3,000 of the 30,000 is the usual share.
"""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

from PIL import Image
from pydantic import NonNegativeInt, PositiveInt

from vaebench.base.errors import UserError
from vaebench.data.instead import contents, is_hidden
from vaebench.data.pictures import append_pictures, resized
from vaebench.data.raw import RawFiles, RawSet
from vaebench.data.splits import ordered_splits, training_rows
from vaebench.data.store import StoreWriter

__all__ = ["CelebAHQ"]

FOLDER = "celebahq"
SUFFIXES = {".png", ".jpg", ".jpeg"}
ALIASES = (FOLDER, "CelebA-HQ-img", "CelebAMask-HQ", "data1024x1024")
SIDE = 128
PUBLISHED = 30_000
ADVICE = (
    f"It is a folder {FOLDER} of square images, .png or .jpg, made as "
    "https://github.com/tkarras/progressive_growing_of_gans describes, or CelebAMask-HQ's "
    "folder CelebA-HQ-img under that name."
)


class CelebAHQ:
    """CelebA-HQ at 128 × 128.

    Args:
        test: number of images of the test split, the last ones.
        validation: number of images held back for validation, those before the test split.
        limit: keep only the first so many images of each split.
    """

    published = RawSet("CelebA-HQ", (".",), ADVICE, (FOLDER,), ALIASES)

    def __init__(
        self,
        *,
        test: PositiveInt = 3_000,
        validation: NonNegativeInt = 0,
        limit: PositiveInt | None = None,
    ):
        self.test = test
        self.validation = validation
        self.limit = limit

    @property
    def training_images(self) -> int:
        """Images of the training split."""
        return len(range(PUBLISHED - self.test - self.validation)[: self.limit])

    def write(self, raw: RawFiles, store: StoreWriter) -> None:
        """Write the images, in the order of the numbers in their names."""
        folder = raw.find(self.published)
        paths = sorted(filter(_is_picture, folder.iterdir()), key=_natural)
        if len(paths) <= self.test:
            raise UserError(
                f"{folder} holds {len(paths)} images, of which celebahq's option test takes {self.test}; "
                f"lower it, or add images. It holds: {contents(folder)}. {ADVICE}"
            )
        rows = training_rows("celebahq", len(paths) - self.test, self.validation)
        kept = [paths[part][: self.limit] for part in (*rows, slice(-self.test, None))]
        raw.record(folder, append_pictures([*chain(*kept)], _fit, store, "CelebA-HQ"))
        store.describe(splits=ordered_splits(*map(len, kept)))


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not is_hidden(path) and not path.is_dir()


def _fit(image: Image.Image) -> Image.Image:
    if image.width != image.height:
        raise ValueError(f"it is {image.width} × {image.height}, not square; cut it")
    return resized(image, SIDE)


def _natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """``img10`` after ``img2``; the name itself decides between ``2`` and ``02``."""
    parts = re.findall(r"\d+|\D+", path.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name
