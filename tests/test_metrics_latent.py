"""Smoothness, mutual information, likelihood and the latents' distribution, against closed forms."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.metric_models import Linear, linear_data, orthogonal, prepared, run_of
from torch import distributions

from vaebench.measure.metrics.latent import gaussian_kl, leave_one_out_entropy, whiten
from vaebench.measure.metrics.smoothness import mutual_information_bounds
from vaebench.measure.run import evaluate
from vaebench.model import kde
from vaebench.model.likelihoods.bernoulli import Bernoulli
from vaebench.model.likelihoods.gaussian import GaussianLikelihood

WEIGHT = orthogonal(6, 2, (2.0, 0.5))


def test_smoothness_of_a_linear_decoder():
    weight = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    run = run_of(Linear(weight, torch.zeros(3, 7), None), prepared(linear_data(3000, weight, 0.1)))
    result = evaluate(run, [{"name": "smoothness"}])["smoothness"]
    norm = weight.square().sum().item()
    assert result["els"] == pytest.approx(norm / 3, rel=1e-5)
    assert result["gap_1e-2"] == pytest.approx(2 * norm * 1e-2, rel=0.05)
    assert result["gap_1e-3"] == pytest.approx(2 * norm * 1e-3, rel=0.05)
    assert not {"mi_bound", "mi_lower"} & set(result)
    assert "sigma_z2" not in result


def test_the_posteriors_variance_is_the_mean_over_images_and_dimensions():
    weight = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    std = torch.tensor([0.1, 0.2, 0.4])
    run = run_of(Linear(weight, torch.zeros(3, 7), std), prepared(linear_data(30, weight, 0.1)))
    found = evaluate(run, [{"name": "smoothness", "images": 20}])["smoothness"]["sigma_z2"]
    assert found == pytest.approx((0.01 + 0.04 + 0.16) / 3, rel=1e-5)


def test_local_smoothness_of_a_network_is_its_jacobians_norm():
    torch.manual_seed(0)
    run = run_of(
        Linear(torch.zeros(9, 2), torch.randn(2, 9), None), prepared(linear_data(12, torch.ones(9, 1), 1.0))
    )
    network = torch.nn.Sequential(
        torch.nn.Linear(2, 8), torch.nn.Unflatten(1, (8, 1, 1)), torch.nn.ConvTranspose2d(8, 4, 3),
        torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Conv2d(4, 1, 3, padding=1), torch.nn.Sigmoid(),
    ).eval()  # fmt: skip
    run.model = SimpleNamespace(decode=network)
    run.batch_size = 5
    result = evaluate(run, [{"name": "smoothness", "images": 10}])["smoothness"]
    rows = run.subset(12, 10, "smoothness test")
    z = torch.from_numpy(run.latents["test_mean"][rows])
    jacobians = [torch.autograd.functional.jacobian(lambda v: network(v[None]), row) for row in z]
    exactly = torch.stack(jacobians).square().sum().item() / (10 * 2)
    assert result["els"] == pytest.approx(exactly, rel=1e-4)


def test_mutual_information_of_a_gaussian_channel():
    rng = np.random.default_rng(0)
    mean, std = rng.standard_normal((4000, 2)), np.full((4000, 2), 0.7)
    exactly = math.log(1 + 1 / 0.7**2)
    lower, upper = mutual_information_bounds(mean, std, rng)
    assert lower < upper
    assert (lower, upper) == (pytest.approx(exactly, abs=0.05), pytest.approx(exactly, abs=0.05))
    batches = mutual_information_bounds(mean, std, rng, batch=1000)[1]
    assert batches == pytest.approx(exactly, abs=0.08)


def test_mutual_information_is_that_of_d1_for_a_shared_variance():
    rng = np.random.default_rng(1)
    mean, sigma2 = rng.standard_normal((30, 3)), 0.3
    lower, upper = mutual_information_bounds(mean, np.full((30, 3), sigma2**0.5), np.random.default_rng(2))
    again = np.random.default_rng(2)
    again.permutation(30)
    noise = again.standard_normal((30, 3))
    z = mean + sigma2**0.5 * noise
    kernel = np.exp(-((z[:, None] - mean[None]) ** 2).sum(-1) / (2 * sigma2))
    below = (-np.log(kernel.mean(1)) - (noise**2).sum(1) / 2).mean()
    np.fill_diagonal(kernel, 0)
    assert lower == pytest.approx(below, rel=1e-9)
    assert upper == pytest.approx((-np.log(kernel.sum(1) / 29) - (noise**2).sum(1) / 2).mean(), rel=1e-9)


def test_mutual_information_ends():
    rng = np.random.default_rng(3)
    nothing = mutual_information_bounds(np.zeros((500, 4)), np.ones((500, 4)), rng)
    assert nothing == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))
    apart = np.arange(100.0)[:, None] * 10
    lower, upper = mutual_information_bounds(apart, np.ones((100, 1)), rng)
    assert lower == pytest.approx(math.log(100), rel=1e-3)
    assert upper > 5 * math.log(100)


def exact_nll(images: np.ndarray, sigma2: float) -> float:
    flat = torch.from_numpy(images).flatten(1).double()
    weight = WEIGHT.double()
    covariance = weight @ weight.T + sigma2 * torch.eye(6, dtype=torch.float64)
    normal = distributions.MultivariateNormal(torch.zeros(6, dtype=torch.float64), covariance)
    return -normal.log_prob(flat).mean().item()


def test_nll_is_exact_where_the_posterior_is():
    sigma2 = 0.3
    images = linear_data(100, WEIGHT, sigma2)
    precision = WEIGHT.square().sum(0) / sigma2 + 1
    model = Linear(WEIGHT, WEIGHT.T / sigma2 / precision[:, None], precision.rsqrt(), sigma2)
    result = evaluate(run_of(model, prepared(images)), [{"name": "nll", "k": 1}])
    assert result["nll"] == pytest.approx(exact_nll(images, sigma2), rel=1e-5)


def test_nll_approaches_the_exact_value_from_above():
    sigma2 = 0.3
    images = linear_data(3000, WEIGHT, sigma2)
    precision = WEIGHT.square().sum(0) / sigma2 + 1
    model = Linear(WEIGHT, 0.9 * WEIGHT.T / sigma2 / precision[:, None], 1.4 * precision.rsqrt(), sigma2)
    run = run_of(model, prepared(images), batch_size=3000)
    bounds = [evaluate(run, [{"name": "nll", "k": k}])["nll"] for k in (1, 20, 500)]
    exactly = exact_nll(images, sigma2)
    assert bounds[0] > bounds[1] > bounds[2]
    assert bounds[0] > exactly + 0.05
    assert bounds[2] == pytest.approx(exactly, abs=0.02)


@pytest.mark.parametrize("shape", ["iso_d", "diag_d"])
@pytest.mark.parametrize("pixels", [6, 80])
def test_nll_of_a_variance_of_the_images_own_is_that_of_one_gaussian_per_image(shape, pixels):
    """x̂ does not depend on z, and q(z|x) is the prior: −ln p(x) is that of N(μ, Σ̂(x)) in closed form."""
    images = np.random.default_rng(0).uniform(size=(40, 1, 1, pixels)).astype(np.float32)
    model = Linear(torch.zeros(pixels, 2), torch.zeros(2, pixels), torch.ones(2))
    model.likelihood = GaussianLikelihood(model.shape, "identity", variance="mle", shape=shape, eps=1e-3)
    square = images.reshape(40, pixels).astype(float) ** 2
    variance = square + 1e-3 if shape == "diag_d" else (square.sum(1, keepdims=True) + 1e-3) / pixels
    terms = square / variance + np.log(2 * math.pi * variance)
    result = evaluate(run_of(model, prepared(images)), [{"name": "nll", "k": 7}])
    assert result["nll"] == pytest.approx(terms.sum(1).mean() / 2, rel=1e-6)
    assert result["nll_images"] == 40
    assert "bits_per_dim" not in result


@pytest.mark.parametrize(("shape", "pixels"), [("iso_d", 6), ("diag_d", 6), ("diag_d", 80)])
def test_nll_of_a_linear_model_has_one_variance_for_all_draws(shape, pixels):
    """−ln N(x | 0, W Wᵀ + Σ̂(x)) with Σ̂(x) = E_q r²; a variance of each draw's own is biased low."""
    weight, std, eps = orthogonal(pixels, 2, (2.0, 1.0)), torch.tensor([0.5, 0.7]), 1e-3
    images = linear_data(30, weight, 0.3)
    model = Linear(weight, 0.8 * torch.linalg.pinv(weight), std)
    model.likelihood = GaussianLikelihood(model.shape, "identity", variance="mle", shape=shape, eps=eps)
    found = evaluate(run_of(model, prepared(images)), [{"name": "nll", "k": 2000}])["nll"]

    x = torch.from_numpy(images)
    second = (x - model.decoder(model.encode(x).mean)).square() + weight.square() @ std.square() + eps
    if shape == "iso_d":
        second = ((second.sum(3, keepdim=True) - (pixels - 1) * eps) / pixels).expand_as(x)
    covariance = weight @ weight.T + torch.diag_embed(second.flatten(1))
    exactly = distributions.MultivariateNormal(torch.zeros(pixels), covariance).log_prob(x.flatten(1))
    assert found == pytest.approx(-exactly.mean().item(), abs=0.1)
    assert -_own_draw(model, x).mean().item() < found - 0.3


def _own_draw(model, x, k: int = 2000) -> torch.Tensor:
    """ln (1/k) Σ p(x|z) p(z) / q(z|x) with Σx of each draw's own residual, (B,)."""
    latent = model.encode(x)
    posterior = distributions.Normal(latent.mean, (latent.log_var / 2).exp())
    terms = []
    for _ in range(k):
        z = posterior.sample()
        ratio = distributions.Normal(0.0, 1.0).log_prob(z) - posterior.log_prob(z)
        terms.append(model.likelihood.log_prob(model.decoder(z), x) + ratio.sum(1))
    return torch.logsumexp(torch.stack(terms), 0) - math.log(k)


def test_nll_has_its_standard_error_and_the_same_images_for_every_seed():
    images = linear_data(400, WEIGHT, 0.3)
    precision = WEIGHT.square().sum(0) / 0.3 + 1
    model = Linear(WEIGHT, WEIGHT.T / 0.3 / precision[:, None], precision.rsqrt(), 0.3)
    spec = [{"name": "nll", "k": 1, "images": 100}]
    first, second = (evaluate(run_of(model, prepared(images), seed=seed), spec) for seed in (0, 1))
    assert first["nll"] == pytest.approx(second["nll"], rel=1e-6)  # exact for one draw
    assert first["nll_images"] == 100
    each = [exact_nll(images[i : i + 1], 0.3) for i in range(400)]
    assert first["nll_se"] == pytest.approx(np.std(each) / 10, rel=0.3)
    assert first["bits_per_dim"] == pytest.approx(first["nll"] / 6 / math.log(2) + math.log2(255))


def test_nll_survives_likelihoods_that_no_float_holds():
    images = linear_data(20, WEIGHT, 1.0) * 100
    model = Linear(WEIGHT, torch.linalg.pinv(WEIGHT), torch.full((2,), 0.1), sigma2=1e-3)
    assert evaluate(run_of(model, prepared(images)), [{"name": "nll", "k": 5}])["nll"] > 1e5


def test_nll_of_probabilities_has_a_name_of_its_own():
    coins = np.random.default_rng(0).integers(0, 2, (50, 1, 1, 6)).astype(np.float32)
    model = Linear(torch.zeros(6, 2), torch.zeros(2, 6), torch.ones(2))
    model.likelihood = Bernoulli(model.shape, "sigmoid")
    result = evaluate(run_of(model, prepared(coins)), [{"name": "nll", "k": 3}])
    assert result["nll_discrete"] == pytest.approx(6 * math.log(2))
    assert "nll" not in result
    assert "bits_per_dim" not in result  # of two levels, beside others of 256


def test_no_nll_of_a_deterministic_posterior():
    run = run_of(Linear(WEIGHT, WEIGHT.T, None), prepared(linear_data(5, WEIGHT, 1.0)))
    assert evaluate(run, [{"name": "nll"}]) == {}


def test_gaussian_kl_is_the_closed_form():
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 3)) + 0.5
    fitted = distributions.MultivariateNormal(
        torch.from_numpy(codes.mean(0)), torch.from_numpy(np.cov(codes, rowvar=False))
    )
    for scale in (1.0, 0.8):
        prior = distributions.MultivariateNormal(torch.zeros(3).double(), scale**2 * torch.eye(3).double())
        exactly = distributions.kl_divergence(fitted, prior).item()
        assert gaussian_kl(codes, scale) == pytest.approx(exactly, rel=1e-9)


def test_whitening():
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((500, 3)) @ np.diag([1e-3, 1, 50]) @ rng.standard_normal((3, 3)) - 4
    np.testing.assert_allclose(np.cov(whiten(codes), rowvar=False), np.eye(3), atol=1e-6)
    assert whiten(codes[:3]) is None
    assert whiten(np.column_stack([codes, np.ones(500)])) is None


def test_entropy_of_a_standard_normal_by_the_estimator():
    points = np.random.default_rng(0).standard_normal((10_000, 16))
    entropy, capped = leave_one_out_entropy(whiten(points), 0.584)
    assert entropy == pytest.approx(9.35, abs=0.1)
    assert capped == pytest.approx(8.75, abs=0.1)


def test_entropy_point_by_point():
    points = np.random.default_rng(1).standard_normal((40, 2))
    h = 0.5
    kernel = np.exp(-((points[:, None] - points[None]) ** 2).sum(-1) / (2 * h**2)) / h**2
    density = (kernel.sum(1) - kernel.diagonal()) / 39
    # The chi-square with 2 degrees of freedom exceeds −2 ln(5e-4) with probability 5e-4.
    floor = 5e-4 / h**2
    entropy, capped = leave_one_out_entropy(points, h)
    assert entropy == pytest.approx(-np.log(density).mean(), rel=1e-5)
    assert capped == pytest.approx(-np.log(density + floor).mean(), rel=1e-5)
    entropy, capped = leave_one_out_entropy(points * 1e3, h)
    assert capped == pytest.approx(-math.log(floor), rel=1e-6)
    assert entropy > 100


def test_latents_of_a_run(monkeypatch):
    monkeypatch.setattr(kde, "bandwidth", lambda dim, count: 0.4)
    weight = orthogonal(6, 2, (1.0, 1.0))
    images = linear_data(600, weight, 0.0) * np.float32(0.8)
    run = run_of(Linear(weight, weight.T, None, prior_scale=0.8), prepared(images))
    latent = evaluate(run, [{"name": "latent"}])["latent"]
    assert latent["kl"] == pytest.approx(0.64 - 1 - 2 * math.log(0.8), abs=0.03)
    assert latent["kl_corrected"] < 0.02
    assert latent["entropy"] == pytest.approx(latent["entropy_normal"], abs=0.1)
    clustered = images.copy()
    clustered[:300] = np.sign(images[:300]) + 0.01 * images[:300]
    clustered[300:] = -np.sign(images[300:]) + 0.01 * images[300:]
    run = run_of(Linear(weight, weight.T, None, prior_scale=None), prepared(clustered))
    other = evaluate(run, [{"name": "latent"}])["latent"]
    assert other["entropy"] < latent["entropy"] - 0.1
    assert other["kl_corrected"] == other["kl"]


def test_variances_along_the_principal_axes_do_not_depend_on_the_basis():
    rng = np.random.default_rng(0)
    codes = (
        rng.standard_normal((500, 3))
        @ np.diag([0.2, 0.5, 2.0])
        @ np.linalg.qr(rng.standard_normal((3, 3)))[0]
    )
    images = codes.astype(np.float32)[:, None, None, :]
    latent = evaluate(
        run_of(Linear(torch.eye(3), torch.eye(3), None), prepared(images)), [{"name": "latent"}]
    )["latent"]
    assert latent["variance_least"] == pytest.approx(0.04, rel=0.15)
    assert latent["variance_largest"] == pytest.approx(4, rel=0.15)
    assert latent["variance_mean"] == pytest.approx(codes.var(axis=0, ddof=1).mean(), rel=1e-5)
    assert latent["axes_collapsed"] == 1


def test_of_a_dimension_that_never_varies_the_variances_alone():
    weight = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    run = run_of(Linear(weight, weight.T, None), prepared(linear_data(50, weight, 0.0)))
    latent = evaluate(run, [{"name": "latent"}])["latent"]
    assert latent["axes_collapsed"] == 1
    assert latent["variance_least"] == 0
    assert "kl" not in latent
    assert "entropy" not in latent
