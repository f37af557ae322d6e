"""Metrics of sets of images: KID, density and coverage."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.metric_models import Linear, Normal, orthogonal, prepared, run_of

from vaebench.measure.features.frechet import moments
from vaebench.measure.features.reference import Reference
from vaebench.measure.metrics.coverage import density_and_coverage
from vaebench.measure.metrics.kid import over_subsets, squared_mmd
from vaebench.measure.run import evaluate


def features(count: int, shift: float = 0.0, seed: int = 0, width: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (count, width)).astype(np.float32)


def run_with(real: np.ndarray, fake: np.ndarray, **more):
    """A run whose samples from the prior have the features ``fake``."""
    weight = orthogonal(6, 2, (1.0, 0.5))
    model = Linear(weight, weight.T.contiguous(), None)
    data = prepared(np.random.default_rng(0).random((len(real), 1, 2, 3)).astype(np.float32))
    reference = Reference("inception", torch.nn.Flatten(), real, *moments(real), torch.device("cpu"))
    run = run_of(model, data, reference=reference, densities={"prior": Normal(2)}, **more)
    run._features |= {"prior": fake, "recon": fake, "interp_mid": fake, "interp_random": fake}
    return run


def test_kid_is_the_direct_double_sum():
    first, second = features(5), features(4, 0.5, 1)

    def k(a, b):
        return (float(a @ b) / 6 + 1) ** 3

    expected = np.mean([k(a, b) for i, a in enumerate(first) for j, b in enumerate(first) if i != j])
    expected += np.mean([k(a, b) for i, a in enumerate(second) for j, b in enumerate(second) if i != j])
    expected -= 2 * np.mean([k(a, b) for a in first for b in second])
    assert squared_mmd(first, second) == pytest.approx(expected, rel=1e-6)


def test_kid_is_torch_fidelitys():
    kid = pytest.importorskip("torch_fidelity.metric_kid", reason="NOT CHECKED: torch-fidelity is missing")
    first, second = features(300, width=32), features(300, 0.2, 1, width=32)
    theirs = kid.kid_features_to_metric(
        *map(torch.from_numpy, (first, second)), kid_subsets=1, kid_subset_size=300, verbose=False
    )
    assert squared_mmd(first, second) == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-4)


def test_kid_of_one_distribution_is_unbiased_and_of_two_their_closed_form():
    """For one feature k(x, y) = (xy + 1)³, so MMD² = Σ_j C(3, j) (E xʲ − E yʲ)²."""
    pairs = [(features(20, seed=i, width=1), features(20, seed=100 + i, width=1)) for i in range(200)]
    same = [squared_mmd(x, y) for x, y in pairs]
    assert abs(np.mean(same)) < 4 * np.std(same) / np.sqrt(len(same))
    shifted = [squared_mmd(x, y + 0.5) for x, y in pairs]
    expected = 3 * 0.5**2 + 3 * 0.25**2 + (0.5**3 + 3 * 0.5) ** 2
    assert np.mean(shifted) == pytest.approx(expected, abs=4 * np.std(shifted) / np.sqrt(len(shifted)))


def test_the_error_of_kid_is_its_spread_over_sets_of_images():
    rng = np.random.default_rng(0)
    sets = [(features(80, seed=i, width=2), features(80, 0.5, 1000 + i, width=2)) for i in range(60)]
    estimates, errors = np.transpose([over_subsets(*both, 20, 40, rng) for both in sets])
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(np.std(estimates), rel=0.25)
    for size, subsets in ((80, 30), (40, 1)):
        assert np.isnan(over_subsets(*sets[0], subsets, size, rng)[1])


def test_kid_of_a_run_is_a_mean_over_its_subsets():
    real, fake = features(60), features(50, 0.3, 1)
    whole = evaluate(run_with(real, fake), [{"name": "kid", "subset_size": 200, "subsets": 40}])["kid"]
    assert whole.keys() == {"recon", "interp_mid", "interp_random", "prior"}
    some = evaluate(run_with(real, fake), [{"name": "kid", "subset_size": 40, "subsets": 40}])["kid"]
    assert some["prior_se"] > 0
    assert (
        some["prior"]
        == evaluate(run_with(real, fake), [{"name": "kid", "subset_size": 40, "subsets": 40}])["kid"]["prior"]
    )
    assert some["prior"] == pytest.approx(squared_mmd(fake, real), rel=0.2)
    assert whole["prior"] != some["prior"]


def test_density_and_coverage_are_those_of_brute_force():
    real, fake, k = features(30), features(25, 0.4, 1), 3
    reach = [np.sort(np.linalg.norm(real - x, axis=1))[k] for x in real]
    held = np.array([[np.linalg.norm(x - y) <= r for y in fake] for x, r in zip(real, reach, strict=True)])
    expected = held.sum() / (k * len(fake)), held.any(axis=1).mean()
    assert density_and_coverage(real, fake, k) == pytest.approx(expected)


def test_density_and_coverage_do_not_depend_on_the_blocks(monkeypatch):
    real, fake = features(30), features(25, 0.4, 1)
    whole = density_and_coverage(real, fake, 3)
    monkeypatch.setattr("vaebench.measure.metrics.coverage.ROWS", 7)
    assert density_and_coverage(real, fake, 3) == whole


def test_coverage_tells_one_mode_from_all():
    """Expected density of an equal sample is 1, and coverage 1 − (1/2)ᵏ (Naeem et al., Section 3.2)."""
    real, fake = features(2000), features(2000, seed=1)
    density, coverage = density_and_coverage(real, fake, 5)
    assert density == pytest.approx(1, abs=0.05)
    assert coverage == pytest.approx(1 - 0.5**5, abs=0.02)
    density, coverage = density_and_coverage(real, np.repeat(real[:10], 200, axis=0), 5)
    assert coverage < 0.1
    assert density_and_coverage(real, fake + 100, 5) == (0, 0)


def test_the_metric_has_its_features_name_and_needs_a_density():
    run = run_with(features(30), features(25, 0.4, 1))
    assert evaluate(run, [{"name": "coverage", "k": 3}]).keys() == {"dc"}
    run.densities = {"prior": None}
    assert evaluate(run, [{"name": "coverage", "k": 3}]) == {}
