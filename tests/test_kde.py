import json
import math

import pytest
import torch

from vaebench.model import kde


@pytest.mark.parametrize("dim", [1, 16, 128])
@pytest.mark.parametrize("offset", [0.0, 30.0])
def test_log_density_is_the_direct_sum(dim, offset):
    torch.manual_seed(0)
    h = 0.6
    z, centres = offset + torch.randn(40, dim), offset + 0.8 * torch.randn(300, dim)
    wide, points = z.double(), centres.double()
    exponents = -(wide[:, None] - points).square().sum(2) / (2 * h**2)
    direct = torch.logsumexp(exponents, 1) - torch.tensor(300.0 * h**dim, dtype=torch.float64).log()
    single = kde.log_density(z, centres, h)
    assert single.dtype is torch.float32
    torch.testing.assert_close(single.double(), direct, rtol=1e-5, atol=2e-4)
    torch.testing.assert_close(kde.log_density(wide, points, h), direct, rtol=1e-11, atol=1e-9)


def test_density_integrates_to_one_once_the_constant_is_back():
    torch.manual_seed(0)
    centres, h = torch.randn(20, 1, dtype=torch.float64), 0.3
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    density = kde.log_density(grid[:, None], centres, h).exp() / (2 * torch.pi) ** 0.5
    assert torch.trapezoid(density, grid).item() == pytest.approx(1, abs=1e-6)


def test_log_density_is_finite_far_from_every_centre():
    z = torch.full((2, 128), 1e4, requires_grad=True)
    value = kde.log_density(z, torch.zeros(5, 128), 0.5)
    value.sum().backward()
    assert value.isfinite().all()
    assert z.grad.isfinite().all()


def test_bfloat16_autocast_does_not_touch_the_distances():
    torch.manual_seed(0)
    a, b = torch.randn(20, 64), torch.randn(30, 64)
    with torch.autocast("cpu", torch.bfloat16):
        distances = kde.squared_distances(a, b)
    torch.testing.assert_close(distances, (a[:, None] - b).square().sum(2), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("dim", "samples", "h"), [(10, 500, 0.74), (20, 10_000, 0.78), (40, 2000, 0.98)])
def test_optimal_bandwidth_is_table_one(dim, samples, h):
    assert kde.optimal_bandwidth(dim, samples) == pytest.approx(h, abs=0.01)


@pytest.mark.parametrize(("dim", "samples", "h"), [(40, 500, 0.72), (70, 5000, 0.73), (100, 1000, 0.75)])
def test_corrected_bandwidth_is_table_two(dim, samples, h, tmp_path):
    assert kde.bandwidth(dim, samples, tmp_path) == pytest.approx(h, abs=0.01)


def test_bandwidth_maximizes_the_expected_log_density():
    torch.manual_seed(1)
    h = kde.optimal_bandwidth(5, 50)
    points, totals = torch.randn(2000, 5), []
    for factor in (0.9, 1.0, 1.1):
        trials = [kde.log_density(points, torch.randn(50, 5), factor * h).mean() for _ in range(100)]
        totals.append(torch.stack(trials).mean().item())
    assert totals[1] > max(totals[0], totals[2])


@pytest.mark.parametrize(("dim", "samples"), [(1, 2), (200, 2)])
def test_bandwidth_of_the_smallest_estimates_exists(dim, samples):
    assert 0.5 < kde.optimal_bandwidth(dim, samples) < 10


def test_bandwidth_is_the_mean_of_draws_that_scatter(tmp_path):
    draws = [kde.optimal_bandwidth(2, 5000, seed) for seed in range(kde.DRAWS)]
    assert max(draws) - min(draws) > 0.01
    assert kde.bandwidth(2, 5000, tmp_path) == kde.corrected(sum(draws) / len(draws))


def test_kernel_at_a_quantile():
    # A chi-square with 2 degrees of freedom exceeds −2 ln p with probability p.
    assert kde.log_kernel_at(0.9, 2, 0.5) == pytest.approx(math.log(0.1 / 0.25))


def test_table_is_deterministic_and_lists_every_cell():
    rows = kde.bandwidth_table((10, 20), (500,), seeds=2)
    assert [(r["latent_dim"], r["samples"]) for r in rows] == [(10, 500), (20, 500)]
    assert rows == kde.bandwidth_table((10, 20), (500,), seeds=2)
    one, two = (kde.optimal_bandwidth(10, 500, seed) for seed in (0, 1))
    assert rows[0]["h_opt"] == pytest.approx((one + two) / 2)
    assert rows[0]["error"] == pytest.approx(abs(one - two) / 2)
    assert all(r["h_corrected"] == kde.corrected(r["h_opt"]) for r in rows)


TABLES = {
    10: ([0.74, 0.70, 0.67, 0.63, 0.60], [0.60, 0.58, 0.56, 0.53, 0.51]),
    20: ([0.89, 0.86, 0.84, 0.80, 0.78], [0.67, 0.65, 0.64, 0.62, 0.61]),
    40: ([None, None, 0.98, 0.95, 0.93], [0.72, 0.71, 0.70, 0.69, 0.68]),
    50: ([None, None, None, 0.99, 0.98], [0.73, 0.72, 0.71, 0.70, 0.70]),
    70: ([None, None, None, None, None], [0.74, 0.74, 0.73, 0.73, 0.72]),
    100: ([None, None, None, None, None], [0.76, 0.75, 0.75, 0.74, 0.74]),
}
"""Tables I and II of Saha et al. by latent size, over 500 to 10,000 samples; None where they say > 1.0."""


@pytest.mark.nightly
def test_whole_tables():
    rows = iter(kde.bandwidth_table())
    for optima, corrections in TABLES.values():
        for optimum, correction in zip(optima, corrections, strict=True):
            row = next(rows)
            within = 0.005 + 2 * row["error"]
            assert row["h_corrected"] == pytest.approx(correction, abs=within), row
            if optimum is None:
                assert row["h_opt"] > 1, row
            else:
                assert row["h_opt"] == pytest.approx(optimum, abs=within), row


def test_bandwidth_is_computed_once(tmp_path, monkeypatch):
    first = kde.bandwidth(3, 100, tmp_path)
    monkeypatch.setattr(kde, "optimal_bandwidth", lambda *_: pytest.fail("computed again"))
    assert kde.bandwidth(3, 100, tmp_path) == first


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"h_opt": 0.5}', '{"settings": {}, "h_opt": 0.5}'])
def test_damaged_or_foreign_cache_is_computed_anew(tmp_path, damage):
    right = kde.bandwidth(3, 100, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_text(damage)
    assert kde.bandwidth(3, 100, tmp_path) == right
    assert kde.corrected(json.loads(path.read_text())["h_opt"]) == right
