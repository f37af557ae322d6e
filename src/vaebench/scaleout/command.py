"""A stage's commands on a worker: no DVC here, only a shared file system.

A command must never outlive the worker that started it, or it would write into the outputs of its own re-run:

- Linux kills it when its parent dies (``setpriv --pdeathsig``); a stage of vaebench asks for SIGTERM instead
  and saves its checkpoint first.
- It holds an inherited lock, so that the next attempt waits until the last process of this one is gone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from vaebench.base.errors import UserError

__all__ = ["Ended", "Job", "execute", "measure", "wait_for_lock"]

PATIENCE = 120.0
"""Seconds that the processes of an earlier attempt have for ending."""

OF_THE_MACHINE = ("CUDA_", "HIP_", "ROCR_", "NVIDIA_", "SLURM_", "TMPDIR", "HOSTNAME")
"""Variables that a command takes from its worker and not from the head."""

_UNLESS_ORPHANED = '[ "$PPID" = "$1" ] || exit 1; exec "$2" -c "$3"'
"""Closes the gap in which the worker dies before ``setpriv`` has asked for the signal."""


@dataclass(frozen=True)
class Job:
    """All that a worker must know of a stage.

    Args:
        name: the stage's, as DVC prints it.
        commands: run one after another by ``shell`` until one fails.
        folder: where they run.
        shell: a program that takes ``-c``.
        environment: as ``dvc repro`` would give them.
        removed: outputs that an attempt cut short may have left; DVC removes them before a command.
        outputs: what the head will look for.
        lock: held while any process of the stage lives.
        log: takes what they print.
    """

    name: str
    commands: Sequence[str]
    folder: Path
    shell: str
    environment: Mapping[str, str]
    removed: Sequence[Path]
    outputs: Sequence[Path]
    lock: Path
    log: Path


@dataclass(frozen=True)
class Ended:
    """How a job's last command ended: exit code, seconds it took, and :func:`measure` of the outputs."""

    code: int
    seconds: float
    outputs: dict[Path, tuple[int, int]]


def execute(job: Job) -> Ended:
    """Run a job's commands; the function that an engine sends to its workers."""
    with job.lock.open("ab") as lock, job.log.open("ab") as log:
        wait_for_lock(lock, f"stage {job.name}")
        for path in job.removed:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        machine = {k: v for k, v in os.environ.items() if k.startswith(OF_THE_MACHINE)}
        began, code = time.monotonic(), 0
        for command in job.commands:
            guarded = ["sh", "-c", _UNLESS_ORPHANED, "sh", str(os.getpid()), job.shell, command]
            code = subprocess.run(
                ["setpriv", "--pdeathsig", "KILL", *guarded],
                cwd=job.folder,
                env={**job.environment, **machine},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lock.fileno()],
                check=False,
            ).returncode
            if code:
                break
        return Ended(code, time.monotonic() - began, {path: measure(path) for path in job.outputs})


def measure(path: Path) -> tuple[int, int]:
    """Files under ``path`` and their bytes: (0, 0) where it is not there.

    The worker's measure tells the head whether a network file system shows it all of an output yet.
    """
    if not path.is_dir():
        return (1, path.stat().st_size) if path.exists() else (0, 0)
    files = [Path(folder) / name for folder, _, names in os.walk(path) for name in names]
    return len(files), sum(file.stat().st_size for file in files)


def wait_for_lock(lock: BinaryIO, whose: str) -> None:
    """Lock an open file, which the processes of an earlier attempt may still hold for a moment."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise UserError(
                    f"{whose}: a process of an earlier attempt holds {lock.name} since {PATIENCE:.0f} s. "
                    f"Find it with `fuser {lock.name}`, end it and run again."
                ) from None
            time.sleep(0.1)
