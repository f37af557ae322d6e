"""The checks of Takida et al. that are no words of the vocabulary."""

from __future__ import annotations

from itertools import product

from vaebench.report.claims.comparison import Comparison, Group
from vaebench.report.papers import spell

LATENT = 8
"""d_z of Section 4.2."""

NOISY = {
    "uniform": ("SU", "SL", "BU", "BL"),
    "spatial": ("SU", "BU"),
    "conditional": ("SU", "SL"),
    "spatial_conditional": ("SU",),
}
"""The partitions that get noise, by pattern."""

PRINTED = {
    "mle_iso_i": ("SU",),
    "mle_diag_i": ("SU", "SL"),
    "mle_iso_d": ("SU", "BU"),
    "mle_diag_d": ("SU", "SL", "BU", "BL"),
}
"""One partition for each number that the table prints for a parameterization."""

SUFFICIENT = {
    "uniform": ("mle_iso_i", "mle_diag_i", "mle_iso_d", "mle_diag_d"),
    "spatial": ("mle_diag_i", "mle_diag_d"),
    "conditional": ("mle_iso_d", "mle_diag_d"),
    "spatial_conditional": ("mle_diag_d",),
}
"""The parameterizations that can represent a pattern: the underlined numbers."""

VARIANCES = (0.01, 0.1)


def gap_of_stochastic(paper):
    """(C.8) over the rows with stochastic encoding."""
    return [_gap(paper, ("stochastic", "sigma_z"))]


def gap_of_deterministic(paper):
    """(C.8) over the rows with deterministic encoding."""
    return [_gap(paper, ("deterministic",))]


def linear_approximation(paper):
    """(B.6), where the MSE from the posterior mean is ours alone."""
    comparisons = []
    for method in _rows(paper, ("stochastic",)):
        if method == "stochastic_0_0":
            continue
        keys = tuple(("mnist", method, column) for column in ("mse", "our.mse", "sigma_z2", "els"))
        text = f"{method}: {{0}} − {{1}} {{verb}} {LATENT} × {{2}} × {{3}}"
        for sign, bound, verb in ((1, 1.15, "at most 1.15 ×"), (-1, 0.85, "at least 0.85 ×")):

            def margin(sampled, mean, sigma_z2, els, sign=sign, bound=bound):
                return sign * (bound * sigma_z2 * LATENT * els - (sampled - mean))

            comparisons.append(Comparison(keys, margin, text.replace("{verb}", verb), ties=True))
    return [Group(comparisons)]


def noise_found(paper):
    """Noisy minus clean is s² for what can represent the pattern, and the clean ones are small."""
    comparisons = []
    for pattern, s2 in product(("spatial", "conditional", "spatial_conditional"), VARIANCES):
        clean = [p for p in NOISY["uniform"] if p not in NOISY[pattern]]
        for method in SUFFICIENT[pattern]:
            tolerance = 0.1 if method == "mle_diag_d" else 0.2
            for noisy in NOISY[pattern]:
                keys = _cells(pattern, s2, method, [noisy, *clean])
                words = f"{keys[0][0]} {method}: {noisy} {{0}} minus clean {{1}}"
                comparisons += _around(keys, _excess, s2, tolerance, words)
            for partition in clean:
                keys = _cells(pattern, s2, method, [partition])
                words = f"{keys[0][0]} {method}: clean {partition} {{0}} at most 0.01"
                comparisons.append(Comparison(keys, lambda x: 0.01 - x, words, ties=True))
    return [Group(comparisons)]


def noise_within_five_percent(paper):
    """The caption: each of the table's 32 bold numbers within 5 % of s² + 0.007."""
    comparisons = []
    for pattern, s2 in product(NOISY, VARIANCES):
        for method in SUFFICIENT[pattern]:
            for partition in PRINTED[method]:
                if partition in NOISY[pattern]:
                    keys = _cells(pattern, s2, method, [partition])
                    words = f"{keys[0][0]} {method}: {partition} {{0}}"
                    comparisons += _around(keys, lambda x: x, s2 + 0.007, 0.05, words)
    return [Group(comparisons)]


def uniform_noise_found(paper):
    """Between s² and s² + 0.007, within 10 %."""
    comparisons = []
    for s2, method in product(VARIANCES, SUFFICIENT["uniform"]):
        for partition in PRINTED[method]:
            keys = _cells("uniform", s2, method, [partition])
            words = f"{keys[0][0]} {method}: {partition} {{0}}"
            low, high = 0.9 * s2, 1.1 * (s2 + 0.007)
            comparisons += [
                Comparison(keys, lambda x, low=low: x - low, f"{words} at least {low:.4g}", ties=True),
                Comparison(keys, lambda x, high=high: high - x, f"{words} at most {high:.4g}", ties=True),
            ]
    return [Group(comparisons)]


def iso_i_blind(paper):
    """Noisy minus clean partitions of Iso-I within 10 % of s²."""
    comparisons = []
    for pattern, s2 in product(("spatial", "conditional", "spatial_conditional"), VARIANCES):
        clean = [p for p in NOISY["uniform"] if p not in NOISY[pattern]]
        for noisy, other in product(NOISY[pattern], clean):
            keys = _cells(pattern, s2, "mle_iso_i", [noisy, other])
            words = f"{keys[0][0]} mle_iso_i: {noisy} {{0}} minus {other} {{1}}"
            for sign, verb in ((1, "at most"), (-1, "at least −")):

                def margin(x, y, sign=sign, s2=s2):
                    return 0.1 * s2 - sign * (x - y)

                comparisons.append(Comparison(keys, margin, f"{words} {verb} {0.1 * s2:g}", ties=True))
    return [Group(comparisons)]


def _gap(paper, kinds):
    comparisons = []
    for method in _rows(paper, kinds):
        keys = (("mnist", method, "gap_1e-3"), ("mnist", method, "els"))
        for sign, bound, verb in ((1, 1.05, "at most 1.05 ×"), (-1, 0.95, "at least 0.95 ×")):

            def margin(gap, els, sign=sign, bound=bound):
                return sign * (bound * 2 * LATENT * els * 1e-3 - gap)

            words = f"{method}: gap {{0}} {verb} 2·{LATENT}·{{1}}·0.001"
            comparisons.append(Comparison(keys, margin, words, ties=True))
    return Group(comparisons)


def _rows(paper, kinds):
    names = dict.fromkeys(paper.values["method"])
    return [name for name in names if name.startswith(tuple(f"{kind}_" for kind in kinds))]


def _cells(pattern, s2, method, partitions):
    dataset = f"mnist_{pattern}_{spell(s2)}"
    return tuple((dataset, method, partition) for partition in partitions)


def _excess(noisy, *clean):
    return noisy - sum(clean) / len(clean)


def _around(keys, function, target, tolerance, words):
    """That a function of numbers is the target within a ratio."""
    low, high = target * (1 - tolerance), target * (1 + tolerance)
    return [
        Comparison(keys, lambda *x: function(*x) - low, f"{words} at least {low:.4g}", ties=True),
        Comparison(keys, lambda *x: high - function(*x), f"{words} at most {high:.4g}", ties=True),
    ]
