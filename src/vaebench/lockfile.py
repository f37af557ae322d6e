"""``dvc.lock`` after a DVC that was killed while it wrote it: empty or cut off, it stops every dvc command.

It holds what DVC could find out again: without it, ``dvc repro`` takes every stage's outputs from its run
cache. Run by ``make repro``.
"""

from __future__ import annotations

from pathlib import Path

import yaml

__all__ = ["set_damaged_aside"]


def set_damaged_aside(path: Path = Path("dvc.lock")) -> Path | None:
    """Rename a lock file that DVC could not read to ``dvc.lock.damaged``.

    Returns:
        The new name; None where the file is not there or can be read.
    """
    if not path.exists() or _readable(path):
        return None
    return path.rename(path.with_name(f"{path.name}.damaged"))


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
    if moved := set_damaged_aside():
        print(f"dvc.lock was damaged and is now {moved}; DVC takes the results from its run cache.")
