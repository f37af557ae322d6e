"""Export of a study's files into an MLflow store; exporting twice changes nothing.

A study is an experiment. A run per data set and method holds the means over the seeds, whose runs are its
children; one more run holds the tables. A run is found again by its tags, and it is the same training if
its curve agrees with ``history.csv``; what it holds besides is written where its digest is another.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import statistics
import time
from collections.abc import Collection, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Metric, Run, RunTag
from mlflow.models import infer_signature

from vaebench.base.files import read_json
from vaebench.base.reading import mapping_or_empty
from vaebench.report.means import over_seeds
from vaebench.report.outside import PREFIX, with_outside
from vaebench.report.results import Cell, Results, flatten
from vaebench.report.soundness import Flag, flag_cell
from vaebench.study import paths
from vaebench.study.params import Params
from vaebench.study.provenance import digest, item_digest
from vaebench.study.resolve import parameters

__all__ = ["VIEW", "Exporter"]

VIEW, COLUMNS = "vaebench", r"mse|nll|kl|fi?d.*\.prior"
"""Key of the saved view of the table of runs, and its metrics: no more than are seen without scrolling."""

CONTENT = "vaebench.content"
NO_CURVE = pd.DataFrame({"epoch": []})
TABLES = ("study.yaml", "notes.md", "summary.json", "claims.json")


class Exporter:
    """Writes a study that lies in ``base`` into the store at ``uri``, or a cell of it by its names."""

    def __init__(self, uri: str, base: Path, params: Params, *cell: Any):
        self.base, self.study, self.whole = base, params.study.name, not cell
        if cell:
            only = {"datasets": [cell[0]], "methods": [cell[1]], "seeds": [cell[2]]}
            params = params.model_copy(update={"study": params.study.model_copy(update=only)})
        report = base / paths.report_dir(self.study)
        self.results = Results(report, with_outside(params, report) if self.whole else params)
        mlflow.set_tracking_uri(uri)
        self.client = mlflow.MlflowClient()
        found = self.client.get_experiment_by_name(self.study)
        if found and found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        place = f"vaebench:/mlruns/{self.study}" if uri.startswith("sqlite:///") else None
        self.experiment = found.experiment_id if found else self.client.create_experiment(self.study, place)

    def live(self) -> None:
        """Write the curve of a cell whose training runs."""
        for cell in self.results.histories:
            self.client.update_run(self._training(cell).info.run_id, "RUNNING")

    def write(self) -> str:
        """Write all that has ended, with the parameters that the study has now; a line on it."""
        written = [cell for cell in self.results.cells if self._is_current(cell) and self._cell(cell)]
        if self.whole:
            self._means(written)
            self._tables()
        own = self.results.own_cells
        return f"{len(set(written) & set(own))} of {len(own)} trainings of {self.study}"

    def _cell(self, cell: Cell) -> bool:
        """Write a cell; False where it is a killed training's curve at most."""
        trained, metrics = self._record("train", cell), self._metrics(cell)
        if not trained and not metrics:
            if cell in self.results.histories:
                self.client.set_terminated(self._training(cell).info.run_id, "KILLED")
            return False
        tags = {"mlflow.source.git.commit": trained.get("git_commit") or ""}
        images, model = {}, []
        if metrics:
            tags["flag"] = _reason(flag_cell(self.results, cell))
            images, model = dict.fromkeys(self.results.images[cell], "images"), self._model_files(cell)
        self._complete(self._training(cell), metrics, images, tags, self._seconds(cell), model)
        return True

    def _means(self, cells: Collection[Cell]) -> None:
        """Means over the seeds and how sure they are, and the saved view."""
        runs = self.results.runs
        kept = [cell in cells for cell in zip(runs["dataset"], runs["method"], runs["seed"], strict=True)]
        means = over_seeds(runs.loc[kept]).rename(columns={"std": "sd"})
        for names, rows in means.groupby(["dataset", "method"]):
            frame = rows.set_index("metric")[["mean", "sd", "low", "high", "n"]].stack().dropna()
            metrics = {_key(f"{column}.{name}"): value for (name, column), value in frame.items()}
            metrics = {key.removeprefix("mean/"): value for key, value in metrics.items()}
            seconds = statistics.fmean(self._seconds(cell) for cell in cells if cell[:2] == names)
            tags = {"flag": _reason(self.results.flags.get(names))}
            self._complete(self._parent(*names), metrics, tags=tags, seconds=seconds)
        names = sorted(name for name in set(means["metric"]) if re.fullmatch(COLUMNS, name))
        columns = [f"metrics.`{_key(name)}`" for name in names]
        view = json.dumps({"selectedColumns": ["attributes.`Duration`", "tags.`flag`", *columns]})
        self.client.set_experiment_tag(self.experiment, f"mlflow.sharedViewState.{VIEW}", view)

    def _tables(self) -> None:
        """Output of *tabulate*, as artifacts of a run of its own."""
        report = self.results.path
        files = {path: "tables" for path in sorted(report.glob("tables/*"))}
        files |= {path: "" for name in TABLES if (path := report / name).is_file()}
        if files:
            self._complete(self._run(f"{self.study}: tables", {"kind": "tables"}), {}, files)

    def _record(self, stage: str, cell: Cell) -> dict:
        """Provenance of the stage that ran here, or the copy in the report."""
        here = mapping_or_empty(self.base / paths.provenance_json(stage, self.study, *cell))
        return here or self.results.provenance[cell].get(stage, {})

    def _seconds(self, cell: Cell) -> float:
        return self._record("train", cell).get("seconds", {}).get("epochs", 0.0)

    def _is_current(self, cell: Cell) -> bool:
        """False if it was trained here with parameters that the study no longer has."""
        trained = mapping_or_empty(self.base / paths.provenance_json("train", self.study, *cell))
        return not trained or trained["digests"]["params"] == item_digest(self.results.params, *cell)

    def _metrics(self, cell: Cell) -> dict[str, float]:
        """None where *evaluate* measured an earlier training's model."""
        weights = self.base / paths.model_dir(self.study, *cell) / "model.safetensors"
        measured = self._record("evaluate", cell).get("model_sha256")
        if measured and weights.is_file() and measured != _sha256(weights):
            return {}
        return {_key(name): value for name, value in flatten(self.results.metrics.get(cell, {}))}

    def _model_files(self, cell: Cell) -> list[Path]:
        """Weights, specification and densities; none without weights."""
        folder, densities = (
            self.base / place(self.study, *cell) for place in (paths.model_dir, paths.density_dir)
        )
        files = [folder / "model.safetensors", folder / "spec.json", *sorted(densities.glob("*"))]
        return files if files[0].is_file() else []

    def _parent(self, dataset: str, method: str) -> Run:
        """The run of a method on a data set; one of other parameters is another."""
        return self._run(f"{method} · {dataset}", *self._described(dataset, method, kind="method"))

    def _training(self, cell: Cell) -> Run:
        """A training's run with its curve: ``loss`` is train/loss, ``validation_mse`` validation/mse."""
        dataset, method, seed = cell
        more = {"kind": "outside" if method.startswith(PREFIX) else "seed", "seed": str(seed)}
        more |= {"mlflow.parentRunId": self._parent(dataset, method).info.run_id}
        curve = self.results.histories.get(cell, NO_CURVE).set_index("epoch").add_prefix("train/")
        curve = curve.rename(columns=lambda name: name.replace("train/validation_", "validation/"))
        return self._run(f"{method} · {dataset} · {seed}", *self._described(dataset, method, **more), curve)

    def _described(self, dataset: str, method: str, **more: str) -> tuple[dict[str, str], dict[str, object]]:
        """Tags by which a run is found, and its parameters, as ``likelihood.variance``."""
        point, params = self.results.method(method), self.results.params
        ours = not method.startswith(PREFIX)
        nested = parameters(params, "train", dataset=dataset, method=method) if ours else {}
        tags = {axis: getattr(point, axis)["name"] for axis in ("likelihood", "regularizer", "posterior")}
        tags |= {"study": self.study, "dataset": dataset, "method": method, "params_digest": digest(nested)}
        settings = pd.json_normalize(nested).iloc[0].dropna().to_dict()
        return tags | more, settings

    def _run(self, name: str, tags: dict, settings: Mapping = {}, curve: pd.DataFrame = NO_CURVE) -> Run:
        """The latest run with these ``tags`` whose curve is part of ``curve``, or a new one."""
        where = " AND ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        losses = curve.get("train/loss", {})
        for run in self.client.search_runs([self.experiment], where):
            logged = self.client.get_metric_history(run.info.run_id, "train/loss")
            if all(losses.get(point.step, point.value) == point.value for point in logged):
                break
        else:
            run, logged = self._create(name, tags, settings), []
        new = curve.drop(index=[point.step for point in logged], errors="ignore").stack().dropna()
        now = int(1000 * time.time())
        points = [Metric(key, value, now, int(epoch)) for (epoch, key), value in new.items()]
        self.client.log_batch(run.info.run_id, points)
        return run

    def _create(self, name: str, tags: dict, settings: Mapping) -> Run:
        """A new run; its name tells an experiment of DVC's from the others."""
        place = f"#{tags['dataset']}/{tags['method']}" if "method" in tags else ""
        note = f"[In the report](/report/{self.study}/index.html{place})"
        tags = tags | {"mlflow.note.content": note, "mlflow.source.name": "vaebench"}
        if experiment := os.environ.get("DVC_EXP_NAME"):
            name, tags = f"{name} · {experiment}", tags | {"dvc_experiment": experiment}
        run = self.client.create_run(self.experiment, tags=tags, run_name=name)
        mlflow.log_params(settings, run_id=run.info.run_id)
        return run

    def _complete(
        self,
        run: Run,
        metrics: Mapping[str, float],
        files: Mapping[Path, str] = {},
        tags: Mapping[str, str] = {},
        seconds: float = 0.0,
        model: Collection[Path] = (),
    ) -> None:
        """Write what a run holds besides its curve, where that has changed; it lasts as its training did."""
        run_id, hashes = run.info.run_id, {path.name: _sha256(path) for path in files}
        content = digest([metrics, tags, seconds, hashes, [path.name for path in model]])
        if run.data.tags.get(CONTENT) == content:
            return
        model_id = self._log_model(run, model) if model else None
        mlflow.log_metrics(metrics, 0, run_id=run_id, model_id=model_id)
        for path, folder in files.items():
            self.client.log_artifact(run_id, str(path), folder or None)
        self.client.set_terminated(run_id, "FINISHED", run.info.start_time + int(1000 * seconds))
        self.client.log_batch(run_id, tags=[RunTag(*tag) for tag in {**tags, CONTENT: content}.items()])

    def _log_model(self, run: Run, files: Collection[Path]) -> str:
        """Log the model by MLflow's own function, over the files that are there; its id."""
        for old in run.outputs.model_outputs if run.outputs else ():
            self.client.delete_logged_model(old.model_id)
        artifacts = {path.name: str(path) for path in files}
        example = np.zeros((1, *read_json(Path(artifacts["spec.json"]))["image_shape"]), np.float32)
        with mlflow.start_run(run.info.run_id):
            return mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(__file__).with_name("model.py")),
                artifacts=artifacts,
                signature=infer_signature(example, example),
                input_example=example,
                pip_requirements=[f"{name}=={version(name)}" for name in ("vaebench", "torch", "numpy")],
            ).model_id


def _reason(flag: Flag | None) -> str:
    return flag.reason if flag else "none"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _key(path: str) -> str:
    """``fid.prior`` is fid/prior."""
    return path.replace(".", "/")
