"""The numbers that claims are judged on: a paper's own, and a study's by the paper's names."""

from __future__ import annotations

import functools
import math
import re
import statistics
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from vaebench.report.claims.comparison import Key
from vaebench.report.papers import Paper, paper_metric
from vaebench.report.results import Results
from vaebench.report.soundness import flag_cell
from vaebench.report.statistics import Sample, mann_kendall

__all__ = ["SECONDS", "Timing", "as_printed", "measured", "timing"]

OURS = "our."
"""Prefix of a metric of ours that is no column of the paper."""

SECONDS = f"{OURS}seconds_per_epoch"
"""Column of the median time of an epoch, which does not depend on how many there were."""

_Place = tuple[str, str]


def as_printed(paper: Paper) -> dict[Key, Sample]:
    """The paper's own numbers, with their deviation and seeds where it prints a deviation."""
    return dict(_printed(paper))


@functools.cache
def _printed(paper: Paper) -> Mapping[Key, Sample]:
    return {
        (r.dataset, r.method, r.column): Sample(r.value, r.std, r.seeds if r.std == r.std else 1)
        for r in paper.values.itertuples()
    }


def measured(paper: Paper, results: Results, without: Collection[_Place] = ()) -> Mapping[Key, Sample]:
    """A study's means by the paper's names.

    Beside the metrics, of each method's trainings on a data set:

    - ``our.trend.<column>``: Mann and Kendall's z of a training curve over the epochs, below −1.96 where it
      falls and above 1.96 where it rises, one-sided at 2.5 %;
    - ``our.share_broken``: the share that diverged or collapsed;
    - ``our.seconds_per_epoch``: the median epoch, of the device and precision that most methods share.

    Args:
        paper: whose names.
        results: the study's.
        without: (data set, method) of the study whose trainings are no result.
    """
    found: dict[Key, Sample] = {}
    for (dataset, method), column, sample in _of_trainings(results):
        if (dataset, method) not in without:
            found[paper.dataset(dataset), paper.method(method, one_to_one=True), column] = sample
    by_seed = _by_seed(results)
    for r in results.measured.itertuples():
        if (r.dataset, r.method) in without:
            continue
        dataset, method = paper.dataset(r.dataset), paper.method(r.method, one_to_one=True)
        values = by_seed.get((r.dataset, r.method, r.metric), {})
        sample = Sample(r.mean, r.std, r.n, values if len(values) == r.n else {})
        found[dataset, method, f"{OURS}{r.metric}"] = sample
        for column, entry in paper.file.columns.items():
            if entry.metric(method) == r.metric:
                found[dataset, method, column] = sample
    return found


def _by_seed(results: Results) -> dict[tuple[str, str, str], dict[int, float]]:
    """Values by seed of each data set, method and metric, of the trainings that did not diverge."""
    found: dict[tuple[str, str, str], dict[int, float]] = {}
    for r in results.runs[~results.runs["diverged"]].itertuples():
        found.setdefault((r.dataset, r.method, paper_metric(r.metric)), {})[r.seed] = r.value
    return found


def _of_trainings(results: Results) -> Iterator[tuple[_Place, str, Sample]]:
    trends: dict[tuple[_Place, str], list[float]] = {}
    for cell, history in results.histories.items():
        for column in history.select_dtypes("number").columns.drop("epoch", errors="ignore"):  # none: no rows
            values = history[column].to_numpy()
            if len(values) > 2 and np.isfinite(values).all():
                trends.setdefault((cell[:2], column), []).append(mann_kendall(values))
    for (place, column), values in trends.items():
        yield place, f"{OURS}trend.{column}", _sample(values)
    broken: dict[_Place, list[bool]] = {}
    for cell in results.metrics:
        broken.setdefault(cell[:2], []).append(flag_cell(results, cell) is not None)
    for place, flags in broken.items():
        yield place, f"{OURS}share_broken", _share(flags)
    for dataset in results.study.datasets:
        for method, seconds in timing(results, dataset).seconds.items():
            yield (dataset, method), SECONDS, _sample(seconds)


@dataclass(frozen=True)
class Timing:
    """Seconds per epoch on a data set, of the device and precision that timed the most methods.

    Attributes:
        device: both in words.
        seconds: each training's median epoch, by method.
        share: the least share of its threads' time that a training had; NaN where a record is missing.
    """

    device: str
    seconds: Mapping[str, list[float]]
    share: float


def timing(results: Results, dataset: str) -> Timing:
    """The times of a data set that are compared."""
    by_device: dict[str, dict[str, list[float]]] = {}
    shares: dict[str, list[float]] = {}
    for cell, records in results.provenance.items():
        train = records.get("train", {})
        seconds = train.get("seconds", {}).get("epoch_median")
        if cell.dataset == dataset and seconds is not None:
            device = ", ".join(str(train[key]) for key in ("device", "precision") if key in train)
            by_device.setdefault(device, {}).setdefault(cell.method, []).append(float(seconds))
            shares.setdefault(device, []).append(_share_of_threads(train))
    device, timed = max(by_device.items(), key=lambda item: len(item[1]), default=("", {}))
    found = shares.get(device, [math.nan])
    return Timing(device, timed, math.nan if any(map(math.isnan, found)) else min(found))


def _share_of_threads(record: Mapping) -> float:
    """Processor time over the wall's of as many threads as the device is said to have, 1 at most."""
    threads = re.search(r"(\d+) thread", str(record.get("device")))
    seconds = record["seconds"]
    if threads is None or not {"cpu", "stage"} <= seconds.keys():
        return math.nan
    return min(1.0, seconds["cpu"] / (seconds["stage"] * int(threads[1])))


def _sample(values: list[float]) -> Sample:
    std = statistics.stdev(values) if len(values) > 1 else math.nan
    return Sample(statistics.fmean(values), std, len(values))


def _share(flags: list[bool]) -> Sample:
    """A share of trainings; its deviation is Agresti and Coull's, since that of equal ones is not 0."""
    n, share = len(flags), (sum(flags) + 2) / (len(flags) + 4)
    return Sample(sum(flags) / n, math.sqrt(share * (1 - share)) if n > 1 else math.nan, n)
