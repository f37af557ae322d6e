"""Address of the MLflow store, and the exporter that a stage starts and never waits for.

    with tracked("quickstart", "digits", "avae", 0):      # train: its curves appear while it runs
        ...

The exporter is a process of the lowest priority that looks at the files until the stage has ended and all is
written. What a store that fails said is a line at the stage's end. VAEBENCH_TRACKING=off starts none.

The store is ``$MLFLOW_TRACKING_URI``, or ``mlflow.db`` and ``mlruns`` in the workspace, also from DVC's
temporary copies of it. Whoever opens it works in that folder: a relative address holds no odd character.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vaebench.base.errors import one_line
from vaebench.base.workspace import workspace_root
from vaebench.study import paths
from vaebench.study.params import load_params

__all__ = ["DEFAULT", "enter_workspace", "store_uri", "tracked"]

DEFAULT = "sqlite:///mlflow.db"
FOLDER = Path(".vaebench/tracking")
INTERVAL, PATIENCE = 3.0, 120.0
"""Seconds between two looks at the files, and for which a store that fails is tried after the stage's end."""

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
QUICK = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


def store_uri() -> str:
    """The store's address, as seen from the workspace's folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT


def enter_workspace() -> Path:
    """Make the workspace the current folder, with settings of MLflow's; the way back to the folder before."""
    here, root = Path.cwd().resolve(), workspace_root()
    os.environ |= QUIET | QUICK | os.environ
    os.chdir(root)
    return here.relative_to(root)


@contextmanager
def tracked(study: str, *cell: object) -> Iterator[None]:
    """Export the files of a stage while and after it runs; no error of that reaches the stage.

    ``cell`` is data set, method and seed; without them all of the study is written at the end.
    """
    if os.environ.get("VAEBENCH_TRACKING") == "off":
        yield
        return
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", __name__, str(time.time()), study, *map(str, cell)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the stage
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},  # the stage's code, in DVC's copies too
    )
    try:
        yield
    finally:
        process.stdin.close()  # type: ignore[union-attr]
        root = workspace_root()
        with suppress(subprocess.TimeoutExpired):
            process.wait(60 if root != Path.cwd() else 0)  # DVC removes its temporary copies
        with suppress(OSError):
            message = (root / FOLDER / f"{study}.log").read_text("utf-8")
            print(f"tracking off: {message} (`vaebench track` writes what is missing)", flush=True)


def main(began: str, study: str, *names: str) -> None:
    """Export until standard input, which the stage holds open, is closed and all is written."""
    os.nice(19)
    base, trouble = enter_workspace(), FOLDER / f"{study}.log"
    FOLDER.mkdir(parents=True, exist_ok=True)
    cell: Any = (*names[:2], *map(int, names[2:]))
    file = paths.resolved_dir(study) / "study.json" if "DVC_STAGE" in os.environ else Path("params.yaml")
    params = load_params(base / file, specs=())
    for running in _looks(base / paths.history_csv(study, *cell) if cell else None, float(began)):
        try:
            from vaebench.tracking.export import export

            export(base, params, *cell, running=running)
            trouble.unlink(missing_ok=True)
            if not running:
                return
        except Exception as error:
            trouble.write_text(one_line(error), encoding="utf-8")


def _looks(history: Path | None, seen: float) -> Iterator[bool]:
    """True whenever a stage that runs has written its history, then False for as long as patience lasts."""
    while not select.select([sys.stdin], [], [], INTERVAL)[0]:
        if history and history.is_file() and (written := history.stat().st_mtime) > seen:
            seen = written
            yield True
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        yield False
        time.sleep(INTERVAL)


if __name__ == "__main__":
    main(*sys.argv[1:])
