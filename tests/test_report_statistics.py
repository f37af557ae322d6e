"""Intervals over seeds: closed forms, scipy's own tests, and studies whose truth is known."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from benchmarks.verdict_power import GUIDE, called_different, size_of_welch, table
from vaebench.report.statistics import (
    Sample,
    combine,
    holm,
    leaders,
    mann_kendall,
    pooled,
    prediction_interval,
    ratio_of_spreads,
    t_interval,
)

DRAWS = 1000


def sample(values):
    return Sample(
        float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else math.nan, len(values)
    )


def test_a_difference_is_welchs_test():
    rng = np.random.default_rng(0)
    a, b = rng.normal(3, 1, 5), rng.normal(2, 4, 7)
    found = combine([(1, sample(a)), (-1, sample(b))])
    expected = stats.ttest_ind(a, b, equal_var=False)
    low, high = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert 2 * min(found.p_above, found.p_below) == pytest.approx(expected.pvalue)


def test_a_ratio_by_the_delta_method_covers_what_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(DRAWS):
        a, b = sample(rng.normal(8, 0.5, 6)), sample(rng.normal(2, 0.1, 6))
        ratio = a.mean / b.mean
        found = combine([(1 / b.mean, a), (-ratio / b.mean, b)], value=ratio)
        inside += found.low <= 4 <= found.high
    assert 0.93 <= inside / DRAWS <= 0.985


def test_one_seed_has_no_interval():
    assert all(map(math.isnan, t_interval(4.0, math.nan, 1)))
    assert not combine([(1, Sample(4.0)), (-1, Sample(5.0, 0.1, 5))]).known


def test_equal_numbers_of_every_seed_are_their_own_interval():
    found = combine([(1, Sample(2.0, 0.0, 3)), (-1, Sample(2.0, 0.0, 3))])
    assert (found.low, found.high) == (0, 0)
    assert min(found.p_above, found.p_below) == 1


def test_equal_seeds_are_as_certain_as_their_signs():
    for n, chance in ((2, 0.25), (5, 1 / 32), (6, 1 / 64)):
        found = combine([(-1, Sample(0.0, 0.0, n))], value=0.5)
        assert (found.p_above, found.p_below) == (chance, 1)


def test_numbers_of_the_same_trainings_vary_together():
    els = [13.6, 14.9, 14.2, 13.1, 15.3]
    gap = [0.99 * x for x in els]
    own, other = (replace(sample(v), by_seed=dict(enumerate(v))) for v in (els, gap))
    terms = [(1.05, own), (-1.0, other)]
    found = combine(pooled(terms))
    margins = stats.ttest_1samp([1.05 * a - b for a, b in zip(els, gap, strict=True)], 0)
    assert (found.low, found.high) == pytest.approx(tuple(margins.confidence_interval(0.95)))
    assert found.low > 0 > combine(terms).low
    others = replace(other, by_seed={seed + 1: value for seed, value in enumerate(gap)})
    assert pooled([terms[0], (-1.0, others)]) == [terms[0], (-1.0, others)]


@pytest.mark.parametrize("n", [1, 5])
def test_a_prediction_interval_holds_95_percent_of_repetitions(n):
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(DRAWS):
        low, high = prediction_interval(sample(rng.normal(0, 1, 5)), n)
        inside += low <= rng.normal(0, 1, n).mean() <= high
    assert 0.93 <= inside / DRAWS <= 0.97


def test_a_prediction_interval_of_printed_numbers_holds_that_of_each_they_may_stand_for():
    low, high = prediction_interval(Sample(2.3, 0.1, 5, rounding=(0.05, 0.005)), 3)
    ends = [prediction_interval(Sample(m, s, 5), 3) for m in (2.25, 2.35) for s in (0.095, 0.105)]
    assert (low, high) == pytest.approx((min(a for a, _ in ends), max(b for _, b in ends)))


def test_a_ratio_of_spreads_is_fishers_test():
    found = ratio_of_spreads(Sample(0.0, 1.5, 4), Sample(0.0, 4.0, 7))
    ratio = (4.0 / 1.5) ** 2
    assert found.p_above == pytest.approx(stats.f.sf(ratio, 6, 3))
    assert found.p_below == pytest.approx(stats.f.cdf(ratio, 6, 3))
    ends = [0.5 * math.log(ratio / stats.f.ppf(q, 6, 3)) for q in (0.975, 0.025)]
    assert (found.low, found.high) == pytest.approx(ends)
    assert not ratio_of_spreads(Sample(0.0, 0.0, 5), Sample(0.0, 1.0, 5)).known
    assert not ratio_of_spreads(Sample(0.0), Sample(0.0, 1.0, 5)).known


def test_mann_kendall_is_kendalls_tau_in_its_own_standard_deviation():
    values = np.random.default_rng(5).normal(size=12)
    tau = stats.kendalltau(range(12), values).statistic
    score, variance = tau * 66, 12 * 11 * 29 / 18
    assert mann_kendall(values) == pytest.approx((score - np.sign(score)) / math.sqrt(variance))
    assert mann_kendall(np.ones(5)) == 0
    draws = [mann_kendall(row) for row in np.random.default_rng(6).normal(size=(DRAWS, 10))]
    assert 0.005 < np.mean(np.array(draws) < -1.96) <= 0.035


def test_holm_against_a_table_worked_by_hand():
    assert holm([0.01, 0.02, math.nan, 0.005]).tolist()[:2] == [0.02, 0.02]
    assert holm([0.01, 0.02, math.nan, 0.005])[3] == pytest.approx(0.015)
    assert math.isnan(holm([0.01, 0.02, math.nan, 0.005])[2])


@pytest.mark.parametrize("methods", [2, 6])
@pytest.mark.parametrize("seeds", [1, 3, 5, 10])
def test_equal_methods_are_called_different_in_five_percent_of_1000_draws_at_most(methods, seeds):
    share = called_different(0.0, seeds, methods)
    assert share <= 0.05
    assert f"{100 * share:.1f} %" == guide(seeds)[f"{'two' if methods == 2 else 'six'} methods: equal"]
    assert (share == 0) == (seeds == 1)


def guide(seeds):
    """A row of the guide's table of powers."""
    head, _, *rows = GUIDE.read_text("utf-8").split("power: start -->\n")[1].split("\n<!--")[0].splitlines()
    cells = ([cell.strip() for cell in row.strip("|").split("|")] for row in (head, *rows))
    names = next(cells)
    return next(dict(zip(names, row, strict=True)) for row in cells if row[0] == str(seeds))


@pytest.mark.parametrize("shift", [1.0, 4.0])
@pytest.mark.parametrize("seeds", [1, 3, 5, 10])
def test_a_difference_is_seen_as_often_as_the_guide_says(shift, seeds):
    seen = called_different(shift, seeds)
    assert f"{100 * seen:.1f} %" == guide(seeds)[f"two methods: {shift:g} sd"]
    assert seen == 0 if seeds == 1 else seen > called_different(0.0, seeds)


@pytest.mark.nightly
def test_the_guides_table_of_powers_is_what_the_script_makes():
    assert table() in GUIDE.read_text("utf-8"), "run: python -m benchmarks.verdict_power --write"


def test_equal_methods_are_called_different_with_a_chance_of_five_percent_at_most():
    sizes = {seeds: size_of_welch(seeds) for seeds in range(1, 41)}
    assert all(size <= 0.05 for size in sizes.values())
    assert sizes[7] == pytest.approx(0.0470, abs=5e-5)
    for seeds in (3, 7):
        rng = np.random.default_rng(seeds)
        a, b = rng.normal(0, 1, (2, 100_000, seeds))
        called = (stats.ttest_ind(a, b, axis=1, equal_var=False).pvalue <= 0.05).mean()
        assert called == pytest.approx(sizes[seeds], abs=4 * math.sqrt(0.05 * 0.95 / 100_000))


@pytest.mark.parametrize(("seeds", "worst"), [(3, 0.0591), (5, 0.0536), (10, 0.0510)])
def test_equal_means_of_unequal_spreads_cost_what_the_guide_says(seeds, worst):
    assert max(size_of_welch(seeds, ratio) for ratio in np.logspace(0, 3, 31)) == pytest.approx(
        worst, abs=2e-4
    )


def test_one_seed_decides_nothing_however_far_apart():
    assert leaders({"a": Sample(1.0), "b": Sample(1e6)}) == set()
    assert leaders({"a": Sample(1.0, 0.1, 5), "b": Sample(1e6)}) == {"a"}


def test_four_standard_deviations_are_seen_with_five_seeds_and_one_seldom():
    rng = np.random.default_rng(4)
    seen = {1.0: 0, 4.0: 0}
    for shift in seen:
        for _ in range(DRAWS):
            a, b = sample(rng.normal(0, 1, 5)), sample(rng.normal(shift, 1, 5))
            seen[shift] += leaders({"a": a, "b": b}) == {"a"}
    assert seen[4.0] / DRAWS > 0.95
    assert 0.1 < seen[1.0] / DRAWS < 0.5


def test_the_leader_is_by_the_better_direction():
    samples = {"low": Sample(1.0, 0.01, 5), "high": Sample(2.0, 0.01, 5)}
    assert leaders(samples) == {"low"}
    assert leaders(samples, -1.0) == {"high"}
