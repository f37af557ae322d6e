"""A study's tables: its paper's, those of its sweep or crossing, and one per group of metrics."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vaebench.report.crossing import crossing_tables
from vaebench.report.describe import GROUPS, describe
from vaebench.report.entries import Entry, Table
from vaebench.report.means import SIGN, marks
from vaebench.report.render import csv, latex, markdown
from vaebench.report.results import Results
from vaebench.report.shapes import Shape, by_method, dataset_and_metric, paper_shapes
from vaebench.report.statistics import Sample
from vaebench.report.sweeps import sweep_tables

__all__ = ["all_tables", "shaped_tables", "write_tables"]


def shaped_tables(results: Results) -> list[Table]:
    """The tables of the study's paper in the paper's own shape."""
    shapes = paper_shapes(results.study.paper)
    return [table for table in (_lay_out(shape, results.summary_rows) for shape in shapes) if table]


def all_tables(results: Results) -> list[Table]:
    """Every table of a study: the paper's, its sweep's or crossing's, then one per group of metrics."""
    generated = [*sweep_tables(results), *crossing_tables(results)]
    return [*shaped_tables(results), *generated, *group_tables(results)]


def group_tables(results: Results) -> list[Table]:
    """One table for each group of metrics that the study measured."""
    measured = set(results.measured["metric"])
    tables = []
    for group, title in GROUPS.items():
        metrics = {metric for metric in measured if describe(metric).group == group}
        shape = Shape(group, title, _measuring(metrics), by_method, dataset_and_metric)
        table = _lay_out(shape, results.summary_rows)
        if table:
            tables.append(table)
    return [*tables, *_lost(results)]


def _lost(results: Results) -> list[Table]:
    """The data sets of which no training survived, with how their methods ended: no other table has them."""
    runs, study = results.runs, results.study
    lost = [name for name in study.datasets if (runs["dataset"] == name).any()]
    lost = [name for name in lost if runs.loc[runs["dataset"] == name, "diverged"].all()]
    seeds = runs.groupby(["method", "dataset"])["seed"].nunique()
    rows = [
        (results.label(method), [Entry(diverged=int(seeds.get((method, name), 0))) for name in lost])
        for method in study.methods
    ]
    columns = [(name, "training") for name in lost]
    title = "Trainings of which none survived"
    return [Table("lost", title, "method", columns, rows, ranked="")] if lost else []


def _measuring(metrics: set[str]) -> Callable[[list], list]:
    return lambda rows: [r for r in rows if r.metric in metrics]


def _lay_out(shape: Shape, summary_rows: list) -> Table | None:
    chosen = shape.choose(summary_rows)
    if not any(r.n for r in chosen):
        return None
    cells: dict[tuple, tuple[Entry, str]] = {}
    rows: dict[str, None] = {}
    columns: dict[tuple[str, str], None] = {}
    for r in chosen:
        row, column = shape.row(r), shape.column(r)
        rows.setdefault(row)
        columns.setdefault(column)
        cell = Entry.of(r)
        cells[row, column] = (cell, describe(r.metric).better)
    kept = [c for c in columns if any(_says_something(cells.get((r, c))) for r in rows)]
    lines = {"column": [[(r, c) for r in rows] for c in kept], "row": [[(r, c) for c in kept] for r in rows]}
    marked: dict[tuple, str] = {}
    for line in lines.get(shape.ranked, []):
        marked.update(_marks({key: cells[key] for key in line if key in cells}))
    body = []
    for row in rows:
        found = [cells.get((row, column), (Entry(), ""))[0] for column in kept]
        entries = [replace(e, mark=marked.get((row, k), "")) for e, k in zip(found, kept, strict=True)]
        body.append((row, entries))
    return Table(shape.name, shape.title, shape.corner, kept, body, shape.note, ranked=shape.ranked)


def _says_something(entry: tuple[Entry, str] | None) -> bool:
    return entry is not None and bool(entry[0].n or not math.isnan(entry[0].paper))


def _marks(line: dict[tuple, tuple[Entry, str]]) -> dict[tuple, str]:
    """The marks of a line of entries that all have one better direction."""
    ranked = {key: entry for key, entry in line.items() if entry[0].n and not entry[0].flag}
    directions = {better for _, better in ranked.values()}
    samples = {key: Sample(entry.mean, entry.std, entry.n) for key, (entry, _) in ranked.items()}
    return marks(samples, SIGN[directions.pop()]) if len(directions) == 1 else {}


def write_tables(results: Results) -> list[Path]:
    """Write a study's ``tables/``.

    ``metrics.csv`` has one row per run and number, ``summary.csv`` the means next to the paper's; each
    table comes as ``.csv``, ``.md`` and ``.tex`` (booktabs).
    """
    folder = results.path / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.iterdir():
        if stale.suffix in (".csv", ".md", ".tex"):
            stale.unlink()
    paths = [folder / "metrics.csv", folder / "summary.csv"]
    results.runs.to_csv(paths[0], index=False)
    results.summary.to_csv(paths[1], index=False)
    for table in results.tables:
        for suffix, render in (("csv", csv), ("md", markdown), ("tex", latex)):
            path = folder / f"{table.name}.{suffix}"
            path.write_text(render(table), encoding="utf-8")
            paths.append(path)
    return paths
