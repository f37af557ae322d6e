"""A study's figures: methods against each other and against the paper.

| file | content |
| --- | --- |
| ``curves_<dataset>`` | training curves, mean over seeds |
| ``against_<table>`` | every cell of a paper's table: its number and ours, with intervals |
| ``sweep_<dataset>`` | metrics against an option of the likelihood, where a study varies one |
| ``angles_<dataset>`` | angles between factors' directions (Saha, Figure 4) |
| ``levels_<dataset>`` | metrics against the level in the methods' names (Takida, Tables 1 and E.8) |
| ``seconds_<dataset>`` | seconds per epoch, where all were timed on one device (Takida, Figure 2) |
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from vaebench.base.palette import colour
from vaebench.base.style import log_ticks, panels, plain, save
from vaebench.report.describe import describe
from vaebench.report.figures.against import against_paper
from vaebench.report.figures.angles import angle_matrices
from vaebench.report.figures.curves import mean_history, training_curves
from vaebench.report.figures.seconds import seconds_per_epoch
from vaebench.report.figures.sweep import option_sweep
from vaebench.report.papers import matches, read_paper, split_sweep
from vaebench.report.results import Cell, Results
from vaebench.report.tables import shaped_tables

__all__ = ["write_figures"]


def write_figures(results: Results) -> list[Path]:
    """Draw every figure for which the study has the numbers into ``figures/``, as PNG and PDF."""
    summary = results.summary
    folder = results.path / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.iterdir():
        if stale.suffix in (".png", ".pdf"):
            stale.unlink()
    paths = []
    for table in shaped_tables(results):
        ours = f"ours, {results.params.training.epochs} epochs"
        paths += against_paper(table, folder / f"against_{table.name}", ours)
    for dataset in results.study.datasets:
        own = summary[summary["dataset"] == dataset]
        curves = _histories(results, dataset)
        paths += training_curves(curves, results.curve_titles, folder / f"curves_{dataset}")
        paths += option_sweep(results, own, folder / f"sweep_{dataset}")
        paths += angle_matrices(results, own, folder / f"angles_{dataset}")
        paths += _levels(results, own, folder / f"levels_{dataset}")
        paths += seconds_per_epoch(results, dataset, folder / f"seconds_{dataset}")
    return paths


def _name(metric: str) -> str:
    return plain(describe(metric).label)


def _histories(results: Results, dataset: str) -> dict[str, pd.DataFrame]:
    means = {}
    for method in results.study.methods:
        cells = [Cell(dataset, method, seed) for seed in results.study.seeds]
        runs = [h for cell in cells if (h := results.histories.get(cell)) is not None and len(h)]
        if runs:
            means[plain(results.label(method))] = mean_history(runs)
    return means


def _axis(results: Results, methods: list[str]) -> str:
    """Name of the methods' levels in the paper's table."""
    tables = read_paper(results.study.paper).file.tables.values() if results.study.paper else ()
    corners = (t.corner for t in tables if t.rows == "level" and any(matches(m, t.methods) for m in methods))
    return next(corners, "level")


def _levels(results: Results, swept: pd.DataFrame, stem: Path) -> list[Path]:
    swept = swept[(swept["n"] > 0) & np.array([split_sweep(m) is not None for m in swept["method"]], bool)]
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
            ax.set(title=_name(metric), xlabel=_axis(results, list(swept["method"])))
        found = [zip(*ax.get_legend_handles_labels(), strict=True) for ax in axes]
        handles = {label: handle for pairs in found for handle, label in pairs}
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=4)
        return save(figure, stem)
