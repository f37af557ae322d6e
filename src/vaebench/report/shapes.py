"""The papers' tables: the place of a study's numbers in them, as ``paper.yaml`` has it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from vaebench.report.describe import describe
from vaebench.report.papers import Column, Paper, PaperTable, matches, read_paper, split_sweep

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
    layout = _Layout(paper, table)
    return Shape(
        f"{paper.key}_{name}",
        f"{paper.name}, {table.heading}: {table.title}",
        layout.choose,
        layout.row,
        layout.column,
        table.corner,
        table.ranked,
        table.note,
    )


class _Layout:
    """Places in a paper's table of the rows of a study's summary."""

    def __init__(self, paper: Paper, table: PaperTable):
        self.paper, self.table = paper, table
        printed = paper.values[paper.values["table"] == table.number]
        self.columns = {c: entry for c, entry in paper.file.columns.items() if c in set(printed["column"])}
        self.datasets = table.datasets or list(dict.fromkeys(printed["dataset"]))

    def choose(self, summary_rows: list) -> list:
        """Those of the rows that belong to the table, one reading of each printed column per method."""
        rows = [r for r in summary_rows if self._belongs(r)]
        has = {(r.dataset, r.method, r.metric) for r in rows if r.n or not math.isnan(r.paper)}
        return [r for r in rows if self._is_the_reading(r, has)]

    def row(self, r) -> str:
        """The label of a number's row."""
        label = {"method": r.label, "dataset": r.dataset, "level": _level(r.method)}[self.table.rows]
        entry = self._printed(r)
        return label + (entry.row if entry else "")

    def column(self, r) -> tuple[str, ...]:
        """The group and the label of a number's column."""
        return tuple(self._head(part, r) for part in self.table.columns)

    def _belongs(self, r) -> bool:
        dataset = r.dataset if "*" in self.datasets else self.paper.dataset(r.dataset)
        in_table = matches(r.method, self.table.methods) and matches(dataset, self.datasets)
        return in_table and bool(self._printed(r) or matches(r.metric, self.table.also))

    def _printed(self, r) -> Column | None:
        """The printed column that a row of the summary is a number of."""
        entries = self.columns.values()
        return next((e for e in entries if any(reading.metric == r.metric for reading in e.ours)), None)

    def _is_the_reading(self, r, has: set[tuple[str, str, str]]) -> bool:
        """True if of several metrics that may stand for one column this one does for the method.

        That is the paper's own reading; for a method whose metric of that name was not measured, another one.
        """
        if (entry := self._printed(r)) is None:
            return True
        first = entry.metric(self.paper.method(r.method))
        readings = [first, *(reading.metric for reading in entry.ours if reading.metric != first)]
        known = [metric for metric in readings if (r.dataset, r.method, metric) in has]
        return r.metric == (known[0] if known else first)

    def _head(self, part: str, r) -> str:
        """A part of a column's header; see :attr:`PaperTable.columns`."""
        if part == "column":
            entry = self._printed(r)
            return (entry.label if entry else None) or describe(r.metric).label
        if part == "kind":
            return self.table.kind.replace("{}", _kind(r.method))
        return {"dataset": r.dataset, "method": r.label, "": ""}[part]


def _level(method: str) -> str:
    sweep = split_sweep(method)
    if sweep is None:
        return method
    return f"{sweep[1]:.1f}" if round(sweep[1], 1) == sweep[1] else f"{sweep[1]:g}"


def _kind(method: str) -> str:
    sweep = split_sweep(method)
    return sweep[0] if sweep else ""
