"""A claim, the numbers that it is checked on, and the check that both papers need: who is best."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from vaebench.report.describe import describe
from vaebench.report.entries import number
from vaebench.report.papers import paper_dataset, paper_method

__all__ = ["Check", "Claim", "NotMeasured", "Numbers", "is_best", "on_each", "place"]


class NotMeasured(Exception):  # noqa: N818
    """A number that a claim needs is not in the study."""


class Numbers:
    """Means over seeds by the paper's names of data sets and methods."""

    def __init__(self, summary: pd.DataFrame, paper: str):
        measured = summary[summary["n"] > 0]
        self._means = {
            (
                paper_dataset(paper, r.dataset),
                paper_method(paper, r.method, one_to_one=True),
                r.metric,
            ): r.mean
            for r in measured.itertuples()
        }
        self.datasets = list(dict.fromkeys(key[0] for key in self._means))

    def __call__(self, dataset: str, method: str, metric: str) -> float:
        """One mean; raises :class:`NotMeasured` where there is none."""
        try:
            return self._means[dataset, method, metric]
        except KeyError:
            raise NotMeasured(f"{describe(metric).label} of {method} on {dataset}") from None

    def of(
        self, dataset: str, metric: str, methods: list[str] | None = None, least: int = 2
    ) -> dict[str, float]:
        """Every method's mean of a metric, ``least`` of them or more."""
        found = {
            method: value
            for (d, method, m), value in self._means.items()
            if (d, m) == (dataset, metric) and (methods is None or method in methods)
        }
        if len(found) < least:
            raise NotMeasured(f"{describe(metric).label} of {least} methods on {dataset}")
        return found


Check = Callable[[Numbers], tuple[bool, str]]


@dataclass(frozen=True)
class Claim:
    """One claim: where it is made, what it says, and how it is checked."""

    source: str
    text: str
    check: Check


def on_each(
    datasets: tuple[str, ...], check: Callable[[str], tuple[bool, str]], needs: str
) -> tuple[bool, str]:
    """Whether ``check`` holds on each measured data set; :class:`NotMeasured` of ``needs`` where none is."""
    results = []
    for dataset in datasets:
        with contextlib.suppress(NotMeasured):
            holds, text = check(dataset)
            results.append((holds, f"{dataset}: {text}"))
    if not results:
        raise NotMeasured(needs)
    return all(holds for holds, _ in results), "; ".join(text for _, text in results) + "."


def is_best(metrics: tuple[str, ...], method: str, datasets: tuple[str, ...], places: int = 1) -> Check:
    """``method`` is among the first ``places`` in each metric on each data set, as far as measured."""

    def check(v: Numbers) -> tuple[bool, str]:
        results, parts, missing = [], [], None
        for dataset in datasets:
            for metric in metrics:
                try:
                    values = v.of(dataset, metric)
                    own = v(dataset, method, metric)
                except NotMeasured as error:
                    missing = missing or error
                    continue
                holds, text = place(values, own, metric, places)
                results.append(holds)
                parts.append(f"{dataset} {describe(metric).label}: {text}")
        if not results:
            raise missing
        return all(results), "; ".join(parts) + "."

    return check


def place(values: dict[str, float], own: float, metric: str, places: int) -> tuple[bool, str]:
    """Whether ``own`` is among the ``places`` best values; equal values share a place."""
    sign = -1 if describe(metric).better == "higher" else 1
    rank = 1 + len({value for value in values.values() if sign * value < sign * own})
    leader = min(values, key=lambda m: sign * values[m])
    text = f"{number(own)}, {_ordinal(rank)} of {len(values)}"
    return rank <= places, text if rank == 1 else f"{text} (first is {leader}, {number(values[leader])})"


def _ordinal(rank: int) -> str:
    suffix = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{suffix}"
