"""Metrics against an option of the likelihood, one line for each value of a second one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from vaebench.base.palette import colour
from vaebench.base.style import panels, plain, save
from vaebench.report.describe import describe
from vaebench.report.results import Results
from vaebench.report.sweeps import find_sweep, metrics_of

__all__ = ["option_sweep"]


def option_sweep(results: Results, summary: pd.DataFrame, stem: Path) -> list[Path]:
    """Draw one panel per metric; a run that diverged is a gap in its line, an unsound one a hollow point.

    Args:
        results: the sweep's methods.
        summary: of one data set.
        stem: path of the files without a suffix.

    Returns:
        The PNG and the PDF; nothing where the study is no sweep or has not been measured.
    """
    sweep = find_sweep(results)
    metrics = metrics_of(summary)
    if sweep is None or not metrics:
        return []
    with panels(len(metrics), panel=(3.3, 2.5), margin=(0, 0.4)) as (figure, axes):
        for ax, metric in zip(axes, metrics, strict=True):
            rows = summary[(summary["metric"] == metric) & summary["method"].isin(sweep.place)]
            at = [sweep.place[method] for method in rows["method"]]
            rows = rows.assign(x=[x for x, _ in at], line=[line for _, line in at]).sort_values("x")
            for index, (value, words) in enumerate(sweep.columns.items()):
                line = rows[rows["line"] == value]
                style = {"fmt": "o-", "ms": 4, "lw": 1.2, "color": colour(index), "label": plain(words)}
                ax.errorbar(line["x"], line["mean"], line["std"].fillna(0), **style)
                broken = line[line["flag"] != ""]
                ax.plot(broken["x"], broken["mean"], "o", ms=4, mfc="white", mec=colour(index))
            if rows["paper"].nunique() == 1:
                ax.axhline(rows["paper"].dropna().iloc[0], color="#5d6570", ls="--", lw=1, label="paper")
            ax.set(title=plain(describe(metric).label), xlabel=plain(sweep.option), xscale="log")
        entries: dict[str, Any] = {}
        for ax in axes:
            entries |= {name: handle for handle, name in zip(*ax.get_legend_handles_labels(), strict=True)}
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=4)
        return save(figure, stem)
