"""Metrics against the level in the methods' names (Takida et al., Tables 1 and E.8)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from vaebench.base.palette import colour
from vaebench.base.style import log_ticks, panels, plain, save
from vaebench.report.describe import describe
from vaebench.report.papers import matches, read_paper, split_sweep
from vaebench.report.results import Results

__all__ = ["level_curves"]


def _axis(results: Results, methods: list[str]) -> str:
    """Name of the methods' levels in the paper's table."""
    tables = read_paper(results.study.paper).file.tables.values() if results.study.paper else ()
    corners = (t.corner for t in tables if t.rows == "level" and any(matches(m, t.methods) for m in methods))
    return next(corners, "level")


def level_curves(results: Results, summary: pd.DataFrame, stem: Path) -> list[Path]:
    """Draw one panel per metric, one line per kind of method; the paper's numbers are dashed.

    Args:
        results: names the paper.
        summary: of one data set.
        stem: path of the files without a suffix.

    Returns:
        The PNG and the PDF; nothing where the methods' names have fewer than two levels.
    """
    levelled = np.array([split_sweep(m) is not None for m in summary["method"]], bool)
    swept = summary[(summary["n"] > 0) & levelled]
    points = [point for method in swept["method"] if (point := split_sweep(method))]
    swept = swept.assign(kind=[kind for kind, _ in points], level=[level for _, level in points])
    metrics = list(dict.fromkeys(swept["metric"]))
    if not metrics or swept["level"].nunique() < 2:
        return []
    with panels(len(metrics), panel=(3.3, 2.5), margin=(0, 0.4)) as (figure, axes):
        for ax, metric in zip(axes, metrics, strict=True):
            for index, (kind, rows) in enumerate(
                swept[swept["metric"] == metric].groupby("kind", sort=False)
            ):
                rows = rows.sort_values("level")
                style = {"color": colour(index), "ms": 4, "lw": 1.2}
                ax.errorbar(
                    rows["level"],
                    rows["mean"],
                    rows["std"].fillna(0),
                    fmt="o-",
                    label=f"{kind}, ours",
                    **style,
                )
                if rows["paper"].notna().any():
                    ax.plot(rows["level"], rows["paper"], "D--", mfc="white", label=f"{kind}, paper", **style)
            values = swept.loc[swept["metric"] == metric, ["mean", "paper"]].to_numpy(float)
            if not (values <= 0).any():
                ax.set_yscale("log")
                log_ticks(ax.yaxis)
            ax.set(title=plain(describe(metric).label), xlabel=_axis(results, list(swept["method"])))
        found = [zip(*ax.get_legend_handles_labels(), strict=True) for ax in axes]
        handles = {label: handle for pairs in found for handle, label in pairs}
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=4)
        return save(figure, stem)
