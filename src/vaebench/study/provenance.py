"""How a result was made: beside it, never in it, so that a repeated run's metrics are byte-equal."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import vaebench
from vaebench.study.params import Params

__all__ = ["code_digest", "describe", "digest", "item_digest"]

_LIBRARIES = ("vaebench", "torch", "torchvision", "numpy", "scikit-learn", "pytorch-fid", "dvc", "mlflow")


def digest(content) -> str:
    """SHA-256 of ``content`` (anything that JSON can hold), in hex."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def code_digest(*parts: str) -> str:
    """SHA-256 over the package's source, or over the given files and folders of it."""
    root = Path(vaebench.__file__).parent
    hashed = hashlib.sha256()
    for part in parts or (".",):
        path = root / part
        for file in sorted([path] if path.is_file() else path.rglob("*.py")):
            hashed.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return hashed.hexdigest()


def item_digest(params: Params, dataset: str, method: str, seed: int) -> str:
    """SHA-256 of the parameters that determine one training."""
    parts = params.datasets[dataset], params.methods[method], params.training
    return digest([*(p.model_dump() for p in parts), seed])


def describe(
    stage: str,
    params: Params,
    dataset: str,
    method: str,
    seed: int,
    *,
    data: dict,
    device: str,
    seconds: dict[str, float],
) -> dict:
    """The content of a provenance file.

    Args:
        stage: the stage's name.
        params: the study.
        dataset: which cell of the grid, with ``method`` and ``seed``.
        method: see ``dataset``.
        seed: see ``dataset``.
        data: the prepared data set's ``meta.json``.
        device: what it ran on, in words.
        seconds: wall times by part.
    """
    cell = f"{params.study.name}-{dataset}-{method}-{seed}"
    return {
        "stage": stage,
        "command": f"dvc repro -s -f {stage}@{cell}",
        "git_commit": _git("rev-parse", "HEAD"),
        "git_dirty": bool(_git("status", "--porcelain", "--", "src", "stages", "params.yaml")),
        "digests": {
            "params": item_digest(params, dataset, method, seed),
            "data": digest(data),
            "code": code_digest(),
        },
        "device": device,
        "python": platform.python_version(),
        "versions": {name: v for name in _LIBRARIES if (v := _version(name))},
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "argv": sys.argv[1:],
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.strip() if result.returncode == 0 else None
