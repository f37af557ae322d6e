"""A study's folder under ``reports/``, read once and checked.

reports/<study>/study.yaml                                   the study as it was run
reports/<study>/metrics/<dataset>/<method>/<seed>.json       numbers, or {"diverged_at_epoch": n}
reports/<study>/history/<dataset>/<method>/<seed>.csv        one row per epoch
reports/<study>/images/<dataset>/<method>/<seed>/*.png       grids
reports/<study>/provenance/<dataset>/<method>/<seed>/*.json  provenance, per stage
reports/<study>/outside/<dataset>/<method>/<seed>.json       rows that were not made here
reports/<study>/notes.md                                     somebody's reading of it, if there is one
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd
from pydantic import ValidationError

from vaebench.base.errors import UserError
from vaebench.base.files import read_json, read_yaml
from vaebench.base.reading import reading
from vaebench.base.registry import explain
from vaebench.report.outside import (
    PREFIX,
    outside_files,
    outside_images,
    outside_metrics,
    outside_provenance,
    with_outside,
)
from vaebench.report.superseded import is_superseded
from vaebench.study.params import Method, Params, Study, registry
from vaebench.study.resolve import listed

if TYPE_CHECKING:
    from vaebench.report.claims import Verdict
    from vaebench.report.entries import Table
    from vaebench.report.soundness import Flag

__all__ = ["DIVERGED", "Cell", "Results", "flatten", "read_results", "spec_text"]

DIVERGED = "diverged_at_epoch"
_CURVES = {
    "loss": "objective, each method's own",
    "reconstruction": "reconstruction term",
    "regularization": "regularization term",
    "validation_mse": "validation MSE",
    "adversary": "adversary's loss",
    "learning_rate": "learning rate",
}
"""Columns of every method's history that are drawn."""


class Cell(NamedTuple):
    """One run of the study's grid."""

    dataset: str
    method: str
    seed: int


@dataclass(frozen=True, eq=False)
class Results:
    """``reports/<study>/``: the study as it was run and everything that was measured.

    Each file is read when it is first asked for, and once; a damaged one is a :class:`UserError` that
    names it.

        >>> results = read_results("reports/takida_mnist_short")
        >>> results.metrics["mnist", "mle_iso_i", 0]["mse"] < 10
        True
    """

    path: Path
    params: Params

    @property
    def study(self) -> Study:
        """The study's head: its name, paper, data sets, methods, seeds and densities in their order."""
        return self.params.study

    @property
    def name(self) -> str:
        """The study's name, its folder's too."""
        return self.study.name

    @property
    def title(self) -> str:
        """The study's title, or its name without one."""
        return self.study.title or self.name

    @cached_property
    def own_methods(self) -> list[str]:
        """The study's methods without the rows that were brought from outside."""
        return [method for method in self.study.methods if not method.startswith(PREFIX)]

    @cached_property
    def own_cells(self) -> list[Cell]:
        """:attr:`cells` of :attr:`own_methods`."""
        return [cell for cell in self.cells if not cell.method.startswith(PREFIX)]

    @cached_property
    def notes(self) -> str:
        """``notes.md``; empty where nobody wrote it."""
        path = self.path / "notes.md"
        try:
            return path.read_text(encoding="utf-8") if path.exists() else ""
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is not text in UTF-8: {error}") from None

    def method(self, name: str) -> Method:
        """A method's entry in ``methods``."""
        return self.params.methods[name]

    def label(self, method: str) -> str:
        """The method's name in tables."""
        return self.method(method).label or method

    @cached_property
    def cells(self) -> list[Cell]:
        """Every (data set, method, seed) of the grid, run or not."""
        study, recorded = self.study, outside_files(self.path)
        grid = [Cell(d, m, s) for d in study.datasets for m in study.methods for s in study.seeds]
        return [cell for cell in grid if not cell.method.startswith(PREFIX) or cell in recorded]

    @cached_property
    def metrics(self) -> dict[Cell, dict]:
        """Nested metrics of every cell that was evaluated by the study's parameters."""
        paths = self._written("evaluate").items()
        ours = {
            cell: _json(path, "evaluate") for cell, path in paths if not self._is_left_out(cell, "evaluate")
        }
        recorded = {Cell(*key): path for key, path in outside_files(self.path).items()}
        return ours | {cell: outside_metrics(recorded[cell]) for cell in self.cells if cell in recorded}

    @cached_property
    def histories(self) -> dict[Cell, pd.DataFrame]:
        """Training curves, one row per epoch, of every cell that was trained by the study's parameters."""
        paths = self._written("train").items()
        return {cell: _history(path) for cell, path in paths if not self._is_left_out(cell, "train")}

    @cached_property
    def superseded(self) -> dict[Cell, list[str]]:
        """Cells, and their stages, whose files are by other parameters: not shown.

        See :mod:`vaebench.report.superseded`.
        """
        stages: dict[Cell, list[str]] = {}
        for stage in ("train", "evaluate"):
            for cell, path in self._written(stage).items():
                if is_superseded(path, stage, self.path, self.params, cell):
                    stages.setdefault(cell, []).append(stage)
        return stages

    def _is_left_out(self, cell: Cell, stage: str) -> bool:
        return stage in self.superseded.get(cell, ())

    def _written(self, stage: str) -> dict[Cell, Path]:
        """The files of a stage that are there."""
        kind, suffix = {"train": ("history", "csv"), "evaluate": ("metrics", "json")}[stage]
        paths = {c: self.path / kind / c.dataset / c.method / f"{c.seed}.{suffix}" for c in self.cells}
        return {cell: path for cell, path in paths.items() if path.exists()}

    @property
    def notice(self) -> str:
        """A line on what is not shown and what to do; empty where all is shown."""
        if not self.superseded:
            return ""
        names = [
            f"{cell.method} · {cell.dataset} · {cell.seed}" + (" (its curve)" if stages == ["train"] else "")
            for cell, stages in self.superseded.items()
        ]
        return (
            f"Not shown: {listed(names)}; made by other parameters than {self.path / 'study.yaml'} has. "
            "`dvc repro` goes on to the end and shows it."
        )

    @cached_property
    def curve_titles(self) -> dict[str, str]:
        """Titles of the histories' columns that are drawn, in their order.

        The methods' likelihoods, posteriors and regularizers say what they monitor.
        """
        titles = dict(_CURVES)
        for axis in ("likelihood", "posterior", "regularizer"):
            for name in self.study.methods:
                numbers = registry(axis).read(getattr(self.method(name), axis)["name"], "describes") or {}
                titles |= {column: number.title for column, number in numbers.items()}
        return titles

    @cached_property
    def provenance(self) -> dict[Cell, dict[str, dict]]:
        """Provenance of each cell: a record by the stage's name, empty where there is none."""
        order = {"train": 0, "posthoc": 1, "evaluate": 2}
        records = {}
        for cell in self.cells:
            folder = self.path / "provenance" / cell.dataset / cell.method / str(cell.seed)
            paths = sorted(folder.glob("*.json"), key=lambda p: (order.get(p.stem, 9), p.stem))
            records[cell] = {path.stem: _json(path, path.stem) for path in paths}
        recorded = outside_files(self.path)
        return records | {cell: outside_provenance(recorded[cell]) for cell in self.cells if cell in recorded}

    @cached_property
    def images(self) -> dict[Cell, list[Path]]:
        """Pictures: reconstructions, samples in the densities' order, interpolations, the others."""
        kinds = ("recon", "sample", "interp", "travers", "latent")
        densities = self.study.densities

        def place(path: Path) -> tuple:
            kind = next((i for i, kind in enumerate(kinds) if path.stem.startswith(kind)), len(kinds))
            density = path.stem.partition("-")[2]
            return kind, densities.index(density) if density in densities else -1, path.stem

        folders = {c: self.path / "images" / c.dataset / c.method / str(c.seed) for c in self.cells}
        folders |= {Cell(*key): outside_images(path) for key, path in outside_files(self.path).items()}
        shown = [cell for cell in self.cells if not self._is_left_out(cell, "evaluate")]
        return {c: sorted(folders[c].glob("*.png"), key=place) if c in shown else [] for c in self.cells}

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Every number, one per row: ``dataset, method, label, seed, metric, value, diverged``.

        In the study's order. A run that diverged has the row ``diverged_at_epoch``; a run that has not been
        evaluated has none.
        """
        rows = [
            (*cell[:2], self.label(cell.method), cell.seed, path, value, DIVERGED in metrics)
            for cell, metrics in self.metrics.items()
            for path, value in flatten(metrics)
        ]
        columns = ["dataset", "method", "label", "seed", "metric", "value", "diverged"]
        return pd.DataFrame(rows, columns=columns).astype({"value": float, "diverged": bool})

    @cached_property
    def flags(self) -> dict[tuple[str, str], Flag]:
        """What is not ranked by (data set, method), and why; see :mod:`vaebench.report.soundness`."""
        from vaebench.report.soundness import flag_methods

        return flag_methods(self)

    @cached_property
    def unsound(self) -> dict[tuple[str, str], Flag]:
        """:attr:`flags` of models that are broken; what was measured otherwise need not be."""
        return {row: flag for row, flag in self.flags.items() if flag.kind != "measured otherwise"}

    @cached_property
    def summary(self) -> pd.DataFrame:
        """Means over seeds next to the paper's numbers; see :func:`vaebench.report.means.summarise`."""
        from vaebench.report.means import summarise

        return summarise(self)

    @cached_property
    def summary_rows(self) -> list:
        """The rows of :attr:`summary` as named tuples."""
        return list(self.summary.itertuples())

    @cached_property
    def tables(self) -> list[Table]:
        """Every table of the study; see :func:`vaebench.report.tables.all_tables`."""
        from vaebench.report.tables import all_tables

        return all_tables(self)

    @cached_property
    def rank_counts(self) -> dict[str, dict[tuple[str, str], int]]:
        """Number of methods that share in ``rank`` and ``paper_rank``, by (data set, metric)."""
        by_metric = self.summary.groupby(["dataset", "metric"])
        return {column: by_metric[column].count().to_dict() for column in ("rank", "paper_rank")}

    @cached_property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change with any metric of any run."""
        content = [[*cell, self.metrics[cell]] for cell in self.own_cells if cell in self.metrics]
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @cached_property
    def measured(self) -> pd.DataFrame:
        """The rows of :attr:`summary` that have a number of ours."""
        return self.summary[self.summary["n"] > 0]

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """Verdicts of the study on its paper's claims; see :func:`vaebench.report.claims.judge`."""
        from vaebench.report.claims import judge

        return judge(self)

    def check(self) -> Results:
        """Read every file now, so that a damaged one stops the work before anything is overwritten."""
        _ = self.metrics, self.histories, self.provenance, self.notes
        return self


def read_results(study_dir: str | Path) -> Results:
    """Open ``reports/<study>/``; keys of ``study.yaml`` that the schema no longer has are passed over.

    Raises:
        UserError: ``study.yaml`` is missing or damaged.
    """
    path = Path(study_dir)
    source = path / "study.yaml"
    with reading(source, "tabulate"):
        content = read_yaml(source)
        try:
            params = Params.model_validate(content, extra="ignore")
        except ValidationError as error:
            raise ValueError(explain(error, "", Params)) from None
    return Results(path, with_outside(params, path))


def flatten(metrics: dict, prefix: str = "") -> Iterator[tuple[str, float]]:
    """The finite numbers of a nested mapping by dotted path; lists and texts are passed over.

    >>> dict(flatten({"fid": {"prior": 22.5}, "mse": 4}))
    {'fid.prior': 22.5, 'mse': 4.0}
    """
    for key, value in metrics.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{prefix}{key}", float(value)


def spec_text(spec: dict | None) -> str:
    """A point on an axis in one line: its name, then what was set.

    >>> spec_text({"name": "gaussian", "variance": "mle", "epsilon": 0.001})
    'gaussian · mle · epsilon 0.001'
    """
    if not spec:
        return "none"
    options = [v if isinstance(v, str) else f"{k} {v}" for k, v in spec.items() if k != "name"]
    return " · ".join([str(spec.get("name", "none")), *options])


def _history(path: Path) -> pd.DataFrame:
    with reading(path, "train"):
        frame = pd.read_csv(path)
        if "epoch" not in frame:
            raise ValueError("it has no column 'epoch'")
    return frame


def _json(path: Path, stage: str) -> dict:
    with reading(path, stage):
        return read_json(path)
