"""One command on a worker, in a process group that never outlives the worker.

Otherwise it would write into the outputs of its own re-run. Linux tells the group's first process when the
worker dies (``setpriv --pdeathsig``), and that ends the group: with SIGTERM, so that a training saves its
checkpoint, and a minute later with SIGKILL. The log, which all processes of the group write to, is locked
while one of them lives; the next attempt waits for that.
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

__all__ = ["Job", "execute"]

PATIENCE = 120
"""Seconds that the processes of an earlier attempt have for ending."""

OF_THE_MACHINE = ("CUDA_", "HIP_", "ROCR_", "NVIDIA_", "SLURM_", "TMPDIR", "HOSTNAME")
"""Variables that a command takes from its worker and not from the head."""

_GUARD = """
trap 'trap "" TERM; exec >/dev/null 2>&1; kill -TERM 0; sleep 60 & wait $!; kill -KILL 0' TERM
[ "$PPID" = "$1" ] || exit 1
shift
"$@" & wait $!
"""


@dataclass(frozen=True)
class Job:
    """Work for a worker: a command, its folder, the head's environment, and the file for its output."""

    name: str
    command: Sequence[str]
    folder: Path
    environment: Mapping[str, str]
    log: Path


def execute(job: Job) -> tuple[int, float]:
    """Run a command; the function that an engine sends to its workers. Its exit code and its seconds."""
    machine = {k: v for k, v in os.environ.items() if k.startswith(OF_THE_MACHINE)}
    guard = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    with job.log.open("ab") as log:
        _wait_for_lock(log, job.name)
        log.truncate(0)
        began = time.monotonic()
        code = subprocess.run(
            [*guard, "sh", "-c", _GUARD, "sh", str(os.getpid()), *guard, *job.command],
            cwd=job.folder,
            env={**job.environment, **machine},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            check=False,
        ).returncode
        return code, time.monotonic() - began


def _wait_for_lock(log: BinaryIO, name: str) -> None:
    for _ in range(10 * PATIENCE):
        try:  # no FileLock: the command's processes inherit this one and hold it while one of them lives
            return fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.1)
    raise UserError(
        f"{name}: a process of an earlier attempt holds {log.name} since {PATIENCE} s. "
        f"Find it with `fuser {log.name}`, end it and run again."
    )
