"""The papers' tables: the place of a study's numbers in them, as ``paper.yaml`` has it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from vaebench.report.describe import describe
from vaebench.report.papers import Paper, PaperTable, matches, read_paper, split_sweep

__all__ = ["Shape", "by_method", "dataset_and_metric", "paper_shapes"]


@dataclass(frozen=True)
class Shape:
    """Layout of one table.

    Attributes:
        choose: those of a summary's rows that belong to the table.
        row: the label of the table's row that a row of the summary belongs to.
        column: the group and the label of its column.
        ranked: line within which the best is marked, ``column``, ``row`` or "".
    """

    name: str
    title: str
    choose: Callable[[list], list]
    row: Callable
    column: Callable
    corner: str = "Method"
    ranked: str = "column"
    note: str = ""


def by_method(r) -> str:
    """A row of the table for each method."""
    return r.label


def dataset_and_metric(r) -> tuple[str, str]:
    """A column for each metric, grouped by data set."""
    return r.dataset, describe(r.metric).label


def paper_shapes(key: str | None) -> list[Shape]:
    """The tables of a paper, none without one."""
    if key is None:
        return []
    paper = read_paper(key)
    return [_shape(paper, name, table) for name, table in paper.file.tables.items()]


def _shape(paper: Paper, name: str, table: PaperTable) -> Shape:
    printed = paper.values[paper.values["table"] == table.number]
    columns = [column for column in paper.file.columns if column in set(printed["column"])]
    datasets = table.datasets or list(dict.fromkeys(printed["dataset"]))

    def column_of(r) -> str | None:
        """The printed column that a row of the summary is a number of."""
        for column in columns:
            readings = {reading.metric for reading in paper.file.columns[column].ours}
            if r.metric in readings:
                return column
        return None

    def choose(summary_rows: list) -> list:
        rows = [
            r
            for r in summary_rows
            if matches(r.method, table.methods)
            and matches(r.dataset if "*" in datasets else paper.dataset(r.dataset), datasets)
            and (column_of(r) or matches(r.metric, table.also))
        ]
        return _one_reading_each(paper, rows, column_of)

    def label(r) -> str:
        column = column_of(r)
        own = paper.file.columns[column].label if column else None
        return own or describe(r.metric).label

    def row(r) -> str:
        column = column_of(r)
        suffix = paper.file.columns[column].row if column else ""
        return {"method": r.label, "dataset": r.dataset, "level": _level(r.method)}[table.rows] + suffix

    def part(kind: str, r) -> str:
        return {
            "dataset": lambda: r.dataset,
            "method": lambda: r.label,
            "kind": lambda: table.kind.replace("{}", _kind(r.method)),
            "column": lambda: label(r),
            "": lambda: "",
        }[kind]()

    return Shape(
        f"{paper.key}_{name}",
        f"{paper.name}, {table.heading}: {table.title}",
        choose,
        row,
        lambda r: tuple(part(kind, r) for kind in table.columns),
        table.corner,
        table.ranked,
        table.note,
    )


def _one_reading_each(paper: Paper, rows: list, column_of: Callable) -> list:
    """Of several metrics that may stand for one column, the one that does for each method.

    That is the paper's own reading; for a method whose metric of that name was not measured, another one.
    """
    has = {(r.dataset, r.method, r.metric) for r in rows if r.n or not math.isnan(r.paper)}
    kept = []
    for r in rows:
        column = column_of(r)
        if column is not None:
            entry = paper.file.columns[column]
            first = entry.metric(paper.method(r.method))
            readings = [first, *(reading.metric for reading in entry.ours if reading.metric != first)]
            known = [metric for metric in readings if (r.dataset, r.method, metric) in has]
            if r.metric != (known[0] if known else first):
                continue
        kept.append(r)
    return kept


def _level(method: str) -> str:
    sweep = split_sweep(method)
    if sweep is None:
        return method
    return f"{sweep[1]:.1f}" if round(sweep[1], 1) == sweep[1] else f"{sweep[1]:g}"


def _kind(method: str) -> str:
    sweep = split_sweep(method)
    return sweep[0] if sweep else ""
