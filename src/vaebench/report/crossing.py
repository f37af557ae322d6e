r"""Two axes crossed, and the share of each in a metric's variance.

Where a study has every pair of its likelihoods and regularizers, a metric's values y_ij on the pairs split,
as in a two-way analysis of variance with one value per pair, into

    Σ_ij (y_ij − ȳ)² = J Σ_i (ȳ_i· − ȳ)² + I Σ_j (ȳ_·j − ȳ)² + Σ_ij (y_ij − ȳ_i· − ȳ_·j + ȳ)²

the likelihood's share, the regularizer's, and what is not additive: their interaction, with the spread over
seeds in it. A metric that is positive and spans more than a factor of ten is split in its logarithm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from vaebench.report.describe import describe
from vaebench.report.entries import Entry, Table
from vaebench.report.results import Results, spec_text

__all__ = ["Crossing", "cross", "crossing_tables", "shares"]

_PASSED_OVER = ("latent.entropy_normal", "disentanglement.angles")


@dataclass(frozen=True)
class Crossing:
    """A study's grid of likelihoods and regularizers; ``place`` gives a method's row and column."""

    likelihoods: list[str]
    regularizers: list[str]
    place: dict[str, tuple[int, int]]

    @property
    def complete(self) -> bool:
        """True if every pair has one method."""
        return len(self.place) == len(self.likelihoods) * len(self.regularizers)

    def values(self, summary: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
        """Each metric of one data set's summary and its means, (I, J), NaN where there is none."""
        measured = summary[summary["n"] > 0]
        for metric, rows in measured.groupby("metric", sort=False):
            if metric.startswith(_PASSED_OVER):
                continue
            grid = np.full((len(self.likelihoods), len(self.regularizers)), np.nan)
            for row in rows[rows["method"].isin(self.place)].itertuples():
                grid[self.place[row.method]] = row.mean
            yield metric, grid


def cross(results: Results) -> Crossing | None:
    """The study's crossing; None where two methods are one pair, or pairs are fewer than rows and columns."""
    axes = ("likelihood", "regularizer")
    specs = {m: [spec_text(getattr(results.method(m), axis)) for axis in axes] for m in results.own_methods}
    likelihoods, regularizers = (list(dict.fromkeys(s[i] for s in specs.values())) for i in (0, 1))
    place = {m: (likelihoods.index(s[0]), regularizers.index(s[1])) for m, s in specs.items()}
    pairs = len(set(place.values()))
    if pairs < len(place) or pairs < len(likelihoods) + len(regularizers):
        return None
    return Crossing(likelihoods, regularizers, place)


def shares(values: np.ndarray) -> tuple[float, float, float] | None:
    """The rows', the columns' and the remaining share of the variance of (I, J) values; None if it is 0."""
    centred = values - values.mean()
    total = np.square(centred).sum()
    if total <= 1e-24 * np.square(values).sum():
        return None
    rows = np.square(centred.mean(axis=1)).sum() * values.shape[1] / total
    columns = np.square(centred.mean(axis=0)).sum() * values.shape[0] / total
    return float(rows), float(columns), float(max(0.0, 1 - rows - columns))


def crossing_tables(results: Results) -> list[Table]:
    """For each data set, the shares of every metric that all pairs have, and their reading in words."""
    crossing = cross(results)
    if crossing is None or not crossing.complete:
        return []
    tables = []
    for dataset in results.study.datasets:
        split, missing, logarithmic = {}, [], []
        for metric, values in crossing.values(results.summary[results.summary["dataset"] == dataset]):
            if np.isnan(values).any():
                missing.append(metric)
                continue
            if values.min() > 0 and values.max() > 10 * values.min():
                logarithmic.append(metric)
                values = np.log(values)
            if parts := shares(values):
                split[metric] = parts
        if split:
            unsound = [results.label(m) for d, m in results.flags if d == dataset and m in crossing.place]
            tables.append(_table(dataset, split, missing, logarithmic, unsound))
    return tables


def _table(
    dataset: str,
    split: dict[str, tuple],
    missing: list[str],
    logarithmic: list[str],
    unsound: list[str],
) -> Table:
    columns = [("", "likelihood"), ("", "regularizer"), ("", "not additive")]
    rows = []
    for metric, parts in split.items():
        label = describe(metric).label + (" (logarithm)" if metric in logarithmic else "")
        marks = ["best" if share == max(parts) else "" for share in parts]
        cells = [Entry(mean=share, n=1, sound=1, mark=mark) for share, mark in zip(parts, marks, strict=True)]
        rows.append((label, cells))
    return Table(
        f"crossing_{dataset}",
        f"Likelihood × regularizer on {dataset}: whose variance a metric's is",
        "Metric",
        columns,
        rows,
        note=_words(split, missing, unsound),
        legend="Shares of a metric's variance over all pairs; the largest bold.",
    )


def _words(split: dict[str, tuple], missing: list[str], unsound: list[str]) -> str:
    groups: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for metric, parts in split.items():
        axis = int(np.argmax(parts))
        groups[axis].append(f"{describe(metric).label} ({parts[axis]:.0%})")
    templates = {
        0: "The likelihood, that is the decoder's variance, moves most: {}.",
        1: "The regularizer, and the posterior that goes with it, moves most: {}.",
        2: "Neither alone, but the pair, decides: {}.",
    }
    sentences = [templates[axis].format(", ".join(names)) for axis, names in groups.items() if names]
    if missing:
        sentences.append(f"Not measured on every pair: {', '.join(describe(m).label for m in missing)}.")
    if unsound:
        sentences.append(f"Among the values, though unsound: {', '.join(unsound)}.")
    return " ".join(sentences)
