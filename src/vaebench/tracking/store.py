"""The process that talks to MLflow for :mod:`vaebench.tracking.run`.

It reads calls from stdin, a JSON list a line, and answers on stdout: ``["run", id]`` once, ``["say", text]``,
``["off", reason]`` before it gives up, ``["closed"]``. When stdin ends without a ``close``, the stage was
killed.
"""

from __future__ import annotations

import getpass
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Store", "main", "serve"]

FLUSH_SECONDS = 2.0
"""Curves are written at most this often."""

_MOST_METRICS = 1000


class Store:
    """One MLflow run, opened from a description (see ``vaebench.tracking.run._describe``)."""

    def __init__(self, description: dict):
        from mlflow import MlflowClient

        self.uri = description["uri"]
        with _alone_in(self.uri):
            self.client = MlflowClient(tracking_uri=self.uri)
        self.experiment_id = self._experiment(description["experiment"], description["artifacts"])
        self.run_id = self._existing(description) or self._create(description)
        self.client.update_run(self.run_id, status="RUNNING")
        self._waiting: list = []
        self._flushed = 0.0
        self._monitor = self._watch_gpu()

    def metrics(self, values: dict, step: int) -> None:
        """Numbers at a step; what is no number is passed over."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._waiting += [
            Metric(key, float(value), now, step)
            for key, value in values.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        ]
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the metrics that wait."""
        for first in range(0, len(self._waiting), _MOST_METRICS):
            self.client.log_batch(self.run_id, metrics=self._waiting[first : first + _MOST_METRICS])
        self._waiting = []
        self._flushed = time.monotonic()

    def tags(self, values: dict[str, str]) -> None:
        """Set tags."""
        from mlflow.entities import RunTag

        self.client.log_batch(self.run_id, tags=[RunTag(k, v) for k, v in values.items()])

    def images(self, folder: str) -> None:
        """Every PNG below ``folder``, as an image of step 0 whose key is its path."""
        from PIL import Image

        for path in sorted(Path(folder).rglob("*.png")):
            with Image.open(path) as image:
                key = path.relative_to(folder).with_suffix("").as_posix()
                self.client.log_image(self.run_id, image, key=key, step=0)

    def model(self, folder: str) -> None:
        """The pickled model in ``folder`` as a logged model of the PyTorch flavour, replacing the run's own.

        ``mlflow.pytorch.save_model`` writes the same, but imports torch and searches all installed
        packages for requirements: three seconds of a core for each run.
        """
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

        folder, versions = Path(folder), json.loads((Path(folder) / "versions.json").read_text())
        outputs = self.client.get_run(self.run_id).outputs
        if outputs is not None and outputs.model_outputs:
            model_id = outputs.model_outputs[0].model_id
        else:
            model_id = self.client.create_logged_model(
                self.experiment_id, name="model", source_run_id=self.run_id, model_type="vae"
            ).model_id
            self.client.log_outputs(self.run_id, [LoggedModelOutput(model_id, 0)])
        record = Model(run_id=self.run_id, model_id=model_id)
        record.add_flavor("pytorch", model_data="data", pytorch_version=versions["torch"], code=None)
        record.save(str(folder / "MLmodel"))
        requirements = "\n".join(f"{name}=={version}" for name, version in versions.items())
        (folder / "requirements.txt").write_text(requirements + "\n")
        (folder / "versions.json").unlink()
        self.client.log_model_artifacts(model_id, str(folder))
        self.client.finalize_logged_model(model_id, "READY")

    def close(self, status: str) -> None:
        """End the run: FINISHED, FAILED or KILLED."""
        if self._monitor is not None:
            self._monitor.finish()
        self.flush()
        self.client.set_terminated(self.run_id, status)

    def _experiment(self, name: str, artifacts: str | None) -> str:
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                return self.client.create_experiment(name, artifact_location=artifacts)
            except MlflowException:  # another process was first
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
        return found.experiment_id

    def _existing(self, description: dict) -> str | None:
        run_id = description["run_id"]
        if run_id and self._knows(run_id):
            return run_id
        same = [f"tags.{key} = '{description['tags'][key]}'" for key in description["same"]]
        if run_id is None:
            same.append("attributes.status != 'FINISHED'")
        runs = self.client.search_runs([self.experiment_id], " AND ".join(same), max_results=1)
        return runs[0].info.run_id if runs else None

    def _knows(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            info = self.client.get_run(run_id).info
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return False
            raise
        return info.lifecycle_stage == "active" and info.experiment_id == self.experiment_id

    def _create(self, description: dict) -> str:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        tags = description["tags"] | {"mlflow.user": _user()}
        if commit := _git_commit():
            tags |= {"git_commit": commit, "mlflow.source.git.commit": commit}
        run_id = self.client.create_run(
            self.experiment_id, tags=tags, run_name=description["name"]
        ).info.run_id
        self.client.log_batch(run_id, params=[Param(k, v) for k, v in description["params"].items()])
        if data := description["data"]:
            meta = data["meta"]
            dataset = Dataset(
                name=data["name"],
                digest=tags["data_digest"][:32],
                source_type="local",
                source=json.dumps({"uri": data["path"]}),
                profile=json.dumps({k: meta[k] for k in ("shape", "dtype", "splits") if k in meta}),
            )
            context = InputTag("mlflow.data.context", "training")
            self.client.log_inputs(run_id, [DatasetInput(dataset, [context])])
        return run_id

    def _watch_gpu(self):
        try:
            import pynvml

            pynvml.nvmlInit()
            from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

            monitor = SystemMetricsMonitor(self.run_id, resume_logging=True, tracking_uri=self.uri)
            monitor.start()
        except Exception:  # no GPU or no package to read it with
            return None
        return monitor


def serve(lines: Iterable[str], answer: Callable[..., None]) -> int:
    """Carry out the calls in ``lines``; 0 when the run was closed, 1 when the store failed."""
    lines, store = iter(lines), None
    try:
        for line in lines:
            call, *arguments = json.loads(line)
            if call == "open":
                store = Store(*arguments)
                answer("run", store.run_id)
            elif call == "model":
                _log_model(store, answer, *arguments)
            else:
                getattr(store, call)(*arguments)
            if call == "close":
                answer("closed")
                return 0
        if store is not None:
            store.close("KILLED")
    except Exception as error:
        answer("off", _reason(error))
    return 1


def _log_model(store: Store, answer: Callable[..., None], folder: str) -> None:
    """Servers before MLflow 3 know no logged models; the metrics are worth having all the same."""
    try:
        store.model(folder)
    except Exception as error:
        answer("say", f"tracking: the model is not logged: {_reason(error)}")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:199] + "…"


@contextmanager
def _alone_in(uri: str) -> Iterator[None]:
    """Two processes that make the tables of one SQLite file at once break it; MLflow's own lock lets them."""
    path = uri.removeprefix("sqlite:///")
    if path == uri:
        yield
        return
    import fcntl

    with Path(f"{path}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's numeric user
        return "unknown"


def _git_commit() -> str | None:
    if not (git := shutil.which("git")):
        return None
    result = subprocess.run(
        [git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
    )
    return result.stdout.strip() if result.returncode == 0 else None


def main() -> int:
    """Serve stdin and stdout."""
    pipe = io.TextIOWrapper(os.fdopen(os.dup(1), "wb"), encoding="utf-8", write_through=True)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)  # MLflow prints, too

    def answer(*parts) -> None:
        pipe.write(json.dumps(parts) + "\n")
        pipe.flush()

    return serve(sys.stdin, answer)
