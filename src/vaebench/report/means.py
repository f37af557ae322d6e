"""Means over seeds with their error, next to the papers' numbers.

The difference is ours − paper, the relative difference is taken of |paper|, ranks count from 1 within a
data set in the metric's better direction (ties share the smaller rank), and ± is the sample standard
deviation over seeds (n − 1). Runs that diverged enter no mean, and a method that is flagged, as unsound or
measured otherwise, has no rank; see :mod:`vaebench.report.soundness`.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from vaebench.report.describe import describe, is_measure, sort_key
from vaebench.report.papers import paper_metric, read_paper
from vaebench.report.results import DIVERGED, Results
from vaebench.report.statistics import Sample, leaders, prediction_interval, t_interval
from vaebench.study.params import Study

__all__ = ["ERROR", "SIGN", "marks", "over_seeds", "summarise"]

SUMMARY = [
    *("dataset", "method", "label", "metric"),
    *("mean", "std", "n", "low", "high", "se", "sound", "diverged"),
    *("paper", "paper_std", "paper_seeds", "table", "difference", "relative"),
    *("predicted_low", "predicted_high", "reproduced"),
    *("rank", "paper_rank", "mark", "flag"),
]

SIGN = {"lower": 1.0, "higher": -1.0, "": math.nan}
"""Factor that makes a smaller value the better one, by the metric's better direction."""

ERROR = "_se"
"""Suffix of a metric's standard error over test images."""

_KEYS = ["dataset", "method", "metric"]


def over_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Every metric of a data set and method over the seeds of its sound runs.

    Args:
        runs: of :attr:`vaebench.report.results.Results.runs`.

    Returns:
        ``dataset, method, metric, mean, std, n, low, high, se``: the sample standard deviation and the
        95 % interval of the mean are NaN for one seed; ``se`` is the mean over seeds of the standard error
        over test images, NaN where none was measured.
    """
    sound = runs[~runs["diverged"] & (runs["metric"] != DIVERGED)]
    grouped = sound.assign(metric=sound["metric"].map(paper_metric)).groupby(_KEYS, sort=False)["value"]
    means = grouped.agg(mean="mean", std="std", n="count").reset_index()
    errors = means["metric"].str.endswith(ERROR).astype(bool)
    se = means[errors].assign(metric=means.loc[errors, "metric"].str.removesuffix(ERROR))
    se = se[[*_KEYS, "mean"]].rename(columns={"mean": "se"})
    means = means[means["metric"].map(is_measure).astype(bool)].merge(se, on=_KEYS, how="left")
    ends = [t_interval(r.mean, r.std, r.n) for r in means.itertuples()]
    means[["low", "high"]] = np.array(ends).reshape(-1, 2)
    return means[[*_KEYS, "mean", "std", "n", "low", "high", "se"]]


def summarise(results: Results) -> pd.DataFrame:
    """Mean, error, the paper's value and rank for every (data set, method, metric) of the study.

    A row exists for every method of the study and every metric that either we or the paper have for the
    data set, so that what is missing shows. ``n`` counts the seeds in the mean, ``sound`` and ``diverged``
    the method's runs that did and did not survive training. ``reproduced`` is "yes" or "no" where the paper
    prints a spread: whether our mean lies in the 95 % prediction interval of its seeds and our ``n``, or of
    one seed where we have none, with room for what the paper's rounding may hide.
    ``mark`` is that of :func:`marks`, ``flag`` the reason why the method is not ranked, or empty; with one it
    has neither rank nor mark.
    """
    study, runs = results.study, results.runs
    ours = over_seeds(runs)
    printed = _printed(study)
    both = pd.concat([ours[["dataset", "metric"]], printed[["dataset", "metric"]]]).drop_duplicates()
    grid = pd.MultiIndex.from_tuples(
        [
            (dataset, method, metric)
            for dataset in study.datasets
            for method in study.methods
            for metric in sorted(both.loc[both["dataset"] == dataset, "metric"], key=sort_key)
        ],
        names=_KEYS,
    )
    frame = grid.to_frame(index=False).astype(str)
    frame = frame.merge(ours, on=_KEYS, how="left").merge(printed, on=_KEYS, how="left")
    frame["n"] = frame["n"].fillna(0).astype(int)
    cells = pd.MultiIndex.from_frame(frame[["dataset", "method"]])
    for column, chosen in (("sound", ~runs["diverged"]), ("diverged", runs["diverged"])):
        seeds = runs[chosen].groupby(["dataset", "method"])["seed"].nunique()
        frame[column] = seeds.reindex(cells).fillna(0).astype(int).to_numpy()
    frame["label"] = frame["method"].map(results.label)
    frame["difference"] = frame["mean"] - frame["paper"]
    frame["relative"] = frame["difference"] / frame["paper"].abs().replace(0, np.nan)
    ends = [_predicted(r) for r in frame.itertuples()]
    frame[["predicted_low", "predicted_high"]] = np.array(ends, float).reshape(-1, 2)
    inside = frame["mean"].between(frame["predicted_low"], frame["predicted_high"])
    unknown = frame["mean"].isna() | frame["predicted_low"].isna()
    frame["reproduced"] = np.where(unknown, "", np.where(inside, "yes", "no"))
    reasons = {key: flag.reason for key, flag in results.flags.items()}
    frame["flag"] = [reasons.get(key, "") for key in zip(frame["dataset"], frame["method"], strict=True)]
    frame["rank"] = _ranks(frame.assign(mean=frame["mean"].where(frame["flag"] == "")), "mean")
    frame["paper_rank"] = _ranks(frame, "paper")
    frame["mark"] = ""
    for (_, metric), rows in frame[(frame["n"] > 0) & (frame["flag"] == "")].groupby(["dataset", "metric"]):
        samples = {r.Index: Sample(r.mean, r.std, r.n) for r in rows.itertuples()}
        for index, mark in marks(samples, SIGN[describe(metric).better]).items():
            frame.loc[index, "mark"] = mark
    return frame[SUMMARY]


def marks(samples: dict, sign: float) -> dict:
    """Marks of a column: ``best`` for all that are not distinguishable from the best mean.

    Where that mean is of one seed nothing is best, and it alone is marked, as ``single``.

    Args:
        samples: the means that are compared.
        sign: of :data:`SIGN`; NaN where neither direction is better, and then nothing is marked.
    """
    if not samples or math.isnan(sign):
        return {}
    first = min(samples, key=lambda name: sign * samples[name].mean)
    if samples[first].n < 2:
        return {first: "single"} if len(samples) > 1 else {}
    return dict.fromkeys(leaders(samples, sign), "best")


def _predicted(r) -> tuple[float, float]:
    if math.isnan(r.paper):
        return math.nan, math.nan
    rounding = r.rounding, r.std_rounding
    paper = Sample(r.paper, r.paper_std, int(r.paper_seeds), rounding=rounding)
    return prediction_interval(paper, max(r.n, 1))


def _printed(study: Study) -> pd.DataFrame:
    numbers = ["paper", "paper_std", "paper_seeds", "rounding", "std_rounding"]
    columns = ["dataset", "method", "metric", "table", *numbers]
    parts = []
    if study.paper is not None:
        paper = read_paper(study.paper)
        names = {"value": "paper", "std": "paper_std", "seeds": "paper_seeds"}
        values = paper.values[paper.values["metric"].notna()].drop(columns="paper").rename(columns=names)
        for dataset in study.datasets:
            printed = values[values["dataset"] == paper.dataset(dataset)]
            for method in study.methods:
                row = printed[printed["method"] == paper.method(method)]
                parts.append(row.assign(dataset=dataset, method=method))
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
    return frame[columns].astype(dict.fromkeys(numbers, float))


def _ranks(frame: pd.DataFrame, column: str) -> pd.Series:
    signed = frame[column] * frame["metric"].map(lambda metric: SIGN[describe(metric).better]).astype(float)
    return signed.groupby([frame["dataset"], frame["metric"]]).rank(method="min")
