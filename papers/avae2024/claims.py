"""The checks of Saha et al. that are no words of the vocabulary."""

from __future__ import annotations

import itertools

from vaebench.report.claims.comparison import Comparison, Group

DIMENSIONS = (10, 20, 40, 50, 70, 100)
SAMPLES = (500, 1000, 2000, 5000, 10000)


def bandwidth_order(paper):
    """h_opt, where it is printed as a number, rises with l and falls with m."""
    printed = set(paper.values.loc[paper.values["column"] == "h_opt", "method"])
    steps = [
        *((f"l{a}_m{m}", f"l{b}_m{m}") for m in SAMPLES for a, b in _steps(DIMENSIONS)),
        *((f"l{d}_m{b}", f"l{d}_m{a}") for d in DIMENSIONS for a, b in _steps(SAMPLES)),
    ]
    comparisons = [
        Comparison(
            (("prior", low, "h_opt"), ("prior", high, "h_opt")),
            lambda x, y: y - x,
            f"{low} {{0}} not above {high} {{1}}",
            ties=True,
        )
        for low, high in steps
        if {low, high} <= printed
    ]
    return [Group(comparisons)]


def bandwidth_above_one(paper):
    """What the table prints as "> 1.0", for which it has no number."""
    printed = set(paper.values.loc[paper.values["column"] == "h_opt", "method"])
    grid = (f"l{d}_m{m}" for d in DIMENSIONS for m in SAMPLES)
    names = [name for name in grid if name not in printed]
    return [
        Group([Comparison((("prior", n, "h_opt"),), lambda x: x - 1, f"{n} {{0}} above 1") for n in names])
    ]


def bandwidths_as_printed(paper):
    """Each number of both tables within what rounds to the printed one; "> 1.0" is a claim of its own."""
    comparisons = []
    for r in paper.values[paper.values["dataset"] == "prior"].itertuples():
        keys, words = (("prior", r.method, r.column),), f"{r.method} {r.column}: {{0}} for {r.value:.2f}, so"
        low, high = r.value - 0.005, r.value + 0.005
        comparisons += [
            Comparison(keys, lambda x, low=low: x - low, f"{words} at least {low:.3f}", ties=True),
            Comparison(keys, lambda x, high=high: high - x, f"{words} at most {high:.3f}", ties=True),
        ]
    return [Group(comparisons)]


FACTORS = ("floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation")
"""Of 3D Shapes."""


def directions(paper):
    """Every angle of AVAE is above 75 degrees, and at least one of AAE's and of WAE's below 45."""
    pairs = [f"our.disentanglement.angles.{a}-{b}" for a, b in itertools.combinations(FACTORS, 2)]

    def angles(method, sign, bound, verb):
        return [
            Comparison(
                (("shapes3d", method, pair),),
                lambda x: sign * (x - bound),
                f"{method} {pair.rpartition('.')[2]}: {{0}} {verb} {bound}",
            )
            for pair in pairs
        ]

    collapsed = [Group(angles(m, -1, 45, "below"), one=True) for m in ("aae", "wae_mmd")]
    return [Group(angles("avae", 1, 75, "above")), *collapsed]


def _steps(values):
    return list(itertools.pairwise(values))
