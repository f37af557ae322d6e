"""A study's best methods as plain text, for a terminal."""

from __future__ import annotations

import math
from pathlib import Path

from vaebench.report.cells import DASH, Cell, number
from vaebench.report.describe import describe
from vaebench.report.means import summarise
from vaebench.report.results import read_study

__all__ = ["best_rows"]


def best_rows(study_dir: str | Path, n: int = 5) -> str:
    """The ``n`` best methods of each data set by their mean rank over all ranked metrics, as plain text.

    A column for each of the first six ranked metrics; a method whose every run diverged comes last.
    """
    study = read_study(study_dir)
    summary = summarise(study)
    lines = [f"{study.name}: {study.title}" if study.title != study.name else study.name]
    for dataset in study.datasets:
        part = summary[summary["dataset"] == dataset]
        ranked = part[part["rank"].notna()]
        if ranked.empty:
            lines += ["", f"{dataset}: nothing evaluated yet"]
            continue
        metrics = list(dict.fromkeys(ranked["metric"]))[:6]
        order = ranked.groupby("method")["rank"].mean().sort_values(kind="stable")
        diverged = part[(part["sound"] == 0) & (part["diverged"] > 0)]["method"].unique()
        methods = [*order.index, *(m for m in diverged if m not in order.index)][:n]
        cells = {(r.method, r.metric): Cell.of(r).ours for r in part.itertuples()}
        header = [dataset, "mean rank", *(describe(metric).label for metric in metrics)]
        body = [
            [study.label(m), number(order.get(m, math.nan)), *(cells.get((m, k), DASH) for k in metrics)]
            for m in methods
        ]
        widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
        lines.append("")
        for row in [header, ["-" * width for width in widths], *body]:
            first, *rest = (
                text.ljust(width) if i == 0 else text.rjust(width)
                for i, (text, width) in enumerate(zip(row, widths, strict=True))
            )
            lines.append("  ".join([first, *rest]).rstrip())
    return "\n".join(lines)
