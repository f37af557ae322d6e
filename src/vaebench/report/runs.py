"""Runs of a study as a tracker shows them, of the files that lie there alone.

A run per data set and method holds the means over the seeds, whose runs are its children; one more run holds
the tables.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from vaebench.base.files import file_digest
from vaebench.base.reading import mapping_or_empty
from vaebench.report.means import over_seeds
from vaebench.report.outside import PREFIX, with_outside
from vaebench.report.results import Cell, Results, flatten
from vaebench.report.soundness import Flag, flag_cell
from vaebench.study import paths
from vaebench.study.params import AXES, Params
from vaebench.study.provenance import digest, item_digest
from vaebench.study.resolve import parameters

__all__ = ["RunRecord", "StudyRuns", "ran_here"]

TABLES = ("study.yaml", "notes.md", "summary.json", "claims.json")


@dataclass(frozen=True)
class RunRecord:
    """What a tracker shows of one run.

    Attributes:
        name: shown in lists of runs.
        identity: tags by which it is found again.
        settings: parameters, as ``likelihood.variance``.
        parent: the run whose child it is.
        status: ``RUNNING``, ``KILLED`` or ``FINISHED``.
        curve: one row per epoch; ``loss`` is train/loss, ``validation_mse`` validation/mse.
        tags: what else is said of it.
        metrics: numbers; ``fid.prior`` is fid/prior.
        seconds: its training's, or its trainings' mean.
        files: artifacts, each with its folder.
        model: weights, specification and densities.
    """

    name: str
    identity: Mapping[str, str]
    settings: Mapping[str, object] = field(default_factory=dict)
    parent: RunRecord | None = None
    status: str = "FINISHED"
    curve: pd.DataFrame = field(default_factory=pd.DataFrame)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    files: Mapping[Path, str] = field(default_factory=dict)
    model: Collection[Path] = ()

    @property
    def content(self) -> str:
        """Digest of what it holds besides its curve; another model has other metrics."""
        files = {path.name: file_digest(path) for path in self.files}
        return digest([self.metrics, self.tags, self.seconds, files, [path.name for path in self.model]])


class StudyRuns:
    """Runs of the study that lies in ``base``, or of one cell of it.

    Args:
        base: the folder that holds ``reports`` and ``data``.
        params: the study.
        cell: data set, method and seed.
    """

    def __init__(self, base: Path, params: Params, *cell: Any):
        self.base, self.study, self.whole = base, params.study.name, not cell
        self.seeds = params.study.seeds
        if cell:
            only = {"datasets": [cell[0]], "methods": [cell[1]], "seeds": [cell[2]]}
            params = params.model_copy(update={"study": params.study.model_copy(update=only)})
        report = base / paths.report_dir(self.study)
        self.results = Results(report, with_outside(params, report) if self.whole else params)

    def training(self, cell: Cell) -> RunRecord:
        """A training by the study's parameters, with its metrics where it was measured."""
        return self._ended(cell) or self._training(cell)

    def live(self) -> Iterator[RunRecord]:
        """Each training that has a curve, as it runs."""
        for cell in self.results.histories:
            yield replace(self._training(cell), status="RUNNING")

    def ended(self) -> list[RunRecord]:
        """All that has ended, with the parameters that the study has now."""
        trainings = {cell: run for cell in self.results.cells if (run := self._ended(cell))}
        if not self.whole:
            return list(trainings.values())
        measured = {cell: run for cell, run in trainings.items() if run.metrics}
        return [*trainings.values(), *self._means(measured), *self._tables()]

    def summary(self, runs: Collection[RunRecord]) -> str:
        """A line on the trainings among ``runs`` that have finished."""
        finished = [run.identity["kind"] for run in runs if run.status == "FINISHED"]
        return f"{finished.count('seed')} of {len(self.results.own_cells)} trainings of {self.study}"

    def _ended(self, cell: Cell) -> RunRecord | None:
        if not self._is_current("train", cell):
            return None
        trained, metrics = self._record("train", cell), self._metrics(cell)
        if not trained and not metrics:
            return replace(self._training(cell), status="KILLED") if self._was_stopped(cell) else None
        tags = {"mlflow.source.git.commit": trained.get("git_commit") or ""}
        seconds = trained.get("seconds", {}).get("epochs", 0.0)
        if not metrics:
            return replace(self._training(cell), tags=tags, seconds=seconds)
        tags["flag"] = _reason(flag_cell(self.results, cell))
        files, model = dict.fromkeys(self.results.images[cell], "images"), self._model(cell)
        return replace(
            self._training(cell), tags=tags, seconds=seconds, metrics=metrics, files=files, model=model
        )

    def _means(self, measured: Mapping[Cell, RunRecord]) -> Iterator[RunRecord]:
        """Means over the seeds, and how sure they are."""
        runs = self.results.runs
        kept = [cell in measured for cell in zip(runs["dataset"], runs["method"], runs["seed"], strict=True)]
        means = over_seeds(runs.loc[kept]).rename(columns={"std": "sd"})
        for names, rows in means.groupby(["dataset", "method"]):
            frame = rows.set_index("metric")[["mean", "sd", "low", "high", "n"]].stack().dropna()
            numbers = {_key(f"{column}.{name}"): value for (name, column), value in frame.items()}
            yield replace(
                self._method(*names),
                tags={"flag": _reason(self.results.flags.get(names))},
                metrics={key.removeprefix("mean/"): value for key, value in numbers.items()},
                seconds=statistics.fmean(run.seconds for cell, run in measured.items() if cell[:2] == names),
            )

    def _tables(self) -> Iterator[RunRecord]:
        """Output of *tabulate*."""
        report = self.results.path
        files = {path: "tables" for path in sorted(report.glob("tables/*"))}
        files |= {path: "" for name in TABLES if (path := report / name).is_file()}
        if files:
            yield RunRecord(f"{self.study}: tables", {"kind": "tables"}, files=files)

    def _method(self, dataset: str, method: str) -> RunRecord:
        described = self._described(dataset, method, kind="method", seeds=digest(self.seeds))
        return RunRecord(f"{method} · {dataset}", *described)

    def _training(self, cell: Cell) -> RunRecord:
        dataset, method, seed = cell
        name, parent = f"{method} · {dataset} · {seed}", self._method(dataset, method)
        kind = "outside" if method.startswith(PREFIX) else "seed"
        described = self._described(dataset, method, kind=kind, seed=str(seed))
        curve = pd.DataFrame()
        if cell in self.results.histories:
            curve = self.results.histories[cell].set_index("epoch").add_prefix("train/")
            curve = curve.rename(columns=lambda name: name.replace("train/validation_", "validation/"))
        return RunRecord(name, *described, parent, curve=curve)

    def _described(self, dataset: str, method: str, **more: str) -> tuple[dict[str, str], dict[str, object]]:
        """Identity and settings; a method that is trained or measured by other parameters is another."""
        point, params = self.results.method(method), self.results.params
        ours = not method.startswith(PREFIX)
        stages = ("train", "evaluate") if ours else ()
        nested = {k: v for s in stages for k, v in parameters(params, s, dataset, method).items()}
        tags = {axis: getattr(point, axis)["name"] for axis in AXES}
        tags |= {"study": self.study, "dataset": dataset, "method": method, "params_digest": digest(nested)}
        return tags | more, pd.json_normalize(nested).iloc[0].dropna().to_dict()

    def _is_made_here(self, cell: Cell) -> bool:
        """False in a clone that has the report alone, and for rows from outside."""
        return ran_here(self.base, self.study) and not cell.method.startswith(PREFIX)

    def _record(self, stage: str, cell: Cell) -> dict:
        """Provenance of the stage; the report's copy may be of an earlier run, and counts in a clone only."""
        if self._is_made_here(cell):
            return mapping_or_empty(self.base / paths.provenance_json(stage, self.study, *cell))
        return self.results.provenance[cell].get(stage, {})

    def _is_current(self, stage: str, cell: Cell) -> bool:
        """False if it was made here with parameters that the study no longer has."""
        made, now = self._record(stage, cell), item_digest(self.results.params, *cell, stage=stage)
        return not made or not self._is_made_here(cell) or made["digests"]["params"] == now

    def _was_stopped(self, cell: Cell) -> bool:
        """True if a training has left a curve later than any record of it."""
        curve = self.base / paths.history_csv(self.study, *cell)
        copy = self.results.path / "provenance" / Path(*map(str, cell), "train.json")
        return curve.is_file() and (not copy.is_file() or curve.stat().st_mtime > copy.stat().st_mtime)

    def _metrics(self, cell: Cell) -> dict[str, float]:
        """Numbers by their key; none where *evaluate* measured an earlier model, or by other parameters."""
        if self._is_made_here(cell):
            weights = self.base / paths.model_dir(self.study, *cell) / "model.safetensors"
            measured = self._record("evaluate", cell).get("model_sha256")
            trained = self._record("train", cell) and weights.is_file()
            if not (trained and measured == file_digest(weights) and self._is_current("evaluate", cell)):
                return {}
        return {_key(name): value for name, value in flatten(self.results.metrics.get(cell, {}))}

    def _model(self, cell: Cell) -> list[Path]:
        """Weights, specification and densities; none in a clone that has the report alone."""
        folder, densities = (
            self.base / place(self.study, *cell) for place in (paths.model_dir, paths.density_dir)
        )
        fitted = [path for name in self.results.study.densities if (path := densities / name).is_dir()]
        files = [folder / "model.safetensors", folder / "spec.json", *fitted]
        return files if files[0].is_file() else []


def ran_here(base: Path, study: str) -> bool:
    """True if DVC has run a stage of the study in ``base``; a clone has the report alone."""
    return any((base / place(study)).is_dir() for place in (paths.resolved_dir, paths.provenance_dir))


def _reason(flag: Flag | None) -> str:
    return flag.reason if flag else "none"


def _key(path: str) -> str:
    return path.replace(".", "/")
