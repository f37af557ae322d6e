"""A study's means in one small file, which ``dvc exp show`` and ``dvc metrics diff`` compare."""

from __future__ import annotations

from pathlib import Path

from vaebench.report.results import DIVERGED, collect

__all__ = ["summary"]


def summary(study_dir: str | Path) -> dict:
    """``{dataset: {method: {metric: mean over seeds}}}``; a metric's nesting is dots, ``fid.prior``.

    Runs that diverged are in no mean; ``diverged`` counts them.
    """
    runs = collect(study_dir)
    means: dict = {}
    for (dataset, method), cell in runs.groupby(["dataset", "method"], sort=False):
        sound = cell[~cell["diverged"]]
        values = sound.groupby("metric", sort=False)["value"].mean().to_dict()
        if diverged := int((cell["metric"] == DIVERGED).sum()):
            values["diverged"] = diverged
        means.setdefault(dataset, {})[method] = values
    return means
