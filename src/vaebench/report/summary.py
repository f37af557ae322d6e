"""A study's means in one small file, which ``dvc exp show`` and ``dvc metrics diff`` compare."""

from __future__ import annotations

from vaebench.report.results import DIVERGED, Results

__all__ = ["summary"]


def summary(results: Results) -> dict:
    """``{dataset: {method: {metric: mean over seeds}}}``; a metric's nesting is dots, ``fid.prior``.

    Runs that diverged are in no mean; ``diverged`` counts them.
    """
    means: dict = {}
    for (dataset, method), rows in results.runs.groupby(["dataset", "method"], sort=False):
        sound = rows[~rows["diverged"]]
        values = sound.groupby("metric", sort=False)["value"].mean().to_dict()
        if diverged := int((rows["metric"] == DIVERGED).sum()):
            values["diverged"] = diverged
        means.setdefault(dataset, {})[method] = values
    return means
