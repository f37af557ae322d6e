"""Files and folders that are either whole or not there."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tokenize import TokenError
from typing import Any

__all__ = [
    "UNREADABLE_ARRAYS",
    "file_digest",
    "read_json",
    "read_yaml",
    "replace_folder",
    "write_atomically",
    "write_folder",
    "write_json",
    "write_text",
]

UNREADABLE_ARRAYS = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError),
    *(SyntaxError, TokenError, zipfile.BadZipFile, zlib.error),
)
"""Exceptions that numpy raises for a damaged ``.npy`` or ``.npz``, whose headers it reads as Python."""


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends without an error.

    What a kill leaves beside ``path`` is removed by the next writer of the same file.

    >>> with write_atomically(Path("/dev/shm/example.txt")) as temporary:
    ...     _ = temporary.write_text("whole")
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for partial in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        if not _is_running(partial.suffixes[-2]):
            partial.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield temporary
        _to_disk(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def write_folder(path: Path) -> Iterator[Path]:
    """An empty temporary folder beside ``path`` that takes its place when the block ends without an error.

    What a kill leaves beside ``path`` is removed by the next writer of the same folder.
    """
    temporary = path.with_name(f".{path.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        replace_folder(path, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(path: Path, new: Path) -> None:
    """Move the folder ``new`` to ``path``; a kill leaves the old one, the new one or none, no mixture."""
    old = path.with_name(f".{path.name}.old.partial")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, content: dict) -> None:
    """``content`` as sorted, indented JSON; NaN and infinity are refused, since JSON has none."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8, whole or not at all."""
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict:
    """The mapping in a JSON file.

    Raises:
        ValueError: it is not JSON in UTF-8, or holds no mapping.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("it does not hold a mapping")
    return content


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, which may hold plain values alone; by libyaml where that is installed."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return loader(path.read_text(encoding="utf-8")).get_single_data()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_running(suffix: str) -> bool:
    """True if the process whose id is in ``.<id>`` runs."""
    try:
        os.kill(int(suffix[1:]), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:  # another user's
        pass
    return True


def _to_disk(path: Path) -> None:
    """Flush to the disk: after a power cut the rename may be kept and the content lost."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
