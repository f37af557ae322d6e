"""A study's means in one small file, which ``dvc exp show`` and ``dvc metrics diff`` compare."""

from __future__ import annotations

from pathlib import Path

from vaebench.base.files import write_json
from vaebench.report.results import DIVERGED, Results
from vaebench.report.statistics import t_interval
from vaebench.study.paths import summary_json

__all__ = ["summary", "write_summary"]


def write_summary(results: Results) -> Path:
    """Write a study's ``summary.json``."""
    path = results.path / summary_json(results.name).name
    write_json(path, summary(results))
    return path


def summary(results: Results) -> dict:
    """``{dataset: {method: {metric: mean over seeds}}}``; a metric's nesting is dots, ``fid.prior``.

    With two seeds or more ``<metric>_low`` and ``<metric>_high`` are the ends of the mean's 95 % interval.
    Runs that diverged are in no mean; ``diverged`` counts them, ``seeds`` the others.
    """
    means: dict = {}
    for (dataset, method), rows in results.runs.groupby(["dataset", "method"], sort=False):
        sound = rows[~rows["diverged"]]
        values: dict[str, float] = {}
        for metric, numbers in sound.groupby("metric", sort=False)["value"]:
            values[metric] = float(numbers.mean())
            if len(numbers) > 1:
                ends = t_interval(values[metric], float(numbers.std()), len(numbers))
                values[f"{metric}_low"], values[f"{metric}_high"] = ends
        if seeds := sound["seed"].nunique():
            values["seeds"] = seeds
        if diverged := int((rows["metric"] == DIVERGED).sum()):
            values["diverged"] = diverged
        means.setdefault(dataset, {})[method] = values
    return means
