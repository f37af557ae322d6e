"""Repair of the files that a killed DVC leaves truncated, which then stop every dvc command.

``dvc.lock`` holds what DVC could find out again: without it, ``dvc repro`` takes every stage's outputs from
its run cache. ``.dvc/tmp/rwlock`` says which process is at work on which path. Run by ``make repro``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import yaml

__all__ = ["repair", "set_damaged_aside"]


def repair(root: Path) -> list[str]:
    """Set a damaged ``dvc.lock`` aside and remove a damaged ``rwlock``.

    Nothing is touched while another DVC holds the repository: it may be writing these files just now, and
    ``dvc repro`` says that it is there.

    Args:
        root: the repository.

    Returns:
        A line on each damaged file.
    """
    lock, rwlock = root / "dvc.lock", root / ".dvc/tmp/rwlock"
    if _is_whole(lock, _readable) and _is_whole(rwlock, _names_processes):
        return []
    from dvc.lock import LockError
    from dvc.repo import Repo

    lines = []
    try:
        with Repo(os.fspath(root)) as repo, repo.lock:
            if moved := set_damaged_aside(lock):
                lines.append(f"dvc.lock was damaged and is now {moved}; results come from DVC's run cache.")
            if not _is_whole(rwlock, _names_processes):
                rwlock.unlink()
                lines.append(f"{rwlock} was damaged and is removed; it named the processes of a killed dvc.")
    except LockError:
        pass
    return lines


def set_damaged_aside(path: Path = Path("dvc.lock")) -> Path | None:
    """Rename a lock file that DVC could not read to ``dvc.lock.damaged``.

    Returns:
        The new name; None where the file is not there or can be read.
    """
    if _is_whole(path, _readable):
        return None
    return path.rename(path.with_name(f"{path.name}.damaged"))


def _is_whole(path: Path, readable: Callable[[Path], bool]) -> bool:
    return not path.exists() or readable(path)


def _names_processes(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(content, dict) and content.keys() <= {"read", "write"}


def _readable(path: Path) -> bool:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        return False
    if not isinstance(content, dict) or content.get("schema") != "2.0":
        return False
    stages = content.get("stages", {})
    return isinstance(stages, dict) and all(map(_is_stage, stages.values()))


def _is_stage(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("cmd"), str | list):
        return False
    params, files = entry.get("params", {}), [entry.get("deps", []), entry.get("outs", [])]
    return (
        isinstance(params, dict)
        and all(isinstance(values, dict) for values in params.values())
        and all(isinstance(part, list) for part in files)
        and all(_is_file(file) for part in files for file in part)
    )


def _is_file(entry: object) -> bool:
    """A path with its hash and size, as DVC writes them."""
    kinds = {"path": str, "md5": str, "size": int, "hash": str, "nfiles": int, "isexec": bool}
    return (
        isinstance(entry, dict)
        and {"path", "md5", "size"} <= entry.keys() <= kinds.keys()
        and all(isinstance(value, kinds[key]) for key, value in entry.items())
        and len(entry["md5"].removesuffix(".dir")) == 32
    )


if __name__ == "__main__":
    for line in repair(Path()):
        print(line)
