"""Export of a study's files into an MLflow store; exporting twice changes nothing.

A study is an experiment. A run per data set and method holds mean, deviation and interval over the seeds,
whose runs are its children; one more run holds the tables. A run is found again by its tags, and it is the
same training if its curve agrees with ``history.csv``.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import os
import re
import shutil
import statistics
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, Run
from mlflow.models import infer_signature

from vaebench.base.files import read_json
from vaebench.report.results import flatten
from vaebench.report.soundness import flag_run
from vaebench.report.statistics import t_interval
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


class _Cell:
    """The files of one training in the folder ``base``; a running one has ``since``, when it began."""

    def __init__(self, base: Path, params: Params, dataset: str, method: str, seed: int, since: float = 0.0):
        self.base, self.params, self.since = base, params, since
        self.key = self.study, self.dataset, self.method, self.seed = params.study.name, dataset, method, seed
        places = paths.model_dir, paths.density_dir, paths.images_dir, paths.history_csv, paths.metrics_json
        self.files = [base / place(*self.key) for place in places]
        self.model, self.densities, self.images, self.history_csv, self.metrics_json = self.files
        self.trained = {} if since else self.provenance("train")

    def provenance(self, stage: str) -> dict:
        path = paths.provenance_json(stage, *self.key)
        below = path.relative_to(paths.provenance_dir(self.study))
        copy = paths.report_dir(self.study) / "provenance" / below
        return _read(self.base / path) or _read(self.base / copy)

    def history(self) -> list[dict[str, float]]:
        if not self.history_csv.is_file() or self.history_csv.stat().st_mtime < self.since:
            return []
        with self.history_csv.open(encoding="utf-8", newline="") as file:
            return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]

    def metrics(self) -> dict[str, float]:
        """None where *evaluate* measured an earlier training's model."""
        weights, measured = self.model / "model.safetensors", self.provenance("evaluate").get("model_sha256")
        if measured and weights.is_file() and measured != hashlib.sha256(weights.read_bytes()).hexdigest():
            return {}
        return {name.replace(".", "/"): value for name, value in flatten(_read(self.metrics_json))}

    def content(self) -> str:
        """Changes when a file is written."""
        files = [path for place in self.files for path in (place, *place.rglob("*")) if path.is_file()]
        return digest([sorted((str(path), path.stat().st_mtime_ns) for path in files), self.trained])

    def is_current(self) -> bool:
        """Whether it was not trained here with parameters that the study no longer has."""
        here = (self.base / paths.provenance_json("train", *self.key)).is_file()
        return not here or self.tags()["params_digest"] == item_digest(self.params, *self.key[1:])

    def tags(self, kind: str = "seed") -> dict[str, object]:
        """Tags by which the run of this training is found, or (``method``) that of all seeds."""
        point = self.params.methods[self.method]
        tags = {axis: getattr(point, axis)["name"] for axis in AXES}
        tags |= {"kind": kind, "study": self.study, "dataset": self.dataset, "method": self.method}
        if kind == "method":
            return tags | {"params_digest": digest(self.settings())}
        trained = self.trained.get("digests", {}).get("params")
        return tags | {"seed": self.seed, "params_digest": trained or item_digest(self.params, *self.key[1:])}

    def settings(self) -> dict[str, object]:
        """The method's parameters: an axis is ``likelihood``, its option ``likelihood.variance``."""
        point, data = self.params.methods[self.method], self.params.datasets[self.dataset]
        axes = {axis: getattr(point, axis) for axis in AXES} | {"network": data.network}
        flat = {f"{axis}.{key}": value for axis, spec in axes.items() for key, value in spec.items()}
        schedule = self.params.training_of(self.method).model_dump(mode="json", exclude_none=True)
        flat |= {k: v for k, v in schedule.items() if k not in ("compile", "checkpoint_seconds")}
        return {key.removesuffix(".name"): value for key, value in flat.items()}


class Exporter:
    """Writes a study that lies in ``base``, as seen from the current folder, into the store at ``uri``."""

    def __init__(self, uri: str, base: Path, params: Params):
        self.base, self.params, self.study = base, params, params.study.name
        mlflow.set_tracking_uri(uri)
        self.client = MlflowClient()
        self.seen: dict = {}
        if (found := self.client.get_experiment_by_name(self.study)) is None:
            place = f"vaebench:/mlruns/{self.study}" if uri.startswith("sqlite:///") else None
            self.experiment = self.client.create_experiment(self.study, place)
        else:
            self.experiment = found.experiment_id
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(self.experiment)

    def all(self, running: bool = False) -> str:
        """Write all of the study, with the trainings that are ``running``; a line on it."""
        study, written, left_out = self.params.study, 0, 0
        for dataset, method, seed in itertools.product(study.datasets, study.methods, study.seeds):
            cell = _Cell(self.base, self.params, dataset, method, seed)
            ended = bool(cell.trained or cell.metrics())
            if not cell.is_current():
                left_out += 1
            elif ended or running:
                self.cell(dataset, method, seed, 0.0 if ended else 1.0)
                written += ended
        self._tables()
        stale = f"; {left_out} of other parameters than the study's are left out" if left_out else ""
        return f"{written} trainings of {self.study}{stale}"

    def cell(self, dataset: str, method: str, seed: int, since: float = 0.0) -> None:
        """Write a training's curves and, unless it runs ``since`` some time, all else."""
        cell = _Cell(self.base, self.params, dataset, method, seed, since)
        content, history = cell.content(), cell.history()
        if self.seen.get(cell.key) == content or (since and not history):
            return
        seconds = cell.trained.get("seconds", {}).get("epochs", 0)
        run = self._find(cell, history) or self._create(cell, time.time() - seconds)
        run_id, metrics, new = run.info.run_id, cell.metrics(), []
        logged = {point.step for point in self.client.get_metric_history(run_id, "train/loss")}
        for row in history:
            if (step := int(row.pop("epoch"))) not in logged:
                new += [(_curve(key), value, step) for key, value in row.items()]
        self._log(run_id, new)
        if since:
            self.client.update_run(run_id, status="RUNNING")
        elif not cell.trained and not metrics:
            self.client.set_terminated(run_id, "KILLED")
        elif run.data.tags.get(CONTENT) != content:
            if metrics:
                model = self._model(run, cell)
                self._log(run_id, [(key, value, 0) for key, value in metrics.items()], model or None)
                self.client.log_artifacts(run_id, str(cell.images), "images")
                flag = flag_run(_read(cell.metrics_json))
                self.client.set_tag(run_id, "flag", flag.reason if flag else "none")
                self._means(cell, metrics)
            self.client.set_terminated(run_id, "FINISHED", run.info.start_time + int(1000 * seconds))
            if not metrics or model is not None:
                self.client.set_tag(run_id, CONTENT, content)
        self.seen[cell.key] = content

    def _tables(self) -> None:
        """Output of *tabulate*, as artifacts of a run of its own."""
        report = self.base / paths.report_dir(self.study)
        found = [path for name in TABLES if (path := report / name).exists()]
        content = digest([path.stat().st_mtime_ns for path in found])
        if not found or self.seen.get("tables") == content:
            return
        run = self._first({"kind": "tables"}) or self._start(f"{self.study}: tables", {"kind": "tables"})
        for path in found:
            log = self.client.log_artifacts if path.is_dir() else self.client.log_artifact
            log(run.info.run_id, str(path), path.name if path.is_dir() else None)
        self.client.set_terminated(run.info.run_id, "FINISHED", run.info.start_time)
        self.seen["tables"] = content

    def _find(self, cell: _Cell, history: list[dict]) -> Run | None:
        """The run of this training; another of the same parameters may be of another version of the code."""
        losses = {int(row["epoch"]): row["loss"] for row in history}
        for run in self._search(cell.tags()):
            logged = self.client.get_metric_history(run.info.run_id, "train/loss")
            if all(losses.get(point.step, point.value) == point.value for point in logged):
                return run
        return None

    def _create(self, cell: _Cell, start: float) -> Run:
        note = (
            f"{self.params.methods[cell.method].label} on {cell.dataset}, seed {cell.seed}. [In the report]"
            f"(/report/{self.study}/index.html#{cell.dataset}/{cell.method}). Made again by "
            f"`dvc repro -s -f train@{'-'.join(map(str, cell.key))}`."
        )
        tags = {"mlflow.note.content": note, "mlflow.parentRunId": self._parent(cell).info.run_id}
        if commit := cell.trained.get("git_commit"):
            tags["mlflow.source.git.commit"] = commit
        name = f"{cell.method} · {cell.dataset} · {cell.seed}"
        run = self._start(name, cell.tags() | tags, start, cell.settings())
        if meta := _read(self.base / paths.prepared_dir(*cell.key[:2]) / "meta.json"):
            profile = json.dumps({k: meta[k] for k in ("shape", "dtype", "splits") if k in meta})
            source = json.dumps({"uri": paths.prepared_dir(*cell.key[:2]).as_posix()})
            data = Dataset(cell.dataset, digest(meta)[:32], "local", source, profile=profile)
            context = [InputTag("mlflow.data.context", "training")]
            self.client.log_inputs(run.info.run_id, [DatasetInput(data, context)])
        return run

    def _log(self, run_id: str, points: list[tuple[str, float, int]], model: str | None = None) -> None:
        """Names, values and steps."""
        now = int(1000 * time.time())
        metrics = [Metric(k, v, now, step, model_id=model, run_id=run_id) for k, v, step in points]
        for first in range(0, len(metrics), 1000):  # a store takes no more at once
            self.client.log_batch(run_id, metrics[first : first + 1000])

    def _model(self, run: Run, cell: _Cell) -> str | None:
        """Log the model by MLflow's own function, over the files that are there; its id, or None."""
        for old in run.outputs.model_outputs if run.outputs else ():
            self.client.delete_logged_model(old.model_id)
        if not (cell.model / "model.safetensors").is_file():
            return ""
        Path(".vaebench").mkdir(exist_ok=True)
        try:
            example = np.zeros((1, *read_json(cell.model / "spec.json")["image_shape"]), np.float32)
            with tempfile.TemporaryDirectory(dir=".vaebench") as scratch, mlflow.start_run(run.info.run_id):
                trained = Path(os.path.relpath(scratch), "trained")
                shutil.copytree(cell.model, trained, ignore=shutil.ignore_patterns("latents.npz"))
                if cell.densities.is_dir():
                    shutil.copytree(cell.densities, trained / "densities")
                return mlflow.pyfunc.log_model(
                    name="model",
                    python_model=str(Path(__file__).with_name("model.py")),
                    artifacts={"trained": str(trained)},
                    signature=infer_signature(example, example),
                    input_example=example,
                    pip_requirements=[f"{name}=={version(name)}" for name in ("vaebench", "torch", "numpy")],
                ).model_id
        except Exception as error:  # a server before MLflow 3 knows no models; the metrics are worth having
            print(f"the model of {'-'.join(map(str, cell.key))} is not logged: {error}", flush=True)
            return None

    def _means(self, cell: _Cell, metrics: dict[str, float]) -> None:
        """Means over the seeds, and how sure they are; the saved view has the first of their columns."""
        grid = [_Cell(self.base, self.params, *cell.key[1:3], seed) for seed in self.params.study.seeds]
        found = [(seed, numbers) for seed in grid if seed.is_current() and (numbers := seed.metrics())]
        if not found:
            return
        seeds, rows = zip(*found, strict=True)
        numbers = {"n": float(len(rows))}
        for key in metrics:
            values = [row[key] for row in rows if key in row]
            numbers |= {key: statistics.fmean(values), f"n/{key}": float(len(values))}
            if len(values) > 1:
                deviation = statistics.stdev(values)
                low, high = t_interval(numbers[key], deviation, len(values))
                numbers |= {f"sd/{key}": deviation, f"low/{key}": low, f"high/{key}": high}
        parent = self._parent(cell)
        self._log(parent.info.run_id, [(key, value, 0) for key, value in numbers.items()])
        seconds = statistics.fmean(seed.trained.get("seconds", {}).get("epochs", 0) for seed in seeds)
        self.client.set_terminated(
            parent.info.run_id, "FINISHED", parent.info.start_time + int(1000 * seconds)
        )
        columns = [key for name in COLUMNS for key in sorted(metrics) if re.fullmatch(name, key)][:8]
        columns = ["attributes.`Duration`", "tags.`flag`", *(f"metrics.`{key}`" for key in columns)]
        view = {"selectedColumns": columns}
        self.client.set_experiment_tag(self.experiment, f"mlflow.sharedViewState.{VIEW}", json.dumps(view))

    def _parent(self, cell: _Cell) -> Run:
        """The run of a method on a data set; one of other parameters is another."""
        name, tags = f"{cell.method} · {cell.dataset}", cell.tags("method")
        return self._first(tags) or self._start(name, tags, settings=cell.settings())

    def _start(self, name: str, tags: dict, start: float | None = None, settings: dict | None = None) -> Run:
        """A new run, whose name tells an experiment of DVC's from the others."""
        if experiment := os.environ.get("DVC_EXP_NAME"):
            name, tags = f"{name} · {experiment}", tags | {"dvc_experiment": experiment}
        tags = {k: str(v) for k, v in tags.items()} | {"mlflow.source.name": "vaebench"}
        run = self.client.create_run(self.experiment, int(1000 * (start or time.time())), tags, name)
        params = [Param(k, str(v)) for k, v in (settings or {}).items()]
        self.client.log_batch(run.info.run_id, params=params)
        return run

    def _search(self, tags: dict) -> list[Run]:
        """The runs that have all of the tags, the latest first."""
        same = " AND ".join(f"tags.{key} = '{value}'" for key, value in tags.items())
        return self.client.search_runs([self.experiment], same, order_by=["attributes.start_time DESC"])

    def _first(self, tags: dict) -> Run | None:
        return next(iter(self._search(tags)), None)


def _curve(column: str) -> str:
    """``validation_mse`` is validation/mse, ``loss`` train/loss."""
    name = column.removeprefix("validation_")
    return f"validation/{name}" if name != column else f"train/{column}"


def _read(path: Path) -> dict:
    """The mapping in a JSON file; empty where there is none, or where it is damaged."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return {}
