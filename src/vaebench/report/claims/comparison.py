"""A claim taken apart into comparisons, each true where a margin between numbers is above 0.

A comparison knows the numbers that it is of and its margin as a function of them: ``mle < vae`` is the
margin ``vae − mle``. On the means alone it is true or not. With their spread its interval is Welch's, of a
margin that is not linear by the delta method, and it is certain, certainly not so, or open.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vaebench.report.entries import number
from vaebench.report.statistics import LEVEL, Interval, Sample, combine, holm, pooled, ratio_of_spreads

__all__ = ["Comparison", "Group", "Judgement", "Key", "Spreads", "judge_groups"]

Key = tuple[str, str, str]
"""Data set, method and column, in the paper's names."""

_ALPHA = (1 - LEVEL) / 2
_SHOWN = 6


@dataclass(frozen=True)
class Comparison:
    """One comparison.

    Attributes:
        keys: the numbers it is of.
        margin: a function of them in that order, above 0 where the comparison is true.
        text: what is compared, with ``{0}``, ``{1}`` … for the numbers.
        ties: whether a margin of 0 is true as well.
    """

    keys: tuple[Key, ...]
    margin: Callable[..., float]
    text: str
    ties: bool = False

    def measured(self, numbers: Mapping[Key, Sample]) -> bool:
        """True if all numbers are available."""
        return all(key in numbers for key in self.keys)

    def true(self, numbers: Mapping[Key, Sample]) -> bool:
        """True if it holds for the means; the slack is of the last bits of a printed number."""
        means = [numbers[key].mean for key in self.keys]
        value = self.margin(*means)
        slack = 1e-12 * max(map(abs, means), default=0.0)
        return value >= -slack if self.ties else value > slack

    def interval(self, numbers: Mapping[Key, Sample]) -> Interval:
        """The margin's interval; numbers of the same trainings vary together, those of two methods do not."""
        samples = [numbers[key] for key in self.keys]
        means = [sample.mean for sample in samples]
        places: dict[tuple[str, str], list[tuple[float, Sample]]] = {}
        for index, (key, sample) in enumerate(zip(self.keys, samples, strict=True)):
            places.setdefault(key[:2], []).append((self.slope(means, index), sample))
        terms = itertools.chain.from_iterable(map(pooled, places.values()))
        return combine(terms, value=self.margin(*means))

    def slope(self, means: list[float], index: int) -> float:
        """The margin's derivative by one of its numbers, by central differences."""
        step = 1e-6 * max(abs(means[index]), 1e-3)
        above, below = list(means), list(means)
        above[index] += step
        below[index] -= step
        return (self.margin(*above) - self.margin(*below)) / (2 * step)

    def words(self, numbers: Mapping[Key, Sample]) -> str:
        """The comparison in words, with its numbers and the interval of the margin."""
        found = self.interval(numbers)
        values = [number(numbers[key].mean) for key in self.keys]
        ends = f" (margin {number(found.low)} to {number(found.high)})" if found.known else ""
        return self.text.format(*values) + ends


@dataclass(frozen=True)
class Spreads:
    """Comparison of two deviations over seeds, of which the first should be the smaller.

    Attributes:
        keys: the smaller and the larger.
        text: what is compared, with ``{0}`` and ``{1}`` for the deviations.
    """

    keys: tuple[Key, Key]
    text: str
    ties: bool = False

    def measured(self, numbers: Mapping[Key, Sample]) -> bool:
        """True if both are available, of two seeds at least."""
        return all(key in numbers and numbers[key].n > 1 for key in self.keys)

    def true(self, numbers: Mapping[Key, Sample]) -> bool:
        """True if it holds for the deviations."""
        small, large = (numbers[key].std for key in self.keys)
        return small < large

    def interval(self, numbers: Mapping[Key, Sample]) -> Interval:
        """The interval of the logarithm of their ratio, above 0 where it is true."""
        small, large = (numbers[key] for key in self.keys)
        return ratio_of_spreads(small, large)

    def words(self, numbers: Mapping[Key, Sample]) -> str:
        """The comparison in words, with the deviations and the interval of their ratio."""
        found = self.interval(numbers)
        ends = [number(math.exp(end)) for end in (found.low, found.high) if found.known]
        ratio = f" (ratio {' to '.join(ends)})" if ends else ""
        return self.text.format(*(number(numbers[key].std) for key in self.keys)) + ratio


@dataclass(frozen=True)
class Group:
    """Comparisons of which all must be true, but for ``places − 1``, or merely ``most``, or ``one``."""

    comparisons: list[Comparison | Spreads]
    places: int = 1
    most: bool = False
    one: bool = False

    def exceptions(self, count: int) -> int:
        """Number of ``count`` comparisons that may be false."""
        return count - 1 if self.one else (count - 1) // 2 if self.most else self.places - 1


@dataclass(frozen=True)
class Judgement:
    """Evidence of a study's numbers on a claim.

    Attributes:
        decided: whether it is true, with 95 %; None where that is open.
        direction: ``for`` or ``against``, what the means alone say; empty where nothing was measured.
        measured: how many of ``total`` comparisons were measured.
        keys: the numbers that took part, and ``needed`` all that the claim speaks of.
        evidence: the comparisons in words, the worst first.
    """

    decided: bool | None
    direction: str
    measured: int
    total: int
    keys: tuple[Key, ...]
    needed: tuple[Key, ...]
    evidence: str


def judge_groups(groups: list[Group], numbers: Mapping[Key, Sample]) -> Judgement:
    """Judge a claim that is true where every group is.

    A claim that needs all of its comparisons holds where each of them is certain by itself (an
    intersection-union test, which needs no correction). That a comparison is certainly not so, and that
    one is certain where some may fail, is decided after Holm's correction over the claim's or the group's
    comparisons. What was not measured is open.
    """
    everything = [c for group in groups for c in group.comparisons]
    measured = [c for c in everything if c.measured(numbers)]
    intervals = {id(c): c.interval(numbers) for c in measured}
    against = holm([intervals[id(c)].p_below for c in measured])
    false = {id(c) for c, p in zip(measured, against, strict=True) if p <= _ALPHA}
    states: list[bool | None] = []
    directions: list[bool] = []
    for group in groups:
        own = [c for c in group.comparisons if id(c) in intervals]
        allowed = group.exceptions(len(group.comparisons))
        p = [intervals[id(c)].p_above for c in own]
        certain = sum(value <= _ALPHA for value in (holm(p) if allowed else p))
        if sum(id(c) in false for c in own) > allowed:
            states.append(False)
        else:
            states.append(True if certain >= len(group.comparisons) - allowed else None)
        if own:
            failing = _failing(group, own, numbers, intervals)
            directions.append(failing <= (group.exceptions(len(own)) if group.most or group.one else allowed))
    decided = False if False in states else None if None in states or not states else True
    return Judgement(
        decided,
        "" if not directions else "for" if all(directions) else "against",
        len(measured),
        len(everything),
        _keys(measured),
        _keys(everything),
        _evidence(measured, numbers, intervals),
    )


def _failing(
    group: Group, own: list[Comparison | Spreads], numbers: Mapping[Key, Sample], intervals: dict
) -> int:
    """Number of comparisons that the means contradict; among places, equal values share one."""
    margins = [intervals[id(c)].value for c in own if not c.true(numbers)]
    return len({f"{m:.9g}" for m in margins}) if group.places > 1 else len(margins)


def _keys(comparisons: list[Comparison | Spreads]) -> tuple[Key, ...]:
    return tuple(dict.fromkeys(key for c in comparisons for key in c.keys))


def _evidence(measured: list[Comparison | Spreads], numbers: Mapping[Key, Sample], intervals: dict) -> str:
    """The comparisons that fail, then those that fail next: by their margin in its own size."""

    def size(c: Comparison | Spreads) -> float:
        scale = sum(abs(numbers[key].mean) for key in c.keys)
        return intervals[id(c)].value / scale if scale else 0.0

    ordered = sorted(measured, key=lambda c: (c.true(numbers), size(c)))
    parts = [("" if c.true(numbers) else "not so: ") + c.words(numbers) for c in ordered[:_SHOWN]]
    if len(ordered) > _SHOWN:
        rest = ordered[_SHOWN:]
        fail = sum(not c.true(numbers) for c in rest)
        parts.append(f"and {len(rest)} more, of which {fail} not so" if fail else f"and {len(rest)} more")
    return "; ".join(parts) + ("." if parts else "")
