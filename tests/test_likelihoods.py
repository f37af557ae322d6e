import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal, norm

from vaebench.base.errors import UserError
from vaebench.model.likelihoods import LIKELIHOODS

SHAPE = (2, 3, 4)
SIZE = math.prod(SHAPE)
GAUSSIANS = [
    {"name": "gaussian", "variance": "fixed", "sigma2": 0.3},
    *(
        {"name": "gaussian", "variance": variance, "shape": shape}
        for variance in ("trainable", "mle")
        for shape in ("iso_i", "iso_d", "diag_i", "diag_d")
    ),
    {"name": "gaussian", "variance": "mle", "shape": "lowrank", "rank": 2},
    {"name": "gaussian", "variance": "mle", "shape": "diag_d", "warmup_steps": 2},
]
OTHERS = [{"name": "bernoulli"}, {"name": "l2", "scale": 0.05}]
MIXTURES = [{"name": "mol", "components": 2}]


def build(spec, shape=SHAPE, activation="identity"):
    return LIKELIHOODS.build(spec, shape, activation)


def batch(likelihood, count=7, shape=SHAPE, seed=0):
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randn(count, likelihood.channels, *shape[1:], generator=generator, dtype=torch.float64)
    return raw, torch.rand(count, *shape, generator=generator, dtype=torch.float64)


def gaussian(variance, shape="iso_i", **more):
    return {"name": "gaussian", "variance": variance, "shape": shape, **more}


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "identity"])
def test_mean_goes_through_the_activation(activation):
    likelihood = build(gaussian("trainable", "diag_d"), activation=activation)
    raw, _ = batch(likelihood)
    function = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "identity": torch.clone}[activation]
    torch.testing.assert_close(likelihood.mean(raw), function(raw[:, :2]))


def test_fixed_objective_is_equation_3():
    likelihood = build(gaussian("fixed", sigma2=0.25), activation="sigmoid")
    raw, x = batch(likelihood)
    expected = ((x - raw.sigmoid()) ** 2).sum((1, 2, 3)).mean() / 0.5
    torch.testing.assert_close(likelihood.loss(raw, x), expected)


def test_mle_objectives_are_those_of_appendix_g():
    raw, x = batch(build(gaussian("mle")))
    r2, eps = (x - raw) ** 2, 1e-6
    expected = {
        "iso_i": SIZE / 2 * torch.log(r2.sum((1, 2, 3)).mean()),
        "iso_d": SIZE / 2 * torch.log(r2.sum((1, 2, 3)) + eps).mean(),
        "diag_i": 0.5 * torch.log(r2.mean(0) + eps).sum(),
        "diag_d": 0.5 * torch.log(r2 + eps).sum((1, 2, 3)).mean(),
    }
    for shape, value in expected.items():
        torch.testing.assert_close(build(gaussian("mle", shape)).loss(raw, x), value)


@pytest.mark.parametrize("shape", ["iso_i", "diag_i", "lowrank"])
def test_mle_objective_is_the_trained_one_at_its_optimum(shape):
    """No Σx of the family does better on the minibatch, and the estimate itself does as well."""
    likelihood = build(gaussian("mle", shape, eps=1e-12, ridge=1e-12, rank=2))
    raw, x = batch(likelihood, count=9)
    objective = likelihood.loss(raw, x).item()
    if shape != "lowrank":
        likelihood.fit(((x - raw) ** 2).mean(0))
    reached = -likelihood.log_prob(raw, x).mean().item() - SIZE / 2 * math.log(2 * math.pi)
    constant = SIZE / 2 - (SIZE / 2 * math.log(SIZE) if shape == "iso_i" else 0)
    assert reached == pytest.approx(objective + constant, rel=1e-5)


def test_lowrank_estimate_beats_its_neighbours():
    likelihood = build(gaussian("mle", "lowrank", ridge=1e-9, rank=2))
    raw, x = batch(likelihood, count=30)
    likelihood.loss(raw, x)
    best = likelihood.log_prob(raw, x).mean()
    factor, noise = likelihood.lowrank.factor.clone(), likelihood.lowrank.noise.clone()
    torch.manual_seed(0)
    for _ in range(20):
        likelihood.lowrank.factor.copy_(factor + 0.05 * torch.randn_like(factor))
        likelihood.lowrank.noise.copy_(noise * torch.empty(()).uniform_(0.9, 1.1))
        assert likelihood.log_prob(raw, x).mean() < best


def test_lowrank_log_prob_is_the_dense_gaussian():
    likelihood = build(gaussian("mle", "lowrank", rank=3))
    raw, x = batch(likelihood, count=30)
    likelihood.loss(raw, x)
    factor, noise = likelihood.lowrank.factor.double(), likelihood.lowrank.noise.item()
    covariance = (factor @ factor.T + noise * torch.eye(SIZE, dtype=torch.float64)).numpy()
    dense = multivariate_normal(np.zeros(SIZE), covariance).logpdf((x - raw).flatten(1).numpy())
    np.testing.assert_allclose(likelihood.log_prob(raw, x).numpy(), dense, rtol=1e-5)
    np.testing.assert_allclose(likelihood.variance(raw, x)[0].flatten(), np.diag(covariance), rtol=1e-5)
    second_moment = ((x - raw) ** 2).mean(0) * 3
    likelihood.fit(second_moment)
    assert likelihood.variance(raw, x)[0].sum().item() == pytest.approx(second_moment.sum().item(), rel=1e-5)


def test_trained_objective_is_the_negative_log_density_without_its_constant():
    for shape in ("iso_i", "iso_d", "diag_i", "diag_d"):
        likelihood = build(gaussian("trainable", shape, sigma2=0.5)).double()
        raw, x = batch(likelihood)
        for parameter in likelihood.parameters():
            torch.nn.init.normal_(parameter)
        constant = SIZE / 2 * math.log(2 * math.pi)
        torch.testing.assert_close(likelihood.loss(raw, x), -likelihood.log_prob(raw, x).mean() - constant)


@pytest.mark.parametrize("spec", GAUSSIANS[:-2], ids=lambda s: "-".join(map(str, s.values())))
def test_log_prob_is_scipys_with_the_reported_variance(spec):
    likelihood = build(spec).double()
    raw, x = batch(likelihood)
    for parameter in likelihood.parameters():
        torch.nn.init.normal_(parameter)
    if likelihood.fits:
        likelihood.fit(torch.rand(SHAPE))
    with torch.no_grad():
        variance = likelihood.variance(raw, x)
        assert variance.shape == x.shape
        expected = norm(raw[:, :2].numpy(), variance.sqrt().numpy()).logpdf(x.numpy()).sum((1, 2, 3))
        np.testing.assert_allclose(likelihood.log_prob(raw, x).numpy(), expected, rtol=1e-9)


def test_variance_has_its_shape():
    """Iso-D is one number per image, Diag-I one per pixel; the trained head starts at sigma2."""
    iso_d = build(gaussian("trainable", "iso_d", sigma2=0.2))
    raw, x = batch(iso_d)
    assert iso_d.channels == 4
    value = iso_d.variance(raw, x).flatten(1)
    assert (value.amax(1) - value.amin(1)).abs().max() < 1e-12
    assert value[:, 0].unique().numel() == len(x)
    torch.testing.assert_close(
        iso_d.variance(torch.zeros_like(raw), x), torch.full_like(x, 0.2), rtol=1e-5, atol=0
    )
    diag_i = build(gaussian("mle", "diag_i"))
    moment = torch.rand(SHAPE)
    diag_i.fit(moment.double())
    raw, x = batch(diag_i)
    torch.testing.assert_close(diag_i.variance(raw, x)[3], moment + 1e-6)


def test_plug_in_variance_is_the_images_own():
    iso_d, diag_d = build(gaussian("mle", "iso_d")), build(gaussian("mle", "diag_d"))
    raw, x = batch(iso_d)
    r2 = (x - raw) ** 2
    torch.testing.assert_close(iso_d.variance(raw, x)[:, 0, 0, 0], (r2.sum((1, 2, 3)) + 1e-6) / SIZE)
    torch.testing.assert_close(diag_d.variance(raw, x), r2 + 1e-6)


def test_fit_sets_the_training_sets_variance_and_training_follows_the_minibatch():
    likelihood = build(gaussian("mle"))
    raw, x = batch(likelihood)
    likelihood.loss(raw, x)
    r2 = (x - raw) ** 2
    assert likelihood.monitor()["sigma2"] == pytest.approx(r2.mean().item(), rel=1e-6)
    likelihood.fit(torch.full(SHAPE, 0.7))
    likelihood.eval().loss(raw, x)
    assert likelihood.sigma2.item() == pytest.approx(0.7)
    assert build(gaussian("mle")).load_state_dict(likelihood.state_dict())


def test_warm_start_switches_after_its_steps_and_counts_only_training():
    likelihood = build(gaussian("mle", "diag_d", warmup_steps=2))
    raw, x = batch(likelihood)
    iso_i = build(gaussian("mle", "iso_i")).loss(raw, x)
    diag_d = build(gaussian("mle", "diag_d")).loss(raw, x)
    likelihood.eval()
    for _ in range(3):
        torch.testing.assert_close(likelihood.loss(raw, x), iso_i)
    likelihood.train()
    torch.testing.assert_close(torch.stack([likelihood.loss(raw, x) for _ in range(2)]), iso_i.expand(2))
    torch.testing.assert_close(likelihood.loss(raw, x), diag_d)
    again = build(gaussian("mle", "diag_d", warmup_steps=2))
    again.load_state_dict(likelihood.state_dict())
    torch.testing.assert_close(again.loss(raw, x), diag_d)


@pytest.mark.parametrize(
    "spec", [*GAUSSIANS, *OTHERS, *MIXTURES], ids=lambda s: "-".join(map(str, s.values()))
)
@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_gradient_is_that_of_finite_differences(spec, activation):
    shape = (3, 2, 2)
    likelihood = build(spec, shape, activation).double()
    raw, x = batch(likelihood, count=3, shape=shape)
    raw.requires_grad_()
    assert torch.autograd.gradcheck(lambda raw: likelihood.eval().loss(raw, x), raw, atol=1e-6)
    likelihood.train()


@pytest.mark.parametrize(
    "spec", [*GAUSSIANS, *OTHERS, *MIXTURES], ids=lambda s: "-".join(map(str, s.values()))
)
@pytest.mark.parametrize("size", [0.0, 1e4, -1e4])
def test_extreme_outputs_and_perfect_fits_stay_finite(spec, size):
    shape = (1, 4, 4)
    likelihood = build(spec, shape)
    for x in (torch.zeros(5, *shape), torch.ones(5, *shape)):
        raw = torch.full((5, likelihood.channels, 4, 4), size, requires_grad=True)
        loss = likelihood.loss(raw, x)
        loss.backward()
        assert loss.isfinite()
        assert raw.grad.isfinite().all()
        assert likelihood.log_prob(raw, x).isfinite().all()


@pytest.mark.parametrize(
    "spec", [*GAUSSIANS, *OTHERS, *MIXTURES], ids=lambda s: "-".join(map(str, s.values()))
)
def test_half_precision_output_gives_a_single_precision_loss(spec):
    likelihood = build(spec, (1, 4, 4), "sigmoid")
    raw, x = batch(likelihood, shape=(1, 4, 4))
    with torch.autocast("cpu", torch.bfloat16):
        half = likelihood.loss(raw.bfloat16(), x.float())
    assert half.dtype is torch.float32
    fresh = build(spec, (1, 4, 4), "sigmoid")
    torch.testing.assert_close(half, fresh.loss(raw.bfloat16().float(), x.float()), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "spec", [*GAUSSIANS, *OTHERS, *MIXTURES], ids=lambda s: "-".join(map(str, s.values()))
)
def test_loss_is_one_compiled_graph(spec):
    if spec.get("shape") == "lowrank":
        assert build(spec).synchronizes
    torch._dynamo.reset()
    eager, traced = build(spec, (1, 4, 4), "sigmoid"), build(spec, (1, 4, 4), "sigmoid")
    compiled = torch.compile(traced.loss, backend="aot_eager", fullgraph=True)
    for seed in range(3):
        raw, x = batch(eager, shape=(1, 4, 4), seed=seed)
        raw = raw.float().requires_grad_()
        expected = torch.autograd.grad(eager.loss(raw, x.float()), raw)[0]
        torch.testing.assert_close(torch.autograd.grad(compiled(raw, x.float()), raw)[0], expected)


def test_lowrank_passes_a_divergence_on():
    likelihood = build(gaussian("mle", "lowrank"))
    raw, x = batch(likelihood)
    assert likelihood.loss(raw * float("nan"), x).isnan()


def test_a_scaled_bernoulli_scales_its_loss_and_not_its_probability():
    raw, x = torch.randn(5, 1, 2, 2), torch.rand(5, 1, 2, 2).round()
    whole, part = (build({"name": "bernoulli", "scale": scale}, (1, 2, 2)) for scale in (1.0, 0.05))
    torch.testing.assert_close(part.loss(raw, x), 0.05 * whole.loss(raw, x))
    torch.testing.assert_close(part.log_prob(raw, x), whole.log_prob(raw, x))


def test_bernoulli_is_a_probability_over_binary_images():
    likelihood = build({"name": "bernoulli"}, (1, 2, 2))
    raw = torch.randn(1, 1, 2, 2, dtype=torch.float64)
    images = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=torch.float64)
    log_prob = likelihood.log_prob(raw.expand(16, -1, -1, -1), images.reshape(16, 1, 2, 2))
    assert log_prob.exp().sum().item() == pytest.approx(1)
    mean = (log_prob.exp()[:, None] * images).sum(0).reshape(1, 1, 2, 2)
    torch.testing.assert_close(likelihood.mean(raw), mean)
    torch.testing.assert_close(
        likelihood.loss(raw.expand(16, -1, -1, -1), images.reshape(16, 1, 2, 2)), -log_prob.mean()
    )


def test_l2_scales_the_sum_and_is_a_gaussian():
    likelihood = build({"name": "l2", "scale": 0.05})
    raw, x = batch(likelihood)
    torch.testing.assert_close(likelihood.loss(raw, x), 0.05 * ((x - raw) ** 2).sum((1, 2, 3)).mean())
    equivalent = build(gaussian("fixed", sigma2=10.0)).double()
    torch.testing.assert_close(likelihood.log_prob(raw, x), equivalent.log_prob(raw, x))
    assert likelihood.variance(raw, x) is None


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_mixture_of_logistics_sums_to_one_and_has_its_mean(activation):
    likelihood = build({"name": "mol", "components": 3}, (1, 1, 1), activation)
    low, high = likelihood.value_range
    levels = torch.linspace(low, high, 256, dtype=torch.float64).reshape(256, 1, 1, 1)
    torch.manual_seed(0)
    for spread in (1.0, 3.0):
        raw = spread * torch.randn(1, likelihood.channels, 1, 1, dtype=torch.float64)
        probability = likelihood.log_prob(raw.expand(256, -1, -1, -1), levels).exp()
        assert probability.sum().item() == pytest.approx(1, abs=1e-9)
        mean = (probability * levels.flatten()).sum().item()
        assert likelihood.mean(raw).item() == pytest.approx(mean, abs=0.5 * (high - low) / 255)


def test_mixture_of_logistics_for_colours_is_the_direct_formula():
    components = 2
    likelihood = build({"name": "mol", "components": components}, (3, 1, 1), "sigmoid")
    raw, x = batch(likelihood, count=20, shape=(3, 1, 1))
    x = torch.cat([(x * 255).round() / 255, torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)])
    raw = torch.cat([raw, raw[:2]])
    for image, output, log_prob in zip(x, raw, likelihood.log_prob(raw, x), strict=True):
        value, p = (2 * image.flatten() - 1).numpy(), output.flatten().numpy()
        weight = np.exp(p[:2]) / np.exp(p[:2]).sum()
        mean, scale = p[2:8].reshape(3, 2), np.exp(p[8:14]).reshape(3, 2)
        c = np.tanh(p[14:]).reshape(3, 2)
        shift = np.stack([0 * c[0], c[0] * value[0], c[1] * value[0] + c[2] * value[1]])
        total = 0.0
        for k in range(components):
            mass = weight[k]
            for color in range(3):

                def cdf(t, centre=mean[color, k] + shift[color, k], s=scale[color, k]):
                    return 1 / (1 + np.exp(-(t - centre) / s))

                above = 1.0 if value[color] > 0.999 else cdf(value[color] + 1 / 255)
                below = 0.0 if value[color] < -0.999 else cdf(value[color] - 1 / 255)
                mass *= above - below
            total += mass
        assert log_prob.item() == pytest.approx(math.log(total), rel=1e-9)


def test_mixture_of_logistics_draws_have_its_probabilities():
    """The histogram of grey levels; and of colours E_p[q/p] = 1 for another mixture's probability q."""
    grey = build({"name": "mol", "components": 3, "render": "sample"}, (1, 1, 1), "sigmoid")
    levels = torch.arange(256.0).reshape(256, 1, 1, 1) / 255
    torch.manual_seed(0)
    raw = torch.randn(1, grey.channels, 1, 1)
    drawn = grey.render(raw.expand(50_000, -1, -1, -1), torch.Generator().manual_seed(1))
    found = torch.bincount((drawn.flatten() * 255).round().long(), minlength=256) / 50_000
    probability = grey.log_prob(raw.expand(256, -1, -1, -1), levels).exp()
    assert (found - probability).abs().max() < 4 * (probability.max() / 50_000).sqrt()
    assert abs(found[0] - probability[0]) < 4 * (probability[0] / 50_000).sqrt()

    colour = build({"name": "mol", "components": 2, "render": "sample"}, (3, 1, 1), "tanh")
    raw = torch.randn(1, colour.channels, 1, 1).expand(20_000, -1, -1, -1)
    drawn = colour.render(raw)
    for near in (raw + 0.1, raw - 0.1):
        ratio = (colour.log_prob(near, drawn) - colour.log_prob(raw, drawn)).exp()
        assert abs(ratio.mean() - 1) < 4 * ratio.std() / 20_000**0.5
    assert torch.equal(
        build({"name": "mol"}, (3, 1, 1), "tanh").render(raw[:1, :1].expand(1, 100, 1, 1)),
        build({"name": "mol"}, (3, 1, 1), "tanh").mean(raw[:1, :1].expand(1, 100, 1, 1)),
    )


def test_misfits_are_refused_with_what_to_do():
    with pytest.raises(UserError, match="1 or 3 channels"):
        build({"name": "mol"}, (2, 4, 4))
    with pytest.raises(UserError, match="fixed variance is iso_i"):
        build(gaussian("fixed", "diag_d"))
    with pytest.raises(UserError, match="lowrank goes with variance: mle"):
        build(gaussian("trainable", "lowrank"))
    with pytest.raises(UserError, match="warmup_steps"):
        build(gaussian("trainable", "diag_d", warmup_steps=3))
    with pytest.raises(UserError, match="sigma2"):
        build(gaussian("fixed", sigma2=0.0))
