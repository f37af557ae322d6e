"""CelebA: the aligned faces, cut as in both papers' protocols.

The owner's ``img_align_celeba/`` and ``list_eval_partition.txt`` (0 train, 1 validation, 2 test). The
central 140 × 140 pixels are resized to 64 × 64 (Takida et al., Appendix I.2, after the WAE); the size of
the cut moves the FID a lot, so it is an option. The resampling is not stated there: bilinear here.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Literal

from PIL import Image
from pydantic import PositiveInt

from vaebench.base.errors import UserError
from vaebench.data.pictures import append_pictures, resized
from vaebench.data.raw import RawFiles, RawSet
from vaebench.data.splits import ordered_splits
from vaebench.data.store import StoreWriter

__all__ = ["CelebA"]

IMAGES = "img_align_celeba"
PARTITION = "list_eval_partition.txt"
SIDE = 64
SPLITS = ("train", "validation", "test")
TRAIN = 162_770
ADVICE = (
    f"From https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html take img_align_celeba.zip, unpacked, and "
    f"{PARTITION}: celeba/{IMAGES}/000001.jpg … and celeba/{PARTITION}."
)


class CelebA:
    """CelebA at 64 × 64.

    Args:
        crop: side of the central square that is kept of the 178 × 218 pixels.
        value_range: what the model sees; Saha et al. map CelebA to [-1, 1].
        limit: keep only the first so many images of each split.
    """

    published = RawSet("CelebA", (IMAGES, PARTITION), ADVICE, ("celeba", "."), ("celeba",))

    def __init__(
        self,
        *,
        crop: PositiveInt = 140,
        value_range: tuple[Literal[-1, 0], Literal[1]] = (0, 1),
        limit: PositiveInt | None = None,
    ):
        self.crop = crop
        self.value_range = value_range
        self.limit = limit

    @property
    def training_images(self) -> int:
        """Images of the training split."""
        return len(range(TRAIN)[: self.limit])

    def write(self, raw: RawFiles, store: StoreWriter) -> None:
        """Write the owner's three partitions, each in the list's order."""
        folder = raw.find(self.published)
        listed = _read_partition(raw, folder / PARTITION)
        kept = [listed[split][: self.limit] for split in SPLITS]
        paths = [folder / IMAGES / name for name in chain(*kept)]
        raw.record(folder / IMAGES, append_pictures(paths, self._fit, store, "CelebA"))
        store.describe(splits=ordered_splits(*map(len, kept)), value_range=self.value_range)

    def _fit(self, image: Image.Image) -> Image.Image:
        left, top = (image.width - self.crop) // 2, (image.height - self.crop) // 2
        if min(left, top) < 0:
            raise ValueError(
                f"it is {image.width} × {image.height}, too small for a crop of {self.crop}; lower crop"
            )
        return resized(image.crop((left, top, left + self.crop, top + self.crop)), SIDE)


def _read_partition(raw: RawFiles, path: Path) -> dict[str, list[str]]:
    listed: dict[str, list[str]] = {split: [] for split in SPLITS}
    seen = set()
    for number, line in enumerate(raw.read(path).decode("utf-8", "replace").splitlines(), 1):
        match line.split():
            case []:
                continue
            case [name, "0" | "1" | "2" as part] if Path(name).name == name and name not in seen:
                seen.add(name)
                listed[SPLITS[int(part)]].append(name)
            case _:
                raise UserError(
                    f"{path}, line {number}: {line[:80]!r} is not a new file name and 0, 1 or 2; replace "
                    "the file with the published one."
                )
    empty = [split for split in ("train", "test") if not listed[split]]
    if empty:
        raise UserError(
            f"{path} lists no image for {' and '.join(empty)}; replace it with the published file."
        )
    return listed
