"""A study's best methods as plain text, for a terminal."""

from __future__ import annotations

import math

from vaebench.report.describe import describe
from vaebench.report.entries import DASH, Entry, number
from vaebench.report.results import Results

__all__ = ["best_rows"]


def best_rows(results: Results, n: int = 5) -> str:
    """The ``n`` best methods of each data set by their mean rank over all ranked metrics, as plain text.

    A column for each of the first six ranked metrics; a method whose every run diverged comes last.
    """
    summary = results.summary
    lines = [f"{results.name}: {results.title}" if results.title != results.name else results.name]
    for dataset in results.study.datasets:
        part = summary[summary["dataset"] == dataset]
        ranked = part[part["rank"].notna()]
        if ranked.empty:
            lines += ["", f"{dataset}: nothing evaluated yet"]
            continue
        metrics = list(dict.fromkeys(ranked["metric"]))[:6]
        order = ranked.groupby("method")["rank"].mean().sort_values(kind="stable")
        diverged = part[(part["sound"] == 0) & (part["diverged"] > 0)]["method"].unique()
        methods = [*order.index, *(m for m in diverged if m not in order.index)][:n]
        cells = {(r.method, r.metric): Entry.of(r).ours for r in part.itertuples()}
        header = [dataset, "mean rank", *(describe(metric).label for metric in metrics)]
        body = [
            [results.label(m), number(order.get(m, math.nan)), *(cells.get((m, k), DASH) for k in metrics)]
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
