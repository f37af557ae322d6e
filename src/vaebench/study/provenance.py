"""Provenance of a result, kept beside it and never in it, so that a repeated run's metrics are byte-equal."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from types import MappingProxyType
from typing import TYPE_CHECKING

from vaebench.base.files import file_digest
from vaebench.base.reading import mapping_or_empty
from vaebench.study import paths
from vaebench.study.params import Params
from vaebench.study.resolve import parameters

if TYPE_CHECKING:
    from vaebench.study.stage import Task

__all__ = [
    "describe",
    "digest",
    "environment",
    "git_trouble",
    "item_digest",
    "other_arrays",
    "repository_state",
]

_LIBRARIES = ("vaebench", "torch", "torchvision", "numpy", "scikit-learn", "pytorch-fid", "dvc", "mlflow")


def digest(content) -> str:
    """SHA-256 of ``content`` (anything that JSON can hold), in hex."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def item_digest(params: Params, dataset: str, method: str, seed: int, stage: str = "train") -> str:
    """SHA-256 of the parameters that determine one training, or what another stage makes of it."""
    return digest([parameters(params, stage, dataset=dataset, method=method), seed])


def repository_state() -> dict[str, str | bool | None]:
    """The commit, and whether the code or the parameters differ from it; None where git cannot tell."""
    status = _git("status", "--porcelain", "--", "src", "stages", "params.yaml")
    return {"git_commit": _git("rev-parse", "HEAD"), "git_dirty": None if status is None else bool(status)}


def environment() -> dict:
    """The commit, Python and the libraries of a result that is no stage's."""
    return {**repository_state(), **_libraries()}


def other_arrays(recorded: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The prepared data set's arrays that are not those of a record.

    Args:
        recorded: the record's ``digests``; one of an older version says nothing of them.
        now: as ``arrays`` of :func:`describe`.
    """
    return [name for name in now if name in recorded and recorded[name] != now[name]]


def git_trouble() -> str:
    """Reason why git cannot tell the commit, and its advice; empty where it can."""
    try:
        result = subprocess.run(["git", "log", "-1"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if result.returncode == 0 else " ".join(result.stderr.split())


def describe(
    task: Task,
    *,
    data: dict,
    device: str,
    seconds: dict[str, float],
    arrays: Mapping[str, str] = MappingProxyType({}),
) -> dict:
    """The content of a provenance file: ``task`` as it stood when it began, its run and what it wrote.

    Args:
        task: a stage of one cell of the grid.
        data: the prepared data set's ``meta.json``.
        device: the device in words.
        seconds: wall times by part; ``cpu``, the processor time of all threads since then, is added.
        arrays: SHA-256 of each of the prepared data set's arrays that the result is of, by its name. ``data``
            does not tell sets of the same images and other labels apart.
    """
    seconds = {**seconds, "cpu": time.process_time() - task.cpu_began}
    cell = "-".join([task.params.study.name, *map(str, task.cell.values())])
    return {
        "stage": task.stage,
        "command": f"dvc repro -s -f {task.stage}@{cell}",
        **task.repository,
        "digests": {
            "params": digest([task.inputs["parameters"], task.cell["seed"]]),
            "data": digest(data),
            "code": digest(task.inputs["code"]),
            **arrays,
            **dict(_result(task)),
        },
        "device": device,
        **_libraries(),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "argv": sys.argv[1:],
    }


def _result(task: Task) -> Iterator[tuple[str, str]]:
    """The digest of the history or the metrics, and that of the parameters that the model was trained by."""
    if task.stage == "train":
        yield "result", file_digest(paths.history_csv(*task.names))
    else:
        yield "result", file_digest(paths.metrics_json(*task.names))
        trained = mapping_or_empty(paths.provenance_json("train", *task.names)).get("digests", {})
        if "params" in trained:
            yield "training", trained["params"]


def _libraries() -> dict:
    versions = {name: v for name in _LIBRARIES if (v := _version(name))}
    return {"python": platform.python_version(), "versions": versions}


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
