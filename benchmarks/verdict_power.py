"""Share of comparisons that are decided, by seeds and by the true difference: the table of docs/verdicts.md.

    python -m benchmarks.verdict_power          # prints it
    python -m benchmarks.verdict_power --write  # and puts it into the guide

Seeds are drawn from normal distributions of standard deviation 1 whose means are known. "Called different":
the second of two methods is not among those that bold marks. "Claim decided": the verdict on "method A is
the best of six" is holds or does not hold. "Exact" is the same chance for two equal methods without draws.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
from scipy.special import betaincinv, stdtr, stdtrit

from vaebench.report.claims.comparison import Comparison, Group, Key, judge_groups
from vaebench.report.statistics import LEVEL, Sample, leaders

GUIDE = Path(__file__).parent.parent / "docs/verdicts.md"
SEEDS = (1, 2, 3, 4, 5, 7, 10)
SHIFTS = (0.0, 1.0, 2.0, 4.0)
DRAWS = 1000
METHODS = 6


def samples(rng: np.random.Generator, shift: float, seeds: int, methods: int) -> list[Sample]:
    """Means of ``seeds`` draws each, the first method's ``shift`` below the others'."""
    values = rng.normal(0, 1, (methods, seeds))
    values[1:] += shift
    std = values.std(axis=1, ddof=1) if seeds > 1 else [math.nan] * methods
    return [Sample(float(row.mean()), float(s), seeds) for row, s in zip(values, std, strict=True)]


def called_different(shift: float, seeds: int, methods: int = 2) -> float:
    """The share of draws in which not all methods may be the best."""
    rng = np.random.default_rng(seeds)
    draws = (samples(rng, shift, seeds, methods) for _ in range(DRAWS))
    return sum(0 < len(leaders(dict(enumerate(draw)))) < methods for draw in draws) / DRAWS


def size_of_welch(seeds: int, ratio: float = 1.0, points: int = 4000) -> float:
    """The exact chance that two methods of equal means are called different, of normal seeds.

    Given the share b of the first in the pooled sum of squares, which is Beta((n − 1)/2, (n − 1)/2), Welch's
    statistic is Student's t with 2(n − 1) degrees of freedom times a factor, and its critical value is known:
    so it is an average over b. With equal spreads the factor is 1 and Satterthwaite's degrees of freedom are
    2(n − 1) at most, so that the chance is never above 5 %.

    Args:
        seeds: n, of each of both methods.
        ratio: of the second's variance to the first's.
        points: of b.
    """
    if seeds < 2:
        return 0.0
    b = betaincinv((seeds - 1) / 2, (seeds - 1) / 2, (np.arange(points) + 0.5) / points)
    first, second = b, (1 - b) * ratio
    freedom = (seeds - 1) * (first + second) ** 2 / (first**2 + second**2)
    critical = stdtrit(freedom, (1 + LEVEL) / 2)
    factor = np.sqrt(2 * (first + second) / (1 + ratio))
    return float(np.mean(2 * stdtr(2 * (seeds - 1), -critical * factor)))


def claim_decided(shift: float, seeds: int) -> float:
    """The share of draws in which "the first of six is the best" is decided."""
    keys: list[Key] = [("d", str(i), "m") for i in range(METHODS)]
    best = Group([Comparison((keys[0], key), lambda a, b: b - a, "", ties=True) for key in keys[1:]])
    rng = np.random.default_rng(seeds)
    decided = 0
    for _ in range(DRAWS):
        numbers = dict(zip(keys, samples(rng, shift, seeds, METHODS), strict=True))
        decided += judge_groups([best], numbers).decided is not None
    return decided / DRAWS


def table() -> str:
    """The power table in Markdown."""
    heads = ["equal" if shift == 0 else f"{shift:g} sd" for shift in SHIFTS]
    lines = [
        "| seeds | two methods: equal, exact | "
        + " | ".join(f"two methods: {h}" for h in heads)
        + " | six methods: equal | claim of six: equal | claim of six: 4 sd |",
        "| ---: |" + " ---: |" * (len(SHIFTS) + 4),
    ]
    for seeds in SEEDS:
        cells = [size_of_welch(seeds), *(called_different(shift, seeds) for shift in SHIFTS)]
        cells += [called_different(0.0, seeds, METHODS), claim_decided(0.0, seeds), claim_decided(4.0, seeds)]
        lines.append(f"| {seeds} | " + " | ".join(f"{100 * cell:.1f} %" for cell in cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the table, and with ``--write`` put it between the guide's marks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the table into docs/verdicts.md")
    write = parser.parse_args().write
    text = table()
    print(text)
    if write:
        start, end = "<!-- power: start -->\n", "<!-- power: end -->"
        before, rest = GUIDE.read_text(encoding="utf-8").split(start)
        after = rest.split(end)[1]
        GUIDE.write_text(f"{before}{start}{text}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
