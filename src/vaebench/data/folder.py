"""A folder of one's own pictures: class by class in folders, or flat.

Either it has folders ``train`` and ``test`` (and perhaps ``validation``), each with the pictures, or all
pictures are divided at random by the options ``test`` and ``validation``. Where pictures lie in folders, the
name of the first one is the class. Links to folders are followed; what systems and notebooks put beside
pictures (hidden folders, thumbnails) is passed over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps
from pydantic import PositiveInt

from vaebench.base.errors import UserError
from vaebench.data.instead import contents, is_hidden
from vaebench.data.pictures import append_pictures, resized
from vaebench.data.raw import RawFiles, RawSet
from vaebench.data.shares import Part, divide
from vaebench.data.splits import ordered_splits
from vaebench.data.store import StoreWriter

__all__ = ["Folder"]

SUFFIXES = {
    *(".png", ".jpg", ".jpeg", ".jfif", ".webp", ".bmp", ".tif", ".tiff", ".gif"),
    *(".ppm", ".pgm", ".tga", ".jp2", ".avif", ".heic", ".heif", ".jxl"),
}
"""Of pictures; one that Pillow cannot read here is refused by its name, not left out."""

OWN = ("train", "validation", "test")
LIKE_SPLITS = {*OWN, "training", "testing", "val", "valid", "dev", "eval", "evaluation"}
"""Names that folders of splits have elsewhere, and folders of classes have not."""

OF_SYSTEMS = {"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found"}
"""Folders that hold copies or thumbnails of pictures, and nothing of the user's."""

ADVICE = (
    "It is the folder of pictures that the source's option `path` names: pictures, folders of one class "
    "each, or folders train and test with these."
)


class Folder:
    """Pictures in a folder.

    Args:
        path: the folder, below ``$VAEBENCH_DATA`` or ``data/raw``, or an absolute path.
        side: height and width that the pictures are brought to.
        channels: 3 for colour, 1 for grey.
        crop: ``center`` cuts a picture to a square, ``none`` squeezes it into one.
        labels: ``folder`` takes the first folder's name as the class, ``none`` keeps no classes.
        test: images of the test split, or their share, where there are no folders ``train`` and ``test``.
        validation: as ``test``, of the validation split; from the training images where there are folders.
        limit: most images of each split.
    """

    def __init__(
        self,
        *,
        path: str,
        side: PositiveInt,
        channels: Literal[1, 3] = 3,
        crop: Literal["center", "none"] = "center",
        labels: Literal["folder", "none"] = "folder",
        test: Part = 0.2,
        validation: Part | Literal[0] = 0,
        limit: PositiveInt | None = None,
    ):
        self.path, self.side, self.channels = path, side, channels
        self.crop, self.labels = crop, labels
        self.test, self.validation, self.limit = test, validation, limit

    def write(self, raw: RawFiles, store: StoreWriter) -> None:
        """Write the splits, each in a random order that depends on the store's seed."""
        folder = raw.find(RawSet("The folder of pictures", (self.path,), ADVICE)) / self.path
        if not folder.is_dir():
            raise UserError(f"{folder} is a file, and the source's option `path` names a folder. {ADVICE}")
        splits = self._splits(folder, store.seed)
        classes = sorted({name for part in splits.values() for _, name in part})
        paths, names = zip(*(entry for part in splits.values() for entry in part), strict=True)
        labels = (
            None if self.labels == "none" or classes == [""] else np.array([classes.index(n) for n in names])
        )
        if labels is not None and "" in classes:
            raise UserError(
                f"{folder} holds pictures beside the folders of classes, {paths[names.index('')]} say; move "
                "them into one, or set the source's labels: none."
            )
        raw.record(folder, append_pictures(paths, self._fit, store, folder.name, labels))
        store.describe(splits=ordered_splits(*(len(splits[name]) for name in OWN)))

    def _splits(self, folder: Path, seed: int) -> dict[str, list[tuple[Path, str]]]:
        """Each split's pictures with their classes."""
        shares = {"validation": self.validation, "test": self.test}
        if (folder / "train").is_dir() and (folder / "test").is_dir():
            shares = {"validation": 0 if (folder / "validation").is_dir() else self.validation}
            _refuse(folder, {name for _, name in _pictures(folder)} - set(OWN))
            found = {name: _pictures(folder / name) for name in OWN if (folder / name).is_dir()}
        else:
            found = {"train": _pictures(folder)}
            names = {name for _, name in found["train"]}
            _refuse(folder, names if {name.lower() for name in names} <= LIKE_SPLITS else set())
        title = f"The folder {folder}"
        for name in ("train", "test"):
            if name in found and not found[name]:
                raise UserError(f"{title} holds no pictures to {name} with; it holds: {contents(folder)}.")
        divided = divide(title, len(found["train"]), shares, seed, self.limit)
        splits = {name: [found["train"][row] for row in rows] for name, rows in divided.items()}
        for name in found.keys() - {"train"}:
            (rows,) = divide(title, len(found[name]), {}, seed, self.limit).values()
            splits[name] = [found[name][row] for row in rows]
        return splits

    def _fit(self, image: Image.Image) -> Image.Image:
        if self.crop == "center":
            image = ImageOps.fit(image, (min(image.size),) * 2)
        image = resized(image, self.side)
        return image.convert("L") if self.channels == 1 else image


def _refuse(folder: Path, names: set[str]) -> None:
    """An error where these folders, "" for ``folder`` itself, hold pictures that no split would have."""
    if names:
        listed = ", ".join(str(folder / name) for name in sorted(names))
        raise UserError(
            f"{listed} hold pictures beside the folders of the splits, or in place of them. Those are called "
            f"{', '.join(OWN)}, and train and test must be there: rename the folders, or move the rest away."
        )


def _pictures(folder: Path) -> list[tuple[Path, str]]:
    """Each picture below ``folder``, in order, with its class, "" where it lies in ``folder`` itself."""
    found = []
    for path in sorted(_files(folder)):
        inside = path.relative_to(folder)
        if path.suffix.lower() in SUFFIXES and not is_hidden(path):
            found.append((path, inside.parts[0] if len(inside.parts) > 1 else ""))
    return found


def _files(folder: Path) -> Iterator[Path]:
    """Files below ``folder``, and links to nothing; a link to a folder is followed, in a circle once."""
    seen = set()
    for here, inner, files in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(here))
        inner[:] = [
            name
            for name in inner
            if not is_hidden(Path(name))
            and name not in OF_SYSTEMS
            and os.path.realpath(Path(here, name)) not in seen
        ]
        paths = (Path(here, name) for name in files)
        yield from (path for path in paths if path.is_file() or path.is_symlink())
