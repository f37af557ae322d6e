"""Files that lie in the place of missing ones: still packed, under another name, one folder deeper.

>>> import tempfile
>>> folder = Path(tempfile.mkdtemp())
>>> (folder / "train-images.gz").touch()
>>> lookalikes([folder], ["train-images"]) == [f"{folder}/train-images.gz (still packed)"]
True
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["contents", "is_hidden", "lookalikes"]

DEPTH = 4
"""Folders below a root that are looked through."""

MOST_ENTRIES = 200_000
"""Entries that are looked at; a root may be a whole disk."""

MOST_NAMED = 3

PACKED = (".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar", ".zst")


def is_hidden(path: Path) -> bool:
    """True if the name begins with a dot, as macOS's ``._1.png`` beside ``1.png``."""
    return path.name.startswith(".")


def lookalikes(roots: Sequence[Path], names: Sequence[str]) -> list[str]:
    """The paths below ``roots`` whose names are like one of ``names``, with what is different about them.

    Args:
        roots: folders; one that is not there holds nothing.
        names: of files or folders; each is compared without case, punctuation and suffixes.

    Returns:
        At most three of them, those that are most alike first.
    """
    wanted = {key: name for name in names if (key := _core(name))}
    found = {
        path: wanted[key] for root in roots for path in _walk(root) if (key := _core(path.name)) in wanted
    }
    ranked = sorted(found, key=lambda path: (path.name != found[path], len(path.parts), str(path)))
    lines = [f"{path} ({_difference(path, found[path])})" for path in ranked[:MOST_NAMED]]
    return lines + [f"{len(found) - MOST_NAMED} more"] * (len(found) > MOST_NAMED)


def contents(folder: Path) -> str:
    """Content of a folder in words: ``"2 .txt, and in images 30,000 .png"``."""
    if not folder.is_dir():
        return "there is no such folder"
    parts = [_count(folder)]
    for inner in sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path))[
        :MOST_NAMED
    ]:
        parts.append(f"in {inner.name} {_count(inner) or 'only folders or nothing'}")
    return ", and ".join(filter(None, parts)) or "it is empty"


def _count(folder: Path) -> str:
    try:
        kinds = Counter(
            path.suffix.lower() for path in folder.iterdir() if path.is_file() and not is_hidden(path)
        )
    except OSError as error:
        return f"what cannot be read ({error.strerror})"
    return ", ".join(
        f"{count:,} {kind or 'without a suffix'}" for kind, count in kinds.most_common(MOST_NAMED)
    )


def _walk(root: Path) -> Iterator[Path]:
    left = MOST_ENTRIES
    for folder, inner, files in os.walk(root):
        here = Path(folder)
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield from (here / name for name in [*inner, *files] if not name.startswith("."))
        left -= len(inner) + len(files)
        if left < 0:
            return
        if len(here.relative_to(root).parts) >= DEPTH:
            inner.clear()


def _core(name: str) -> str:
    """A name without what differs between copies of one file: case, punctuation, suffixes."""
    stem = re.sub(r"(\.[a-z][a-z0-9]{0,4}){1,2}$", "", name.lower())
    return re.sub(r"[^a-z0-9]", "", stem or name.lower())


def _difference(path: Path, name: str) -> str:
    if path.is_symlink() and not path.exists():
        return "a link to what is not there"
    if path.suffix.lower() in PACKED:
        return "still packed"
    if path.name == name:
        return "in another folder"
    if path.is_dir() and Path(name).suffix:
        return "a folder"
    return "under another name"
