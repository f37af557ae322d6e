"""Ray: fractions of GPUs, retries and a dashboard; one machine, or a cluster that is up."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import vaebench
from vaebench.base.errors import UserError
from vaebench.scaleout.command import Job, execute
from vaebench.scaleout.engines import Engine
from vaebench.study.resources import Resources

__all__ = ["engine"]

RETRIES = 3
"""Number of times that a stage runs again after its worker or that worker's node died; a failing command
never does."""

ANSWERS_WITHIN = 10.0
"""Seconds that a cluster has to take a connection; Ray would try a dead one for a quarter of an hour."""


def engine(address: str | None, slots: int | None) -> AbstractContextManager[Engine]:
    """A Ray of our own on this machine with ``slots`` CPUs, or the cluster at ``address``.

    ``auto`` is the cluster at ``$RAY_ADDRESS``, or the one that this machine is a node of.

    Never the bare ``ray.init()``, which attaches to whatever cluster was left behind, and never ``ray stop``,
    which ends everybody's. Our own listens on 127.0.0.1 alone, which Ray does only where it is told that
    there are no clusters, as on a Mac; and commands have the head's priority, which Ray lowers otherwise.
    Ray reads these variables when it is imported; a token is what its clusters ask for by themselves.
    """
    os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0")
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if address:
        if address == "auto":
            address = os.environ.get("RAY_ADDRESS") or address
        if address != "auto":
            _check_that_it_answers(address)
        where: dict[str, str | int | None] = {"address": address}
    else:
        os.environ.update(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_worker_niceness="0")
        os.environ.update(RAY_kill_child_processes_on_worker_exit="0")  # Linux tells them, with SIGTERM
        where = {"address": "local", "num_cpus": slots, "dashboard_host": "127.0.0.1"}
    importlib.import_module("ray")
    return _started(**where)


@contextmanager
def _started(**where) -> Iterator[Engine]:
    import ray

    package = os.fspath(Path(vaebench.__file__).parent.parent)
    environment = {"env_vars": {"PYTHONPATH": package}}  # the worker's, not its commands'
    try:
        context = ray.init(**where, runtime_env=environment, log_to_driver=False, logging_level="warning")
    except Exception as error:  # a node that is not up within 30 s raises no other class
        raise UserError(f"Ray did not start, or is not reached at {where['address']}: {error}") from None
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        total = ray.cluster_resources()
        text = f"Ray, {len(nodes)} node(s), {total.get('CPU', 0):g} CPUs, {total.get('GPU', 0):g} GPUs"
        text += f"; dashboard: http://{context.dashboard_url}" if context.dashboard_url else ""

        def submit(job: Job, wanted: Resources) -> Future:
            options = {"name": job.name, "max_retries": RETRIES, **_fitting(job.name, wanted, nodes)}
            return ray.remote(execute).options(**options).remote(job).future()

        ours = {"slots": total.get("CPU", 1)} if where["address"] == "local" else {}
        yield Engine(submit, text, **ours)
    finally:
        ray.shutdown()


def _check_that_it_answers(address: str) -> None:
    try:
        host, _, port = address.removeprefix("ray://").rpartition(":")
        socket.create_connection((host, int(port)), timeout=ANSWERS_WITHIN).close()
    except (OSError, ValueError) as error:
        raise UserError(
            f"no Ray answers at {address!r} ({error}); give the host:port that `ray start --head` printed, "
            "or `auto` on a node of the cluster."
        ) from None


def _fitting(name: str, wanted: Resources, nodes: list[dict[str, float]]) -> dict[str, float | None]:
    """Ray's options for ``wanted``; Ray waits for ever for what no node has.

    Where there is no GPU at all, stages run on CPUs, and where no node has as many CPUs or as much memory
    they make do with the most that there is, as under ``dvc repro``.
    """
    most = {key: max(node.get(key, 0) for node in nodes) for key in ("CPU", "GPU", "memory")}
    asked: dict[str, float] = {
        "CPU": min(wanted.cpus, most["CPU"]),
        "GPU": wanted.gpus if most["GPU"] else 0,
        "memory": min(int(wanted.memory), int(most["memory"])),
    }
    if not any(all(node.get(key, 0) >= amount for key, amount in asked.items()) for node in nodes):
        raise UserError(
            f"{name} asks for {asked['CPU']:g} CPUs, {asked['GPU']:g} GPUs and {asked['memory']:,} bytes "
            "(`resources` in params.yaml, `meta` in dvc.yaml), which no node of this Ray has; ask for less, "
            "or use a larger cluster."
        )
    return {"num_cpus": asked["CPU"], "num_gpus": asked["GPU"], "memory": asked["memory"] or None}
