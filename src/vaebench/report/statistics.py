"""Statistics over a few seeds: intervals of means and of differences, and indistinguishable methods.

A result is a mean over ``n`` trainings that differ in their seed alone, with the sample standard deviation
(n − 1). Seeds are a sample of all seeds, so the mean's 95 % interval is Student's t. Two methods' spreads
are not taken to be equal: differences, and any other combination of means, have Welch's interval with the
degrees of freedom of Satterthwaite (1946). With one seed there is no spread and nothing is decided.

    >>> interval = combine([(1.0, Sample(20.3, 0.2, 5)), (-1.0, Sample(4.5, 0.1, 5))])
    >>> round(interval.low, 2), round(interval.high, 2)
    (15.55, 16.05)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

__all__ = [
    "LEVEL",
    "Interval",
    "Sample",
    "combine",
    "holm",
    "leaders",
    "mann_kendall",
    "pooled",
    "prediction_interval",
    "ratio_of_spreads",
    "t_interval",
]

LEVEL = 0.95
"""The coverage of every interval that the report prints."""


@dataclass(frozen=True)
class Sample:
    """A mean over ``n`` seeds and their standard deviation, NaN where ``n`` is 1 or none is printed.

    ``by_seed`` has the values where they are known: numbers of the same trainings are not independent.
    ``rounding`` is how far mean and deviation may lie from a printed number's, half a unit of its last digit.
    """

    mean: float
    std: float = math.nan
    n: int = 1
    by_seed: Mapping[int, float] = field(default_factory=dict, compare=False, repr=False)
    rounding: tuple[float, float] = (0.0, 0.0)

    @property
    def variance(self) -> float:
        """The squared standard error of the mean; NaN where one seed, or no deviation, is all there is."""
        return self.std**2 / self.n if self.n > 1 else math.nan


@dataclass(frozen=True)
class Interval:
    """An estimate, its 95 % interval, and the one-sided p-values of "it is not above 0" and "not below".

    Without a spread the ends and the p-values are NaN.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    p_above: float = math.nan
    p_below: float = math.nan

    @property
    def known(self) -> bool:
        """True if there is an interval."""
        return not math.isnan(self.low)


def t_interval(mean: float, std: float, n: int) -> tuple[float, float]:
    """Student's 95 % interval of a mean over ``n`` seeds; NaN, NaN for one seed.

    >>> tuple(round(end, 3) for end in t_interval(10.0, 1.0, 5))
    (8.758, 11.242)
    """
    interval = combine([(1.0, Sample(mean, std, n))])
    return interval.low, interval.high


def prediction_interval(paper: Sample, n: int) -> tuple[float, float]:
    """95 % interval for the mean over ``n`` new seeds, if it comes from the paper's distribution.

    m ± (r + t(N − 1)·(s + r')·√(1/N + 1/n)) of the paper's mean m and deviation s over N seeds, which
    rounding moved by r and r' at most; NaN, NaN without a deviation.

    >>> ends = prediction_interval(Sample(55.64, 0.0, 5, rounding=(0.005, 0.005)), n=1)
    >>> tuple(round(float(end), 4) for end in ends)
    (55.6198, 55.6602)
    """
    from scipy.special import stdtrit

    if not (paper.n > 1 and paper.std >= 0 and n > 0):
        return math.nan, math.nan
    rounding, of_spread = paper.rounding
    spread = (paper.std + of_spread) * math.sqrt(1 / paper.n + 1 / n)
    half = rounding + stdtrit(paper.n - 1, (1 + LEVEL) / 2) * spread
    return paper.mean - half, paper.mean + half


def combine(terms: Iterable[tuple[float, Sample]], value: float | None = None) -> Interval:
    """Welch's 95 % interval of Σ cᵢ·mᵢ over independent means.

    Where no seed differs from another there is no error to estimate; the p-value is that of the signs, 2⁻ⁿ.

    Args:
        terms: coefficients and means. For a function of the means the coefficients are its partial
            derivatives, and ``value`` its value: the delta method.
        value: the estimate, Σ cᵢ·mᵢ by default.
    """
    from scipy.special import stdtr, stdtrit

    terms = [(c, sample) for c, sample in terms if c != 0]
    value = sum(c * sample.mean for c, sample in terms) if value is None else value
    parts = np.array([c**2 * sample.variance for c, sample in terms])
    total = float(parts.sum())
    if math.isnan(total) or math.isnan(value) or not terms:
        return Interval(value)
    if total == 0:
        chance = 0.5 ** min(sample.n for _, sample in terms)
        return Interval(value, value, value, chance if value > 0 else 1.0, chance if value < 0 else 1.0)
    freedom = total**2 / float(sum(p**2 / (s.n - 1) for p, (_, s) in zip(parts, terms, strict=True)))
    error = math.sqrt(total)
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * error
    above = float(stdtr(freedom, -value / error))
    return Interval(value, value - half, value + half, above, 1 - above)


def pooled(terms: list[tuple[float, Sample]]) -> list[tuple[float, Sample]]:
    """Terms Σ cᵢ·mᵢ of the same trainings as one term, whose spread is that of the sums per seed.

    They stay apart where their values by seed are not known, or not of the same seeds.
    """
    seeds = sorted(terms[0][1].by_seed)
    if len(terms) < 2 or len(seeds) < 2 or any(sorted(s.by_seed) != seeds for _, s in terms):
        return terms
    sums = np.array([sum(c * sample.by_seed[seed] for c, sample in terms) for seed in seeds])
    return [(1.0, Sample(float(sums.mean()), float(sums.std(ddof=1)), len(sums)))]


def ratio_of_spreads(a: Sample, b: Sample) -> Interval:
    """The 95 % interval of ln(σ_b/σ_a) from two deviations over seeds, by Fisher's F.

    Exact where seeds are normal. Without two seeds of each, or where a deviation is 0, there is none.

    >>> interval = ratio_of_spreads(Sample(0.0, 1.0, 10), Sample(0.0, 2.0, 10))
    >>> round(math.exp(interval.value), 3), round(math.exp(interval.low), 3)
    (2.0, 0.997)
    """
    from scipy.special import fdtr, fdtrc, fdtri

    if min(a.n, b.n) < 2 or not min(a.std, b.std) > 0:
        return Interval(math.nan)
    value, freedom = math.log(b.std / a.std), (b.n - 1, a.n - 1)
    ends = (fdtri(*freedom[::-1], q) for q in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    low, high = (value + math.log(float(end)) / 2 for end in ends)
    ratio = (b.std / a.std) ** 2
    return Interval(value, low, high, float(fdtrc(*freedom, ratio)), float(fdtr(*freedom, ratio)))


def mann_kendall(values: np.ndarray) -> float:
    """Mann and Kendall's z of a series: positive where it rises, 0 where it is constant.

    Of values in any order it is standard normal from about five on, whatever their distribution; with the
    corrections for continuity and ties (Kendall, *Rank correlation methods*).

    >>> round(mann_kendall(np.arange(10.0)), 2), round(mann_kendall(np.array([3.0, 2.0, 2.5])), 2)
    (3.94, 0.0)
    """
    n = len(values)
    pairs = np.sign(values[None, :] - values[:, None])[np.triu_indices(n, 1)]
    score, ties = float(pairs.sum()), np.unique(values, return_counts=True)[1]
    variance = (n * (n - 1) * (2 * n + 5) - float((ties * (ties - 1) * (2 * ties + 5)).sum())) / 18
    return float(score - np.sign(score)) / math.sqrt(variance) if variance > 0 else 0.0


def holm(p: Iterable[float]) -> np.ndarray:
    """Holm's adjusted p-values of a family of tests, in the order given; NaN is no test.

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(list(p), float)
    tests = np.flatnonzero(~np.isnan(values))
    order = tests[np.argsort(values[tests], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted = np.full(values.shape, np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else []
    return adjusted


def leaders(samples: Mapping[str, Sample], sign: float = 1.0) -> set[str]:
    """The methods that are not distinguishable from the one with the best mean, it among them.

    Every pair of methods with two seeds or more is compared by Welch's test, and Holm's correction is over
    all pairs: the leader is chosen by the same numbers that it is then compared on, so that a correction
    over its own comparisons alone would call equal methods different too often. A method of one seed is
    never among them, and where the best mean is of one seed the set is empty. Any two of equal methods are
    called different with a chance of 5 %.

    Args:
        samples: the methods' means.
        sign: 1 where less is better, −1 where more is.
    """
    first = min(samples, key=lambda name: sign * samples[name].mean, default=None)
    if first is None or samples[first].n < 2:
        return set()
    names = [name for name, sample in samples.items() if sample.n > 1]
    p = _pairwise([samples[name] for name in names])
    rows, columns = np.triu_indices(len(names), 1)
    adjusted = holm(p[rows, columns])
    own = names.index(first)
    different = {
        names[b if a == own else a]
        for a, b, value in zip(rows, columns, adjusted, strict=True)
        if own in (a, b) and value <= 1 - LEVEL
    }
    return {name for name in names if name not in different}


def _pairwise(samples: list[Sample]) -> np.ndarray:
    """The two-sided p-values of Welch's test of every pair."""
    from scipy.special import stdtr

    mean = np.array([s.mean for s in samples])
    variances = np.array([s.variance for s in samples])
    freedom = np.array([s.n - 1 for s in samples])
    total = variances[:, None] + variances
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = np.abs(mean[:, None] - mean) / np.sqrt(total)
        welch = total**2 / (variances[:, None] ** 2 / freedom[:, None] + variances**2 / freedom)
        p = 2 * stdtr(welch, -statistic)
    equal = mean[:, None] == mean
    return np.where(total == 0, equal.astype(float), p)
