"""Three things that DVC does over again for each stage, at a cost that grows with the study.

In a study of hundreds of stages they are most of the head's time: ``params.yaml`` is parsed six times a
stage, searched as a whole for each key, and every folder's listing stays in a file system in memory that is
then searched as a whole. What DVC computes is the same with and without.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dvc.dependency.param as dvc_param
from dvc.fs import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

__all__ = ["forget_listings", "quick_params"]


@contextmanager
def quick_params() -> Iterator[None]:
    """Have DVC parse a parameters file again only when it has changed, and look keys up by their path."""
    parsed: dict[str, tuple[tuple, Any]] = {}
    slow = dvc_param.read_param_file

    def read(fs, path: str, key_paths: Sequence[str] | None = None, flatten: bool = False, **options) -> Any:
        if options or not flatten or not key_paths or not isinstance(fs, LocalFileSystem):
            return slow(fs, path, key_paths, flatten, **options)
        stat = os.stat(path)  # noqa: PTH116
        version = stat.st_mtime_ns, stat.st_size, stat.st_ino
        if path not in parsed or parsed[path][0] != version:
            parsed[path] = version, dvc_param.load_path(path, fs)
        try:
            return {key: _value(parsed[path][1], key) for key in key_paths}
        except KeyError:  # not there, or a pattern, or an index into a list
            return slow(fs, path, key_paths, flatten)

    dvc_param.read_param_file = read
    try:
        yield
    finally:
        dvc_param.read_param_file = slow


def forget_listings() -> None:
    """Empty the file system in memory, between two stages, when nothing in it is needed."""
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def _value(tree: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(tree, dict):
            raise KeyError(key)
        tree = tree[part]
    return tree
