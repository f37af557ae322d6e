"""Check that a data set's raw files are still those that its store was prepared from.

``meta.json`` has the SHA-256 of every raw file, the same on all machines. A file's size and time
on this machine (of a folder, those of all files in it) are kept under ``.vaebench/raw``, so that looking
again costs no reading. They are kept by that digest: DVC restores stores that were prepared earlier, of other
files than those that were looked at last.
"""

from __future__ import annotations

import os
from pathlib import Path

from vaebench.base.errors import UserError
from vaebench.base.files import file_digest, read_json, write_json
from vaebench.base.reading import mapping_or_empty
from vaebench.data.raw import RawFiles

__all__ = ["changed_sources", "remember_sources"]

KEPT = Path(".vaebench/raw")


def remember_sources(store: Path) -> None:
    """Record size and time of the raw files of a newly prepared ``store``."""
    _keep(store, {name: _look(path) for name, path in _found(store).items() if path})


def changed_sources(store: Path) -> list[str]:
    """A line for each raw file that is not what ``store`` was prepared from; none where there is no store.

    A file that is nowhere is not missed, unless another one was set for the store's (``$VAEBENCH_DATA``).
    """
    try:
        digests, found = _digests(store), _found(store)
    except (OSError, ValueError, AttributeError, UserError):
        return []
    kept = _kept(store)
    lines: list[str] = []
    looks: dict[str, list] = {}
    for name, path in found.items():
        before = kept.get(name, {})
        remembered = before.get(digests[name])
        if path is None:
            if remembered and Path(remembered[0]).exists():
                lines.append(f"{name} is not below the folder that VAEBENCH_DATA names now")
            continue
        look = _look(path)
        if look == remembered:
            continue
        looks[name] = look
        if not _is_the_same(path, digests[name], was_seen=bool(before)):
            lines.append(f"{path} was replaced or has other content")
    if looks and not lines:
        _keep(store, looks)
    return lines


def _kept(store: Path) -> dict[str, dict[str, list]]:
    """Looks at each raw file by its digest; empty where nothing is kept, or not in this form."""
    kept = mapping_or_empty(_path(store))
    return {name: looks for name, looks in kept.items() if isinstance(looks, dict)}


def _keep(store: Path, looks: dict[str, list]) -> None:
    kept, digests = _kept(store), _digests(store)
    write_json(
        _path(store), kept | {name: kept.get(name, {}) | {digests[name]: looks[name]} for name in looks}
    )


def _path(store: Path) -> Path:
    return KEPT / store.parent.name / f"{store.name}.json"


def _digests(store: Path) -> dict[str, str]:
    return read_json(store / "meta.json").get("sources", {})


def _found(store: Path) -> dict[str, Path | None]:
    """Path from which each raw file of a store would be read now."""
    roots = RawFiles.default().roots
    return {
        name: next((root / name for root in roots if (root / name).exists()), None)
        for name in _digests(store)
    }


def _look(path: Path) -> list:
    """The place of a file or folder, the number of files, their bytes and their newest time."""
    entries = [path.stat()]
    if path.is_dir():
        entries = [Path(folder, name).stat() for folder, _, names in os.walk(path) for name in names]
    newest = max((entry.st_mtime_ns for entry in entries), default=0)
    return [str(path.absolute()), len(entries), sum(entry.st_size for entry in entries), newest]


def _is_the_same(path: Path, digest: str, was_seen: bool) -> bool:
    """Compare by content; a folder, whose digest only its source can make, counts as new if it was seen."""
    if path.is_dir():
        return not was_seen
    return file_digest(path) == digest
