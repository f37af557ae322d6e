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

import pandas as pd

from vaebench.base.style import plain
from vaebench.report.figures.against import against_paper
from vaebench.report.figures.angles import angle_matrices
from vaebench.report.figures.curves import mean_history, training_curves
from vaebench.report.figures.levels import level_curves
from vaebench.report.figures.seconds import seconds_per_epoch
from vaebench.report.figures.sweep import option_sweep
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
        paths += level_curves(results, own, folder / f"levels_{dataset}")
        paths += seconds_per_epoch(results, dataset, folder / f"seconds_{dataset}")
    return paths


def _histories(results: Results, dataset: str) -> dict[str, pd.DataFrame]:
    means = {}
    for method in results.study.methods:
        cells = [Cell(dataset, method, seed) for seed in results.study.seeds]
        runs = [h for cell in cells if (h := results.histories.get(cell)) is not None and len(h)]
        if runs:
            means[plain(results.label(method))] = mean_history(runs)
    return means
