"""Dask: processes of this machine, a cluster that is up, or Slurm jobs through dask-jobqueue.

A Dask worker runs one stage at a time; what it has is what its Slurm job asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from distributed import Client, LocalCluster

from vaebench.base.errors import UserError
from vaebench.scaleout.command import Job, execute
from vaebench.scaleout.engines import Engine
from vaebench.study.resources import Resources

__all__ = ["engine", "slurm_engine"]


@contextmanager
def engine(address: str | None, slots: int | None) -> Iterator[Engine]:
    """The scheduler at ``address`` (``tcp://host:8786``), or ``slots`` worker processes of this machine."""
    with ExitStack() as stack:
        if not address:
            here = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
            address = stack.enter_context(LocalCluster(n_workers=slots, threads_per_worker=1, **here))
        yield _connected(stack, address)


@contextmanager
def slurm_engine(address: str | None, slots: int | None) -> Iterator[Engine]:
    """Up to ``slots`` Slurm jobs, submitted and ended as stages come and go.

    Partition, cores, memory, GPUs and time: section ``jobqueue.slurm`` of ``~/.config/dask/jobqueue.yaml``.
    The scheduler listens on a network, so it and the jobs talk TLS, with a key made for this run.
    """
    from dask_jobqueue import SLURMCluster

    if address:
        raise UserError("--engine slurm starts its own scheduler; with --address use --engine dask.")
    if not slots:
        raise UserError("--engine slurm needs --slots: how many Slurm jobs may run at a time.")
    try:
        cluster = SLURMCluster(security=True, shared_temp_directory=str(Path(".dvc/tmp").resolve()))
    except (ValueError, TypeError) as error:
        raise UserError(f"jobqueue.slurm in ~/.config/dask/jobqueue.yaml is not complete: {error}") from None
    with ExitStack() as stack:
        stack.enter_context(cluster)
        cluster.adapt(minimum_jobs=0, maximum_jobs=slots)
        yield _connected(stack, cluster)


def _connected(stack: ExitStack, cluster: Any) -> Engine:
    try:
        client = stack.enter_context(Client(cluster, timeout=30, set_as_default=False))
    except OSError as error:
        raise UserError(f"no Dask scheduler answers at {cluster}: {error}") from None

    def submit(job: Job, _: Resources):
        return client.submit(execute, job, pure=False, key=f"{job.name}-{uuid4().hex}")

    return Engine(submit, f"Dask, {client.scheduler.address}; dashboard: {client.dashboard_link}")
