"""How far a study follows a paper's protocol: schedule, images, seeds, and times of an unshared machine."""

from __future__ import annotations

import math

from vaebench.data import training_images
from vaebench.report.claims.comparison import Key
from vaebench.report.claims.numbers import SECONDS, Timing
from vaebench.report.entries import percent
from vaebench.report.papers import Paper
from vaebench.report.results import DIVERGED, Results

__all__ = ["schedule_share", "shared_machine", "shortfalls", "unknown_images"]

_ALONE = 0.95
"""Share of its threads' time that a training has where nothing else runs; the rest is reading and writing."""


def shortfalls(paper: Paper, keys: tuple[Key, ...], seeds: int, share: float) -> str:
    """Schedule and seeds of numbers that fall short of the paper's, in words; empty where none does.

    Args:
        paper: with the protocol.
        keys: the numbers, by the paper's names.
        seeds: the least number of seeds behind one of them.
        share: their :func:`schedule_share`.
    """
    parts = []
    if share < 1:
        parts.append(f"{percent(share)} of the paper's schedule")
    wanted = max(paper.seeds(*key) for key in keys)
    if seeds < wanted:
        parts.append(f"{seeds} of the paper's {wanted} seeds")
    if seeds == 1 and wanted == 1:
        parts.append("one seed")
    return ", ".join(parts)


def unknown_images(results: Results, paper: Paper, keys: tuple[Key, ...]) -> str:
    """Reason why numbers do not compare: of data sets with nobody knows how many training images."""
    ours = _ours(results, paper)
    used = dict.fromkeys(ours[d, m][0] for d, m, column in keys if column != SECONDS)
    unknown = [dataset for dataset in used if math.isnan(_images(results, paper, dataset))]
    return f"images of {', '.join(unknown)} not known to be as many as the paper's" if unknown else ""


def shared_machine(timings: list[Timing]) -> str:
    """Reason why times do not compare: others used the machine, or may have."""
    shares = [times.share for times in timings]
    if any(map(math.isnan, shares)):
        return "times of which no record says whether other work shared the machine"
    if min(shares, default=1.0) >= _ALONE:
        return ""
    return f"times on a machine that other work shared: a training had {percent(min(shares))} of its threads"


def schedule_share(results: Results, paper: Paper, keys: tuple[Key, ...]) -> float:
    """The least share of the paper's epochs times images; NaN where it states none of them.

    The time of an epoch does not depend on how many there are. Images of an unknown number do not lower it.
    """
    shares, ours = [], _ours(results, paper)
    for dataset, method, column in keys:
        place, wanted = ours[dataset, method], paper.schedule(dataset, method, column)
        if wanted is not None and column != SECONDS:
            images = _images(results, paper, place[0])
            epochs = min(1.0, _epochs(results, *place) / wanted)
            shares.append(epochs if math.isnan(images) else epochs * images)
    return min(shares, default=math.nan)


def _ours(results: Results, paper: Paper) -> dict[tuple[str, str], tuple[str, str]]:
    """The study's data set and method by the paper's names."""
    study = results.study
    return {(paper.dataset(d), paper.method(m, True)): (d, m) for d in study.datasets for m in study.methods}


def _epochs(results: Results, dataset: str, method: str) -> int:
    """The least number of epochs behind a method's metrics.

    The histories tell, since ``study.yaml`` may be of before or after a change that only some cells were
    trained again for. A training that diverged, or that may stop early, counts with its schedule.
    """
    training = results.params.training_of(method)
    if training.early_stopping is not None:
        return training.epochs
    trained = (
        len(history)
        for cell, history in results.histories.items()
        if cell[:2] == (dataset, method) and DIVERGED not in results.metrics.get(cell, {DIVERGED: 0})
    )
    return min(trained, default=training.epochs)


def _images(results: Results, paper: Paper, dataset: str) -> float:
    """The share of the paper's training images that a data set of the study has.

    One where the paper does not say how many there are; NaN where the source's number is not known.
    """
    wanted = paper.images(paper.dataset(dataset))
    if not wanted:
        return 1.0
    images = training_images(results.params.datasets[dataset].source)
    return math.nan if images is None else min(1.0, images / wanted)
