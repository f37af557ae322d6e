"""Export of a study's files into an MLflow store; exporting twice changes nothing.

A study is an experiment. A run per data set and method holds the means over the seeds, whose runs are its
children; one more run holds the tables. A run is found again by its tags, and it is the same training if
its curve agrees with ``history.csv``.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import os
import re
import statistics
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.entities import Run
from mlflow.models import infer_signature

from vaebench.base.files import read_json
from vaebench.base.reading import mapping_or_empty
from vaebench.report.means import over_seeds
from vaebench.report.outside import outside_files
from vaebench.report.results import Cell, Results, flatten
from vaebench.report.soundness import flag_run
from vaebench.study import paths
from vaebench.study.params import Params
from vaebench.study.provenance import digest, item_digest

__all__ = ["VIEW", "Exporter"]

VIEW = "vaebench"
"""Key of the saved view in which the table of runs has columns of metrics."""

AXES = ("likelihood", "regularizer", "posterior")
COLUMNS = ("mse", "nll", "kl", "fi?d.*/prior", "fi?d.*/[^p].*", "prd/.*", "latent/.*")
CONTENT = "vaebench.content"
TABLES = ("tables", "study.yaml", "notes.md", "summary.json", "claims.json")


class Exporter:
    """Writes a study that lies in ``base``, as seen from the current folder, into the store at ``uri``."""

    def __init__(self, uri: str, base: Path, params: Params):
        self.base, self.params, self.study = base, params, params.study.name
        self.report = base / paths.report_dir(self.study)
        mlflow.set_tracking_uri(uri)
        self.client = mlflow.MlflowClient()
        if (found := self.client.get_experiment_by_name(self.study)) is None:
            place = f"vaebench:/mlruns/{self.study}" if uri.startswith("sqlite:///") else None
            self.experiment = self.client.create_experiment(self.study, place)
        else:
            self.experiment = found.experiment_id
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(self.experiment)

    def all(self) -> str:
        """Write what has ended of the study with the parameters that it has now; a line on it."""
        study = self.params.study
        grid = [Cell(*names) for names in itertools.product(study.datasets, study.methods, study.seeds)]
        written = [cell for cell in grid if self._is_current(cell) and self.cell(*cell)]
        self._means(written)
        self._outside()
        self._tables()
        return f"{len(written)} of {len(grid)} trainings of {self.study}"

    def cell(self, dataset: str, method: str, seed: int | str, since: float = 0.0) -> bool:
        """Write a training's curve and, unless it runs ``since`` some time, all else; False without any."""
        cell = Cell(dataset, method, int(seed))
        history, trained = self._history(cell, since), {} if since else self._provenance("train", cell)
        metrics = {} if since else self._metrics(cell)
        if not (history or trained or metrics):
            return False
        run = self._training(cell, trained, history)
        content = digest([trained, self._provenance("evaluate", cell), metrics])
        logged = {point.step for point in self.client.get_metric_history(run.info.run_id, "train/loss")}
        for epoch in history.keys() - logged:
            mlflow.log_metrics(history[epoch], epoch, run_id=run.info.run_id)
        if since:
            self.client.update_run(run.info.run_id, "RUNNING")
        elif not trained and not metrics:
            self.client.set_terminated(run.info.run_id, "KILLED")
        elif run.data.tags.get(CONTENT) != content:
            if metrics:
                mlflow.log_metrics(metrics, 0, run_id=run.info.run_id, model_id=self._model(run, cell))
                mlflow.log_artifacts(str(self._file(paths.images_dir, cell)), "images", run.info.run_id)
                flag = flag_run(mapping_or_empty(self._file(paths.metrics_json, cell)))
                self.client.set_tag(run.info.run_id, "flag", flag.reason if flag else "none")
            if commit := trained.get("git_commit"):
                self.client.set_tag(run.info.run_id, "mlflow.source.git.commit", commit)
            self._end(run, [trained])
            self.client.set_tag(run.info.run_id, CONTENT, content)
        return bool(trained or metrics)

    def _means(self, cells: list[Cell]) -> None:
        """Means over the seeds and how sure they are; the saved view has the first of their columns."""
        runs, names = Results(self.report, self.params).runs, set()
        kept = [cell in cells for cell in zip(runs["dataset"], runs["method"], runs["seed"], strict=True)]
        for (dataset, method), rows in over_seeds(runs.loc[kept]).groupby(["dataset", "method"]):
            parent = self._parent(dataset, method)
            for row in rows.itertuples():
                names.add(name := row.metric.replace(".", "/"))
                spread = {"sd": row.std, "low": row.low, "high": row.high} if row.n > 1 else {}
                values = {name: row.mean} | {f"{k}/{name}": v for k, v in {"n": row.n, **spread}.items()}
                mlflow.log_metrics(values, 0, run_id=parent.info.run_id)
            self._end(parent, [self._provenance("train", c) for c in cells if c[:2] == (dataset, method)])
        shown = [key for column in COLUMNS for key in sorted(names) if re.fullmatch(column, key)][:8]
        shown = ["attributes.`Duration`", "tags.`flag`", *(f"metrics.`{key}`" for key in shown)]
        view = json.dumps({"selectedColumns": shown})
        self.client.set_experiment_tag(self.experiment, f"mlflow.sharedViewState.{VIEW}", view)

    def _outside(self) -> None:
        """A run per row that was brought from outside: its metrics alone."""
        for (dataset, method, seed), path in outside_files(self.report).items():
            content = read_json(path)
            tags = {"kind": "outside", "dataset": dataset, "method": method, "seed": seed}
            run = self._run(f"{content['label']} · {dataset} · {seed}", tags)
            metrics = {name.replace(".", "/"): value for name, value in flatten(content["metrics"])}
            mlflow.log_metrics(metrics, 0, run_id=run.info.run_id)
            self._end(run, [{}])

    def _tables(self) -> None:
        """Output of *tabulate*, as artifacts of a run of its own."""
        if found := [path for name in TABLES if (path := self.report / name).exists()]:
            run = self._run(f"{self.study}: tables", {"kind": "tables"})
            for path in found:
                mlflow.log_artifact(str(path), run_id=run.info.run_id)
            self._end(run, [{}])

    def _file(self, place: Callable[..., Path], cell: Cell) -> Path:
        return self.base / place(self.study, *cell)

    def _provenance(self, stage: str, cell: Cell) -> dict:
        """Of the stage that ran here, or the copy in the report."""
        path = paths.provenance_json(stage, self.study, *cell)
        copy = self.report / "provenance" / path.relative_to(paths.provenance_dir(self.study))
        return mapping_or_empty(self.base / path) or mapping_or_empty(copy)

    def _history(self, cell: Cell, since: float) -> dict[int, dict[str, float]]:
        """Curves by epoch; none that were written before ``since``."""
        path = self._file(paths.history_csv, cell)
        if not path.is_file() or path.stat().st_mtime < since:
            return {}
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return {int(row.pop("epoch")): {_curve(k): float(v) for k, v in row.items() if v} for row in rows}

    def _metrics(self, cell: Cell) -> dict[str, float]:
        """None where *evaluate* measured an earlier training's model."""
        weights = self._file(paths.model_dir, cell) / "model.safetensors"
        measured = self._provenance("evaluate", cell).get("model_sha256")
        if measured and weights.is_file() and measured != hashlib.sha256(weights.read_bytes()).hexdigest():
            return {}
        found = flatten(mapping_or_empty(self._file(paths.metrics_json, cell)))
        return {name.replace(".", "/"): value for name, value in found}

    def _is_current(self, cell: Cell) -> bool:
        """Whether it was not trained here with parameters that the study no longer has."""
        trained = mapping_or_empty(self.base / paths.provenance_json("train", self.study, *cell))
        return not trained or trained["digests"]["params"] == item_digest(self.params, *cell)

    def _parent(self, dataset: str, method: str) -> Run:
        """The run of a method on a data set; one of other parameters is another."""
        return self._run(f"{method} · {dataset}", *self._described("method", dataset, method))

    def _training(self, cell: Cell, trained: dict, history: dict) -> Run:
        """The run of this training; another of the same parameters may be of another version of the code."""

        def same(run: Run) -> bool:
            logged = self.client.get_metric_history(run.info.run_id, "train/loss")
            return all(history.get(p.step, {}).get("train/loss", p.value) == p.value for p in logged)

        dataset, method, seed = cell
        tags, settings = self._described("seed", dataset, method)
        params = trained.get("digests", {}).get("params") or item_digest(self.params, *cell)
        tags |= {"seed": str(seed), "params_digest": params}
        note = f"[In the report](/report/{self.study}/index.html#{dataset}/{method})"
        parent = self._parent(dataset, method).info.run_id
        more = {"mlflow.note.content": note, "mlflow.parentRunId": parent}
        return self._run(f"{method} · {dataset} · {seed}", tags, settings, more, same)

    def _described(self, kind: str, dataset: str, method: str) -> tuple[dict[str, str], dict[str, object]]:
        """Tags by which a run is found, and its parameters, as ``likelihood.variance``."""
        point = self.params.methods[method].model_dump(mode="json", exclude={"label", "training"})
        training = self.params.training_of(method).model_dump(mode="json", exclude={"checkpoint_seconds"})
        nested = {**point, "network": self.params.datasets[dataset].network, "training": training}
        settings = pd.json_normalize(nested).iloc[0].dropna().to_dict()
        tags = {axis: point[axis]["name"] for axis in AXES} | {"params_digest": digest(nested)}
        return tags | {"kind": kind, "study": self.study, "dataset": dataset, "method": method}, settings

    def _run(
        self, name: str, tags: dict, settings: dict | None = None, more: dict | None = None,
        same: Callable[[Run], bool] = lambda run: True,
    ) -> Run:  # fmt: skip
        """The latest run with these ``tags`` that is the ``same``; a new one, with all else, where none is.

        Its name tells an experiment of DVC's from the others.
        """
        where = " AND ".join(f"tags.{key} = '{value}'" for key, value in tags.items())
        found = self.client.search_runs([self.experiment], where, order_by=["attributes.start_time DESC"])
        if (run := next(filter(same, found), None)) is not None:
            return run
        if experiment := os.environ.get("DVC_EXP_NAME"):
            name, tags = f"{name} · {experiment}", tags | {"dvc_experiment": experiment}
        tags = {**tags, **(more or {}), "mlflow.source.name": "vaebench"}
        run = self.client.create_run(self.experiment, tags=tags, run_name=name)
        mlflow.log_params(settings or {}, run_id=run.info.run_id)
        return run

    def _end(self, run: Run, trained: list[dict]) -> None:
        """A run lasts as long as its training did, on average over the seeds."""
        seconds = [record.get("seconds", {}).get("epochs", 0) for record in trained]
        end = run.info.start_time + int(1000 * statistics.fmean(seconds))
        self.client.set_terminated(run.info.run_id, "FINISHED", end)

    def _model(self, run: Run, cell: Cell) -> str | None:
        """Log the model by MLflow's own function, over the files that are there; its id, or None."""
        for old in run.outputs.model_outputs if run.outputs else ():
            self.client.delete_logged_model(old.model_id)
        folder, densities = self._file(paths.model_dir, cell), self._file(paths.density_dir, cell)
        if not (folder / "model.safetensors").is_file():
            return None
        example = np.zeros((1, *read_json(folder / "spec.json")["image_shape"]), np.float32)
        files = [folder / "model.safetensors", folder / "spec.json", *densities.glob("*")]
        with mlflow.start_run(run.info.run_id):
            return mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(__file__).with_name("model.py")),
                artifacts={path.name: str(path) for path in files},
                signature=infer_signature(example, example),
                input_example=example,
                pip_requirements=[f"{name}=={version(name)}" for name in ("vaebench", "torch", "numpy")],
            ).model_id


def _curve(column: str) -> str:
    """``validation_mse`` is validation/mse, ``loss`` train/loss."""
    name = column.removeprefix("validation_")
    return f"validation/{name}" if name != column else f"train/{column}"
