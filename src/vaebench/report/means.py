"""Means over seeds beside the papers' numbers.

The difference is ours − paper, the relative difference is taken of |paper|, ranks count from 1 within a
data set in the metric's better direction (ties share the smaller rank), and ± is the sample standard
deviation over seeds (n − 1). Runs that diverged enter no mean, and a method that is flagged as unsound has no
rank; see :mod:`vaebench.report.soundness`.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from vaebench.report.describe import describe, is_measure, sort_key
from vaebench.report.papers import paper_dataset, paper_method, paper_metric, paper_values
from vaebench.report.results import DIVERGED, Results
from vaebench.study.params import Study

__all__ = ["SIGN", "summarise"]

SUMMARY = [
    *("dataset", "method", "label", "metric"),
    *("mean", "std", "n", "sound", "diverged"),
    *("paper", "paper_std", "table", "difference", "relative"),
    *("rank", "paper_rank", "mark", "flag"),
]

SIGN = {"lower": 1.0, "higher": -1.0, "": math.nan}
"""What a value is multiplied by so that less is better, by the metric's better direction."""


def summarise(results: Results) -> pd.DataFrame:
    """Mean, spread, the paper's value and rank for every (data set, method, metric) of the study.

    A row exists for every method of the study and every metric that either we or the paper have for the
    data set, so that what is missing shows. ``n`` counts the seeds in the mean, ``sound`` and ``diverged``
    the method's runs that did and did not survive training, ``mark`` is ``best``, ``second`` or empty,
    ``flag`` the reason why the method is unsound, or empty.
    """
    study, runs = results.study, results.runs
    sound = runs[~runs["diverged"] & (runs["metric"] != DIVERGED) & runs["metric"].map(is_measure)]
    sound = sound.assign(metric=sound["metric"].map(paper_metric))
    keys = ["dataset", "method", "metric"]
    ours = sound.groupby(keys, sort=False)["value"].agg(mean="mean", std="std", n="count").reset_index()
    printed = _printed(study)
    both = pd.concat([ours[["dataset", "metric"]], printed[["dataset", "metric"]]]).drop_duplicates()
    grid = pd.MultiIndex.from_tuples(
        [
            (dataset, method, metric)
            for dataset in study.datasets
            for method in study.methods
            for metric in sorted(both.loc[both["dataset"] == dataset, "metric"], key=sort_key)
        ],
        names=keys,
    )
    frame = grid.to_frame(index=False).astype(str)
    frame = frame.merge(ours, on=keys, how="left").merge(printed, on=keys, how="left")
    frame["n"] = frame["n"].fillna(0).astype(int)
    cells = pd.MultiIndex.from_frame(frame[["dataset", "method"]])
    for column, chosen in (("sound", ~runs["diverged"]), ("diverged", runs["diverged"])):
        seeds = runs[chosen].groupby(["dataset", "method"])["seed"].nunique()
        frame[column] = seeds.reindex(cells).fillna(0).astype(int).to_numpy()
    frame["label"] = frame["method"].map(results.label)
    frame["difference"] = frame["mean"] - frame["paper"]
    frame["relative"] = frame["difference"] / frame["paper"].abs().replace(0, np.nan)
    reasons = {key: flag.reason for key, flag in results.flags.items()}
    frame["flag"] = [reasons.get(key, "") for key in zip(frame["dataset"], frame["method"], strict=True)]
    frame["rank"] = _ranks(frame.assign(mean=frame["mean"].where(frame["flag"] == "")), "mean")
    frame["paper_rank"] = _ranks(frame, "paper")
    frame["mark"] = frame["rank"].map({1.0: "best", 2.0: "second"}).fillna("")
    return frame[SUMMARY]


def _printed(study: Study) -> pd.DataFrame:
    paper = paper_values(study.paper)
    columns = ["dataset", "method", "metric", "paper", "paper_std", "table"]
    renamed = paper.drop(columns="paper").rename(columns={"value": "paper", "std": "paper_std"})
    parts = []
    for dataset in study.datasets:
        part = renamed[renamed["dataset"] == paper_dataset(study.paper, dataset)]
        names = {method: paper_method(study.paper, method) for method in study.methods}
        for method, name in names.items():
            parts.append(part[part["method"] == name].assign(dataset=dataset, method=method))
    frame = pd.concat(parts, ignore_index=True) if parts else renamed
    return frame[columns].astype({"paper": float, "paper_std": float})


def _ranks(frame: pd.DataFrame, column: str) -> pd.Series:
    signed = frame[column] * frame["metric"].map(lambda metric: SIGN[describe(metric).better]).astype(float)
    return signed.groupby([frame["dataset"], frame["metric"]]).rank(method="min")
