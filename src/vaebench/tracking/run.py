"""MLflow, at arm's length: one run for each (study, data set, method, seed).

    with track(params, "mnist", "vae", seed=0) as run:                        # train
        run.epoch({"epoch": 1, "loss": 87.1, "validation_mse": 7.4})
        provenance = {"mlflow_run_id": run.run_id}
    with track(params, "mnist", "vae", seed=0, run_id=run_id or "") as run:   # evaluate goes on with it
        run.model(model_folder, {"gmm10": density_folder})
        run.metrics({"mse": 7.4, "fid": {"gmm10": 21.0}})
        run.images(Path("reports/mnist_smoke/images/mnist/vae/0"))

MLflow takes seconds to import and a server may take minutes to fail, so it lives in a process of its own
(:mod:`vaebench.tracking.store`) that starts with the ``with`` block and is sent what to log. Nothing that
happens there reaches the computation: it becomes one line, ``tracking off: …``, and all goes on. A stage that
is killed leaves its run marked so, and training it again goes on with that run.

The store is ``$MLFLOW_TRACKING_URI``, or ``mlflow.db`` and ``mlruns`` in the workspace, also from the
temporary folders in which DVC runs experiments. MLflow's telemetry is off unless MLFLOW_DISABLE_TELEMETRY is
``false``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Lock, Thread

import vaebench
from vaebench.study import paths
from vaebench.study.params import Params
from vaebench.study.provenance import digest, item_digest

__all__ = ["TrackedRun", "flat_params", "store_uri", "track", "workspace_root"]

PATIENCE = 60.0
"""Seconds for which a stage waits for the store: once for the run's id, once at its end."""

_PROCESS = """
import sys
sys.path.insert(0, sys.argv[1])
from vaebench.tracking.store import main
sys.exit(main())
"""

_QUIET_AND_QUICK = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""MLflow's own settings; what the user has set stays."""


@contextmanager
def track(
    params: Params, dataset: str, method: str, seed: int, run_id: str | None = None
) -> Iterator[TrackedRun]:
    """An MLflow run for the duration of a ``with`` block.

    Args:
        params: the study.
        dataset: which cell of the grid, with ``method`` and ``seed``.
        method: see ``dataset``.
        seed: see ``dataset``.
        run_id: None begins a run, or goes on with the one of the same parameters that did not finish. A
            string goes on with that run; where the store does not know it (the empty string: no id was
            recorded), with the last one of the same parameters, or else a new one.
    """
    run = TrackedRun(_describe(params, dataset, method, seed, run_id))
    status = "FAILED"
    try:
        yield run
        status = "FINISHED"
    except (KeyboardInterrupt, SystemExit):
        status = "KILLED"
        raise
    finally:
        run.close(status)


class TrackedRun:
    """What a stage may log; returned by :func:`track`. No method waits for the store, and none raises."""

    def __init__(self, description: dict):
        self._outbox: SimpleQueue[bytes | None] = SimpleQueue()
        self._answered, self._ended, self._lock = Event(), Event(), Lock()
        self._run_id: str | None = None
        self._open = True
        self._scratch: list[tempfile.TemporaryDirectory] = []
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _PROCESS, str(Path(vaebench.__file__).parents[1])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the stage, which then says how the run ended
                env=_QUIET_AND_QUICK | os.environ,
            )
        except OSError as error:
            self._process = None
            self._off(str(error))
            return
        self._threads = [Thread(target=target, daemon=True) for target in (self._write, self._read)]
        for thread in self._threads:
            thread.start()
        self._send("open", description)

    @property
    def run_id(self) -> str | None:
        """The run's id in the store, waiting for it if need be; None where tracking is off."""
        if self._open and not self._answered.wait(PATIENCE):
            self._off(f"the store did not answer within {PATIENCE:.0f} s")
        return self._run_id

    def epoch(self, row: Mapping[str, float]) -> None:
        """A row of the history, as curves: ``validation_mse`` is validation/mse, ``loss`` train/loss."""
        curves = {
            f"validation/{k.removeprefix('validation_')}" if k.startswith("validation_") else f"train/{k}": v
            for k, v in row.items()
            if k != "epoch"
        }
        self._send("metrics", curves, int(row["epoch"]))

    def metrics(self, nested: Mapping) -> None:
        """Final metrics; nesting becomes folders, ``fid/gmm10``."""
        self._send("metrics", dict(_flatten(nested, "/")), 0)

    def images(self, folder: Path) -> None:
        """Every PNG below ``folder``, for MLflow's image grid; its path is its name."""
        self._send("images", str(Path(folder).resolve()))

    def model(self, folder: Path, densities: Mapping[str, Path] | None = None) -> None:
        """The model in ``folder`` as ``model``, which ``mlflow.pytorch.load_model`` turns into a Sampler.

        Args:
            folder: what *train* wrote.
            densities: what *posthoc* wrote, by name; the method's own prior goes along by itself.
        """
        if not self._open:
            return
        from vaebench.tracking.sampler import Sampler, save_sampler

        try:
            self._scratch.append(tempfile.TemporaryDirectory(prefix="vaebench-"))
            save_sampler(Sampler.load(folder, densities), Path(self._scratch[-1].name))
        except Exception as error:  # say, a class that cannot be pickled: the stage's work is not at fault
            self._say(f"tracking: the model is not logged: {error}")
        else:
            self._send("model", self._scratch[-1].name)

    def tags(self, values: Mapping[str, object]) -> None:
        """Set the run's tags; an older value is replaced."""
        self._send("tags", {k: str(v) for k, v in values.items()})

    def close(self, status: str) -> None:
        """Wait until all is logged, at most :data:`PATIENCE`, and end the run with ``status``."""
        if self._process is None:
            return
        self._send("close", status)
        self._outbox.put(None)
        if self._open and not self._ended.wait(PATIENCE):
            self._off(f"the store did not take everything within {PATIENCE:.0f} s")
        self._process.kill()
        self._process.wait()
        self._open = False
        for thread in self._threads:
            thread.join()
        for scratch in self._scratch:
            scratch.cleanup()

    def _send(self, call: str, *arguments) -> None:
        if self._open:
            self._outbox.put(json.dumps([call, *arguments]).encode() + b"\n")

    def _write(self) -> None:
        with suppress(OSError), self._process.stdin as pipe:
            while (line := self._outbox.get()) is not None:
                pipe.write(line)
                pipe.flush()

    def _read(self) -> None:
        with self._process.stdout as pipe:
            for line in pipe:
                match json.loads(line):
                    case ["run", run_id]:
                        self._run_id = run_id
                        self._answered.set()
                    case ["say", text]:
                        self._say(text)
                    case ["off", reason]:
                        self._off(reason)
                    case ["closed"]:
                        self._ended.set()
        if not self._ended.is_set():
            self._off("its process ended early")

    def _off(self, reason: str) -> None:
        with self._lock:
            first, self._open = self._open, False
        if first:
            self._say(f"tracking off: {reason}")
        self._answered.set()
        self._ended.set()

    @staticmethod
    def _say(text: str) -> None:
        print(text, flush=True)


def workspace_root(folder: str | Path = ".") -> Path:
    """The workspace that ``folder`` is, or of which it is one of DVC's temporary copies."""
    folder = Path(folder).resolve()
    parts = folder.parts
    for index in range(len(parts) - 3):
        if parts[index : index + 3] == (".dvc", "tmp", "exps"):
            return Path(*parts[:index])
    return folder


def store_uri(root: Path) -> str:
    """``$MLFLOW_TRACKING_URI``, or the SQLite file of the workspace ``root``."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root / 'mlflow.db'}"


def flat_params(params: Params, dataset: str, method: str) -> dict[str, object]:
    """What one method was trained with, as flat and few parameters.

    A value on an axis is ``likelihood: gaussian`` and its options ``likelihood.variance: mle``; the schedule
    and ``latent_dim`` have no prefix. What params.yaml leaves to a default is left out, but for the schedule.
    """
    point, network = params.methods[method], params.datasets[dataset].network
    axes = {axis: getattr(point, axis) for axis in ("likelihood", "regularizer", "posterior")}
    flat: dict[str, object] = {}
    for axis, spec in (*axes.items(), ("network", network)):
        options = {k: v for k, v in spec.items() if k != "name"}
        flat[axis] = spec["name"]
        flat |= {f"{axis}.{k}": v for k, v in _flatten(options, ".")}
    latent_dim = flat.pop("network.latent_dim", None) or _default_latent_dim(network["name"])
    if latent_dim is not None:
        flat["latent_dim"] = latent_dim
    schedule = params.training_of(method).model_dump(
        exclude={"compile", "checkpoint_seconds"}, exclude_none=True
    )
    return flat | dict(_flatten(schedule, "."))


def _default_latent_dim(network: str) -> int | None:
    from vaebench.model.nets import NETWORKS

    option = NETWORKS.options(network).get("latent_dim")
    return None if option is None or option.default is option.empty else option.default


def _describe(params: Params, dataset: str, method: str, seed: int, run_id: str | None) -> dict:
    root, study, point = workspace_root(), params.study.name, params.methods[method]
    place = f"{study}/{dataset}/{method}"
    uri = store_uri(root)
    prepared = paths.prepared_dir(study, dataset)
    try:
        meta = json.loads((prepared / "meta.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        meta = None
    tags = {
        "study": study,
        "dataset": dataset,
        "method": method,
        "seed": str(seed),
        "likelihood": point.likelihood["name"],
        "regularizer": point.regularizer["name"],
        "posterior": point.posterior["name"],
        "params_digest": item_digest(params, dataset, method, seed),
        "mlflow.source.name": Path(sys.argv[0]).name,
        "mlflow.source.type": "LOCAL",
        "mlflow.note.content": (
            f"{point.label} on {dataset}, seed {seed}, study {study}.\n\n"
            f"[In the report](/report/#{place}), `reports/index.html#{place}`. Made again by "
            f"`dvc repro -s -f train@{study}-{dataset}-{method}-{seed}`."
        ),
    }
    if meta is not None:
        tags["data_digest"] = digest(meta)
    if experiment := os.environ.get("DVC_EXP_NAME"):
        tags["dvc_experiment"] = experiment
    return {
        "uri": uri,
        "artifacts": (root / "mlruns" / study).as_uri() if uri.startswith("sqlite:") else None,
        "experiment": study,
        "name": f"{method} · {dataset} · {seed}",
        "tags": tags,
        "same": ["study", "dataset", "method", "seed", "params_digest"],
        "params": {k: str(v) for k, v in flat_params(params, dataset, method).items()},
        "data": None if meta is None else {"name": dataset, "path": str(prepared), "meta": meta},
        "run_id": run_id,
    }


def _flatten(nested: Mapping, separator: str, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, separator, f"{prefix}{key}{separator}")
        else:
            yield f"{prefix}{key}", value
