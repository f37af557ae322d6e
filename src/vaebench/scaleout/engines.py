"""The engines by name. Each is a context manager that gives an :class:`Engine`; what runs where is theirs."""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from vaebench.base.errors import UserError
from vaebench.scaleout.command import Job, execute
from vaebench.study.resources import Resources

__all__ = ["ENGINES", "Engine", "start_engine"]


@dataclass(frozen=True)
class Engine:
    """Workers that commands are handed to.

    Args:
        submit: takes a job and has :func:`~vaebench.scaleout.command.execute` run on a worker, again if that
            worker dies; its future has ``add_done_callback``, ``exception`` and ``result``.
        where: for the user, with the dashboard's address.
        slots: how many it is handed at a time; a cluster, which may grow, gets all that can run.
    """

    submit: Callable[[Job, Resources], Future]
    where: str
    slots: float = math.inf


@contextmanager
def local(address: str | None, slots: int | None) -> Iterator[Engine]:
    """Processes of this machine, ``slots`` at a time whatever they ask for; nothing to install."""
    if address:
        raise UserError("--engine local runs on this machine; --address belongs to the other engines.")
    slots = slots or len(os.sched_getaffinity(0))
    pool = ThreadPoolExecutor(slots)
    try:
        yield Engine(lambda job, _: pool.submit(execute, job), f"this machine, {slots} at a time", slots)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


ENGINES = {
    "local": "vaebench.scaleout.engines:local",
    "ray": "vaebench.scaleout.ray:engine",
    "dask": "vaebench.scaleout.dask:engine",
    "slurm": "vaebench.scaleout.dask:slurm_engine",
}


def start_engine(
    name: str, address: str | None = None, slots: int | None = None
) -> AbstractContextManager[Engine]:
    """The engine ``name``, not yet started: that happens when the ``with`` block begins."""
    if name not in ENGINES:
        raise UserError(f"there is no engine {name!r}; there are: {', '.join(ENGINES)}.")
    module, _, function = ENGINES[name].partition(":")
    try:
        return getattr(importlib.import_module(module), function)(address, slots)
    except ModuleNotFoundError as error:
        extra = "scaleout" if name == "ray" else "slurm"
        raise UserError(
            f"--engine {name} needs {error.name}: `pip install -e '.[{extra}]'`, or `--engine local`, which "
            "runs on this machine and needs nothing."
        ) from None
