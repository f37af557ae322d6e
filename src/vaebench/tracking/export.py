"""Export of a study's files into an MLflow store; exporting twice changes nothing.

A study is an experiment. A run is found again by its identity, and it is the same training if its curve
agrees with ``history.csv``; what it holds besides is written where its digest is another.
"""

import json
import os
import re
import sqlite3
import time
from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from filelock import FileLock
from mlflow.entities import Metric, RunTag
from mlflow.models import infer_signature

from vaebench.base.files import read_json
from vaebench.report.runs import RunRecord, StudyRuns
from vaebench.study.params import Params
from vaebench.tracking.follow import FOLDER, store_uri

__all__ = ["VIEW", "Exporter", "export"]

VIEW, COLUMNS = "vaebench", r"mse|nll|kl|fi?d.*/prior"
"""Key of the saved view of the table of runs, and its metrics: no more than are seen without scrolling."""

CONTENT = "vaebench.content"


def export(base: Path, params: Params, *cell: Any, running: bool = False) -> str:
    """Write a study, or a cell of it, into the store; a line on what is in it then.

    One process writes at a time, as two would make a store's tables. A file that is no database is an error
    at once; MLflow would try it for minutes.
    """
    uri, path = store_uri(), Path(store_uri().removeprefix("sqlite:///").partition("?")[0])
    if uri.startswith("sqlite:///") and path.exists():
        sqlite3.connect(path, timeout=30).execute("PRAGMA schema_version").connection.close()
    with FileLock(FOLDER / "lock"):
        return Exporter(uri, base, params, *cell).write(running)


class Exporter:
    """Writes a study that lies in ``base`` into the store at ``uri``, or a cell of it by its names."""

    def __init__(self, uri: str, base: Path, params: Params, *cell: Any):
        self.runs = StudyRuns(base, params, *cell)
        study = self.runs.study
        mlflow.set_tracking_uri(uri)
        self.client = mlflow.MlflowClient()
        found = self.client.get_experiment_by_name(study)
        if found and found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        place = f"vaebench:/mlruns/{study}" if uri.startswith("sqlite:///") else None
        self.experiment = found.experiment_id if found else self.client.create_experiment(study, place)

    def write(self, running: bool = False) -> str:
        """Write all that has ended, or the curves of what is ``running``; a line on it."""
        runs = list(self.runs.live()) if running else self.runs.ended()
        for run in runs:
            self._write(run)
        if self.runs.whole:
            metrics = {key for run in runs for key in run.metrics if re.fullmatch(COLUMNS, key)}
            columns = [f"metrics.`{name}`" for name in sorted(metrics)]
            view = json.dumps({"selectedColumns": ["attributes.`Duration`", "tags.`flag`", *columns]})
            self.client.set_experiment_tag(self.experiment, f"mlflow.sharedViewState.{VIEW}", view)
        return self.runs.summary(runs)

    def _write(self, run: RunRecord) -> None:
        """Write a run where it has changed; a finished one lasts as its training did."""
        found, tags = self._find(run), {**run.tags, CONTENT: run.content}
        run_id, before = found.info.run_id, found.data.tags.get(CONTENT)
        end = found.info.start_time + int(1000 * run.seconds) if run.status == "FINISHED" else None
        if run.status == "RUNNING":
            self.client.update_run(run_id, run.status)
        elif (found.info.status, before) != (run.status, tags[CONTENT]):
            model_id = self._log_model(found, run.model) if run.model else None
            mlflow.log_metrics(run.metrics, 0, run_id=run_id, model_id=model_id)
            for path, folder in run.files.items():
                self.client.log_artifact(run_id, str(path), folder or None)
            self.client.set_terminated(run_id, run.status, end)
            self.client.log_batch(run_id, tags=[RunTag(*tag) for tag in tags.items()])

    def _find(self, run: RunRecord) -> mlflow.entities.Run:
        """The latest run of this identity without other points or metrics, or a new one; with its curve."""
        where = " AND ".join(f"tags.`{key}` = '{value}'" for key, value in run.identity.items())
        losses, known = run.curve.get("train/loss", {}), {*run.metrics, *run.curve}
        for found in self.client.search_runs([self.experiment], where):
            logged = self.client.get_metric_history(found.info.run_id, "train/loss")
            same = all(losses.get(point.step, point.value) == point.value for point in logged)
            if same and (not run.metrics or found.data.metrics.keys() <= known):
                break
        else:
            found, logged = self._create(run, dict(run.identity)), []
        if run.parent:
            self.client.set_tag(found.info.run_id, "mlflow.parentRunId", self._find(run.parent).info.run_id)
        new = run.curve.drop(index=[point.step for point in logged], errors="ignore").stack().dropna()
        now = int(1000 * time.time())
        points = [Metric(key, value, now, int(epoch)) for (epoch, key), value in new.items()]
        self.client.log_batch(found.info.run_id, points)
        return found

    def _create(self, run: RunRecord, tags: dict[str, str]) -> mlflow.entities.Run:
        """A new run; its name tells an experiment of DVC's from the others."""
        place, name = f"#{tags['dataset']}/{tags['method']}" if "method" in tags else "", run.name
        note = f"[In the report](/report/{self.runs.study}/index.html{place})"
        tags = tags | {"mlflow.note.content": note, "mlflow.source.name": "vaebench"}
        if experiment := os.environ.get("DVC_EXP_NAME"):
            name, tags = f"{name} · {experiment}", tags | {"dvc_experiment": experiment}
        created = self.client.create_run(self.experiment, tags=tags, run_name=name)
        mlflow.log_params(run.settings, run_id=created.info.run_id)
        return created

    def _log_model(self, found: mlflow.entities.Run, files: Collection[Path]) -> str:
        """Log the model by MLflow's own function, over the files that are there; its id."""
        for old in found.outputs.model_outputs if found.outputs else ():
            self.client.delete_logged_model(old.model_id)
        artifacts = {path.name: str(path) for path in files}
        example = np.zeros((1, *read_json(Path(artifacts["spec.json"]))["image_shape"]), np.float32)
        with mlflow.start_run(found.info.run_id):
            return mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(__file__).with_name("model.py")),
                artifacts=artifacts,
                signature=infer_signature(example, example),
                input_example=example,
                pip_requirements=[f"{name}=={version(name)}" for name in ("vaebench", "torch", "numpy")],
            ).model_id
