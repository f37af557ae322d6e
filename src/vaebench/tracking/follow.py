"""Address of the MLflow store, and the exporter that a stage starts and never waits for.

    with tracked("quickstart", "digits", "avae", 0):      # train: its curves appear while it runs
        ...

The exporter is a process of its own, of the lowest priority, that ends once the stage has ended and all is
written. A store that fails is tried again; what it said is a line at the end of the stage, and ``vaebench
track`` writes later what is missing. VAEBENCH_TRACKING=off starts none.

The store is ``$MLFLOW_TRACKING_URI``, or ``mlflow.db`` and ``mlruns`` in the workspace, also from the
temporary folders in which DVC runs experiments. Whoever opens it works in the workspace's folder, so that
the address is relative and holds no character of that folder's name.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import vaebench
from vaebench.base.errors import UserError
from vaebench.base.files import write_atomically
from vaebench.study import paths
from vaebench.study.params import load_params

__all__ = ["DEFAULT", "enter_workspace", "reason", "shown", "store_uri", "track", "tracked"]

DEFAULT = "sqlite:///mlflow.db"
FOLDER = Path(".vaebench/tracking")
INTERVAL, PATIENCE = 2.0, 120.0
"""Seconds between two looks at the files, and for which a store that fails is tried after the stage's end."""

_QUIET_AND_QUICK = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""MLflow's own settings; what the user has set stays."""


def store_uri() -> str:
    """The store's address, as seen from the workspace's folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT


def enter_workspace() -> Path:
    """Make the workspace the current folder, with MLflow's settings; the way back to the folder before."""
    here, root = Path.cwd().resolve(), paths.workspace_root()
    os.environ |= _QUIET_AND_QUICK | os.environ
    os.chdir(root)
    return here.relative_to(root)


def shown(text: str) -> str:
    """A text with addresses, without their passwords."""
    return re.sub(r"(?<=://)([^/@:\s]*):[^/@\s]*@", r"\1:…@", text)


def reason(error: Exception) -> str:
    """Message of an error with its remedy, without SQLAlchemy's statements."""
    return shown(" ".join(str(error).partition("[SQL:")[0].split())) or type(error).__name__


@contextmanager
def tracked(study: str, *cell: object) -> Iterator[None]:
    """Export a stage's files while and after it runs; no error of that reaches the stage.

    Args:
        study: the active study.
        cell: data set, method and seed; without them all of the study is written at the end.
    """
    root = paths.workspace_root()
    process = None if os.environ.get("VAEBENCH_TRACKING") == "off" else _start(root, study, cell)
    try:
        yield
    finally:
        if process is not None:
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(60 if root != Path.cwd() else 0)  # DVC removes its temporary copies
            with suppress(OSError):
                message = (root / FOLDER / f"{study}.off").read_text(encoding="utf-8")
                print(f"tracking off: {message} (`vaebench track` writes what is missing)", flush=True)


def _start(root: Path, study: str, cell: tuple) -> subprocess.Popen | None:
    package = str(Path(vaebench.__file__).parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    try:
        (root / FOLDER).mkdir(parents=True, exist_ok=True)
        with (root / FOLDER / f"{study}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", __name__, study, *map(str, cell)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the stage
                env=os.environ | {"PYTHONPATH": path},
            )
    except OSError as error:
        print(f"tracking off: {error}", flush=True)
        return None


def track(base: Path, study: str = "", follow: bool = False) -> str:
    """Write a study into the store; a line on what is in it then.

    Args:
        base: the folder of ``params.yaml``, below the workspace, which is the current one.
        study: one that has results; without it, the active one.
        follow: go on until Ctrl-C, with the trainings that run.
    """
    active = load_params(base / "params.yaml", specs=())
    study = study or active.study.name
    path = base / paths.report_dir(study) / "study.yaml"
    if study == active.study.name and ((base / paths.provenance_dir(study)).is_dir() or not path.is_file()):
        path = base / "params.yaml"
    elif not path.is_file():
        raise UserError(f"{study!r} is not the active study and has no results: {path} is not there.")
    try:
        with _alone():
            from vaebench.tracking.export import Exporter

            exporter = Exporter(store_uri(), base, load_params(path, specs=()))
            message = exporter.all()
        while follow:
            time.sleep(INTERVAL)
            with _alone():
                exporter.all(running=True)
    except Exception as error:
        raise UserError(f"the MLflow store {shown(store_uri())} cannot be written: {reason(error)}") from None
    return f"{shown(store_uri())}: {message}."


@contextmanager
def _alone() -> Iterator[None]:
    """One exporter writes at a time; two that make a store's tables at once would break it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(study: str, *cell: str) -> None:
    """Export until standard input, which the stage holds open, is closed and all is written."""
    os.nice(19)
    base, began = enter_workspace(), time.time() - 1
    trouble, export, until = FOLDER / f"{study}.off", None, None
    while True:
        running = until is None and not select.select([sys.stdin], [], [], INTERVAL)[0]
        until = until or (None if running else time.monotonic() + PATIENCE)
        try:
            with _alone():
                export = export or _exporter(base, study, cell, began)
                export(running)
            trouble.unlink(missing_ok=True)
            if not running:
                return
        except Exception as error:
            print(f"{' '.join((study, *cell))}: {reason(error)}", flush=True)
            with write_atomically(trouble) as temporary:
                temporary.write_text(reason(error), encoding="utf-8")
            if not running and time.monotonic() > until:
                return
            time.sleep(INTERVAL)


def _exporter(base: Path, study: str, cell: tuple[str, ...], began: float) -> Callable[[bool], object]:
    from vaebench.tracking.export import Exporter

    resolved = paths.resolved_dir(study) / "study.json"
    path = base / (resolved if "DVC_STAGE" in os.environ else "params.yaml")
    exporter = Exporter(store_uri(), base, load_params(path, specs=()))
    if not cell:
        return lambda running: None if running else exporter.all()
    dataset, method, seed = cell
    return lambda running: exporter.cell(dataset, method, int(seed), began if running else 0.0)


if __name__ == "__main__":
    main(*sys.argv[1:])
