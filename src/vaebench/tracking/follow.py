"""Address of the MLflow store, and the exporter that a stage starts and never waits for.

    with tracked("quickstart", "digits", "avae", 0):      # train: its curves appear while it runs
        ...

The exporter is a process of its own, of the lowest priority, that looks at the files until the stage has
ended and all is written. A store that fails is tried again; what it said is a line at the end of the stage,
and ``vaebench track`` writes later what is missing. VAEBENCH_TRACKING=off starts none.

The store is ``$MLFLOW_TRACKING_URI``, or ``mlflow.db`` and ``mlruns`` in the workspace, also from the
temporary folders in which DVC runs experiments. Whoever opens it works in the workspace's folder, so that
the address is relative and holds no character of that folder's name.
"""

from __future__ import annotations

import os
import re
import select
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from vaebench.base.errors import UserError
from vaebench.base.workspace import workspace_root
from vaebench.study import paths
from vaebench.study.params import load_params

if TYPE_CHECKING:
    from vaebench.tracking.export import Exporter

__all__ = ["DEFAULT", "enter_workspace", "reason", "shown", "store_uri", "track", "tracked"]

DEFAULT = "sqlite:///mlflow.db"
FOLDER = Path(".vaebench/tracking")
INTERVAL, PATIENCE = 3.0, 120.0
"""Seconds between two looks at the files, and for which a store that fails is tried after the stage's end."""

MLFLOW = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""Settings that make MLflow quiet and quick; what the user has set stays."""


def store_uri() -> str:
    """The store's address, as seen from the workspace's folder."""
    return os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT


def enter_workspace() -> Path:
    """Make the workspace the current folder, with MLflow's settings; the way back to the folder before."""
    here, root = Path.cwd().resolve(), workspace_root()
    os.environ |= MLFLOW | os.environ
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
    if os.environ.get("VAEBENCH_TRACKING") == "off":
        yield
        return
    exporter = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", __name__, str(time.time()), study, *map(str, cell)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the stage
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        yield
    finally:
        exporter.stdin.close()  # type: ignore[union-attr]
        root = workspace_root()
        with suppress(subprocess.TimeoutExpired):
            exporter.wait(60 if root != Path.cwd() else 0)  # DVC removes its temporary copies
        with suppress(OSError):
            message = (root / FOLDER / f"{study}.log").read_text("utf-8")
            print(f"tracking off: {message} (`vaebench track` writes what is missing)", flush=True)


def _open_once(uri: str) -> None:
    """An error at once where a file that is there is no database, which MLflow would try for minutes."""
    path = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    if uri.startswith("sqlite:///") and path.exists():
        with closing(sqlite3.connect(path, timeout=30)) as database:
            database.execute("PRAGMA schema_version")


@contextmanager
def _exporter(*study: Any) -> Iterator[Exporter]:
    """The exporter of a study or a cell; one writes at a time, as two would make a store's tables."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    _open_once(store_uri())
    from vaebench.tracking.export import Exporter

    with FileLock(FOLDER / "lock"):
        yield Exporter(store_uri(), *study)


def track(base: Path, study: str = "") -> str:
    """Write a study into the store; a line on what is in it then.

    Args:
        base: the folder of ``params.yaml``, below the workspace, which is the current one.
        study: one that has results; without it, the active one.
    """
    params = load_params(base / "params.yaml", specs=())
    study, active = study or params.study.name, params.study.name
    recorded = base / paths.report_dir(study) / "study.yaml"
    if recorded.is_file() and not (study == active and (base / paths.provenance_dir(study)).is_dir()):
        params = load_params(recorded, specs=())
    elif study != active:
        raise UserError(f"{study!r} is not the active study and has no results: {recorded} is not there.")
    try:
        with _exporter(base, params) as exporter:
            return f"{shown(store_uri())}: {exporter.write()}."
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"the MLflow store {shown(store_uri())} cannot be written: {reason(error).rstrip('.')}. Where it "
            "cannot be repaired, move it away or set MLFLOW_TRACKING_URI to another; then `vaebench track` "
            "writes all of the study there."
        ) from None


def main(began: str, study: str, *names: str) -> None:
    """Export until standard input, which the stage holds open, is closed and all is written."""
    os.nice(19)
    base, trouble = enter_workspace(), FOLDER / f"{study}.log"
    cell: Any = (*names[:2], *map(int, names[2:]))
    file = paths.resolved_dir(study) / "study.json" if "DVC_STAGE" in os.environ else Path("params.yaml")
    params = load_params(base / file, specs=())
    for running in _looks(base / paths.history_csv(study, *cell) if cell else None, float(began)):
        try:
            with _exporter(base, params, *cell) as exporter:
                (exporter.live if running else exporter.write)()
            trouble.unlink(missing_ok=True)
            if not running:
                return
        except Exception as error:
            trouble.write_text(reason(error), encoding="utf-8")


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
