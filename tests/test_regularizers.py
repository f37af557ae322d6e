import math

import pytest
import torch
from torch import nn

from vaebench.base.errors import UserError
from vaebench.model import kde
from vaebench.model.posteriors.base import Latent
from vaebench.model.regularizers import REGULARIZERS
from vaebench.model.regularizers.base import Context, Decoder
from vaebench.model.regularizers.beta_tc import total_correlation
from vaebench.model.regularizers.factor_tc import permute_dims
from vaebench.model.regularizers.mmd import mmd
from vaebench.model.regularizers.rae_gp import gradient_penalty

SPECS = [
    {"name": "none"},
    {"name": "kl"},
    {"name": "beta_tc"},
    {"name": "factor_tc", "hidden": [16]},
    {"name": "mmd"},
    {"name": "adversarial", "hidden": [16]},
    {"name": "rae_l2"},
    {"name": "rae_gp"},
    {"name": "rae_gp", "estimator": "hutchinson"},
    {"name": "rae_gp", "estimator": "published"},
    {"name": "kde_kl", "samples": 50, "bandwidth": 0.5},
    {"name": "kde_kl", "samples": 50, "bandwidth": 0.5, "epsilon_quantile": 0.99},
]
BY_NAME = pytest.mark.parametrize("spec", SPECS, ids=lambda s: "-".join(map(str, s.values())))


def build(latent_dim=3, train_size=1000, **spec):
    return REGULARIZERS.build(spec, Context(latent_dim, train_size, (1, 4, 4)))


def latents(count=20, dim=3, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    mean, log_var, noise = torch.randn(3, count, dim, generator=generator, dtype=dtype)
    return Latent(mean, log_var, mean + (0.5 * log_var).exp() * noise)


def decoder(dim=3, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(dim, 5), nn.Tanh(), nn.Linear(5, 16), nn.Sigmoid(), nn.Unflatten(1, (1, 4, 4))
    ).double()


def test_none_is_zero_and_has_no_prior():
    regularizer = build(name="none")
    assert regularizer(latents(), Decoder(decoder())).item() == 0
    assert regularizer.prior_scale is None


def test_kl_is_torchs():
    latent = latents()
    q = torch.distributions.Normal(latent.mean, (0.5 * latent.log_var).exp())
    expected = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(build(name="kl")(latent, None), expected)
    torch.testing.assert_close(build(name="kl", weight=4.0)(latent, None), 4 * expected)


def test_kl_of_a_deterministic_posterior_is_what_is_left_of_it():
    latent = latents()
    fixed = Latent(latent.mean, None, latent.mean)
    assert build(name="kl")(fixed, None) == pytest.approx(0.5 * latent.mean.square().sum(1).mean().item())


def test_minibatch_weighted_sampling_is_exact_when_the_batch_is_the_training_set():
    """q(z) is then a known mixture of B Gaussians: estimate I + TC + Σ KL_j directly and sum to the KL."""
    torch.manual_seed(0)
    count, dim = 200, 2
    mean = torch.randn(count, dim, dtype=torch.float64) @ torch.tensor([[1.0, 0.8], [0.0, 0.6]]).double()
    log_var = torch.full_like(mean, math.log(0.3))
    latent = Latent(mean, log_var, mean + 0.3**0.5 * torch.randn_like(mean))

    def log_normal(z, mu):
        return torch.distributions.Normal(mu, 0.3**0.5).log_prob(z)

    each = torch.stack([log_normal(z, mean) for z in latent.z])
    log_q = each.sum(2).exp().mean(1).log()
    log_q_each = each.exp().mean(1).log()
    log_p = torch.distributions.Normal(0.0, 1.0).log_prob(latent.z)
    log_conditional = log_normal(latent.z, mean).sum(1)
    information = (log_conditional - log_q).mean()
    tc = (log_q - log_q_each.sum(1)).mean()
    dimension_wise = (log_q_each - log_p).sum(1).mean()
    ours = total_correlation(latent, train_size=1)
    torch.testing.assert_close(ours, tc)
    total = (log_conditional - log_p.sum(1)).mean()
    torch.testing.assert_close(information + ours + dimension_wise, total)
    assert total.item() == pytest.approx(build(2, name="kl")(latent, None).item(), rel=0.1)


def test_beta_tc_adds_the_weighted_total_correlation():
    latent = latents()
    kl, tc = build(name="kl")(latent, None), total_correlation(latent, 1000)
    torch.testing.assert_close(build(name="beta_tc", weight=1.0)(latent, None), kl)
    torch.testing.assert_close(build(name="beta_tc", weight=5.0)(latent, None), kl + 4 * tc)


def test_total_correlation_of_a_correlated_gaussian_is_its_closed_form():
    torch.manual_seed(0)
    rho, noise = 0.8, 0.1
    chol = torch.linalg.cholesky(torch.tensor([[1, rho], [rho, 1]]).double() - noise * torch.eye(2))
    mean = torch.randn(2000, 2, dtype=torch.float64) @ chol.T
    latent = Latent(mean, torch.full_like(mean, math.log(noise)), mean + noise**0.5 * torch.randn_like(mean))
    closed = -0.5 * math.log(1 - rho**2)
    # A training set N times the batch adds (d − 1) ln N.
    assert total_correlation(latent, 1).item() == pytest.approx(closed, abs=0.1)
    shifted = total_correlation(latent, 7).item() - total_correlation(latent, 1).item()
    assert shifted == pytest.approx(math.log(7))


@pytest.mark.parametrize("name", ["beta_tc", "factor_tc"])
def test_total_correlation_needs_a_variance(name):
    regularizer = build(name=name)
    assert regularizer.needs_variance
    z = torch.zeros(4, 3)
    with pytest.raises(UserError, match=r"posterior\.name"):
        regularizer(Latent(z, None, z), None)


def test_factor_tc_is_the_kl_plus_the_weighted_logit():
    latent = latents(dtype=torch.float32)
    regularizer = build(name="factor_tc", weight=3.0, hidden=[8])
    expected = build(name="kl")(latent, None) + 3 * regularizer.adversary(latent.z).mean()
    torch.testing.assert_close(regularizer(latent, None), expected)


def test_factor_tc_discriminator_learns_the_total_correlation():
    torch.manual_seed(0)
    rho = 0.8
    regularizer = build(2, name="factor_tc", hidden=[64, 64], weight=1.0)
    optimizer = torch.optim.Adam(regularizer.adversary.parameters(), 3e-3)
    chol = torch.linalg.cholesky(torch.tensor([[1, rho], [rho, 1]]))
    for _ in range(300):
        z = torch.randn(500, 2) @ chol.T
        optimizer.zero_grad()
        regularizer.adversary_loss(Latent(z, torch.zeros_like(z), z)).backward()
        optimizer.step()
    z = torch.randn(5000, 2) @ chol.T
    estimate = regularizer.adversary(z).mean().item()
    assert estimate == pytest.approx(-0.5 * math.log(1 - rho**2), abs=0.15)


def test_permuted_dimensions_keep_marginals_and_lose_dependence():
    torch.manual_seed(0)
    column = torch.randn(5000, 1)
    z = column.repeat(1, 3)
    shuffled = permute_dims(z)
    for j in range(3):
        torch.testing.assert_close(shuffled[:, j].sort().values, z[:, j].sort().values)
    correlation = torch.corrcoef(shuffled.T)
    assert (correlation - torch.eye(3)).abs().max() < 0.06


@pytest.mark.parametrize("name", ["factor_tc", "adversarial"])
def test_adversary_gets_its_gradient_from_its_own_loss_alone(name):
    regularizer = build(name=name, hidden=[8], adversary_learning_rate=0.25)
    assert regularizer.adversary_learning_rate == 0.25
    latent = latents(dtype=torch.float32)
    latent.z.requires_grad_()
    regularizer(latent, None).backward()
    assert latent.z.grad.abs().sum() > 0
    assert all(p.grad is None for p in regularizer.adversary.parameters())
    regularizer.adversary_loss(latent.detach()).backward()
    assert all(p.grad.abs().sum() > 0 for p in regularizer.adversary.parameters())


def test_adversarial_losses_are_those_of_the_probability():
    regularizer = build(name="adversarial", hidden=[8], weight=2.0)
    latent = latents(dtype=torch.float32)
    probability = torch.sigmoid(regularizer.adversary(latent.z))
    torch.testing.assert_close(regularizer(latent, None), -2 * probability.log().mean())
    torch.manual_seed(3)
    loss = regularizer.adversary_loss(latent)
    torch.manual_seed(3)
    real = torch.sigmoid(regularizer.adversary(torch.randn_like(latent.z)))
    torch.testing.assert_close(loss, -real.log().mean() - (1 - probability).log().mean())


def test_mmd_is_the_direct_double_sum():
    torch.manual_seed(0)
    a, b = torch.randn(6, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64) + 1

    def kernel(x, y):
        return sum(c / (c + (x - y).square().sum()) for c in (0.6, 12.0))

    within_a = sum(kernel(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j) / 30
    within_b = sum(kernel(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j) / 20
    between = sum(kernel(x, y) for x in a for y in b) / 30
    torch.testing.assert_close(mmd(a, b, [0.6, 12.0]), within_a + within_b - 2 * between)
    assert build(3, name="mmd", scales=[0.1, 2.0]).constants == pytest.approx([0.6, 12.0])


def test_mmd_is_unbiased_at_the_prior_and_positive_off_it():
    torch.manual_seed(0)
    regularizer = build(4, name="mmd", weight=1.0)

    def values(scale):
        draws = (scale * torch.randn(50, 4) for _ in range(400))
        return torch.stack([regularizer(Latent(z, None, z), None) for z in draws])

    at_prior = values(1.0)
    assert abs(at_prior.mean()) < 3 * at_prior.std() / 20
    assert at_prior.min() < 0
    assert values(0.5).mean() > 10 * at_prior.std() / 20


def test_rae_l2_is_the_half_square_and_the_kernels():
    net, latent = decoder(), latents()
    kernels = sum(p.square().sum() for n, p in net.named_parameters() if n.endswith("weight"))
    expected = 0.3 * 0.5 * latent.z.square().sum(1).mean() + 0.7 * kernels
    regularizer = build(name="rae_l2", embedding=0.3, decoder=0.7)
    torch.testing.assert_close(regularizer(latent, Decoder(net)), expected)

    doubled = Decoder(net, lambda raw: 2 * raw)
    torch.testing.assert_close(regularizer(latent, doubled), expected)


def jacobian_norm(net, z):
    whole = torch.func.vmap(torch.func.jacrev(lambda one: net(one[None])[0]))(z)
    return whole.square().flatten(1).sum(1).mean()


def test_gradient_penalty_is_the_jacobians_frobenius_norm():
    net, latent = decoder(), latents(6)
    regularizer = build(name="rae_gp", embedding=0.2, gradient=0.5)
    expected = 0.1 * latent.z.square().sum(1).mean() + 0.5 * jacobian_norm(net, latent.z)
    torch.testing.assert_close(regularizer(latent, Decoder(net)), expected)
    z = latent.z.requires_grad_()
    parameters = [z, *net.parameters()]
    ours = torch.autograd.grad(regularizer(latent, Decoder(net)), parameters, allow_unused=True)
    expected = 0.1 * z.square().sum(1).mean() + 0.5 * jacobian_norm(net, z)
    theirs = torch.autograd.grad(expected, parameters, allow_unused=True)
    for mine, reference in zip(ours[:-1], theirs[:-1], strict=True):
        torch.testing.assert_close(mine, reference)


def test_hutchinson_estimate_is_unbiased():
    net, latent = decoder(), latents(6)
    torch.manual_seed(0)
    regularizer = build(name="rae_gp", embedding=0.0, gradient=1.0, estimator="hutchinson")
    values = torch.stack([regularizer(latent, Decoder(net)) for _ in range(300)])
    exact = jacobian_norm(net, latent.z)
    assert abs(values.mean() - exact) < 3 * values.std() / 300**0.5
    assert values.std() > 0


def normalized_decoder():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(3, 8),
        nn.Unflatten(1, (2, 2, 2)),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.ConvTranspose2d(2, 1, 4, stride=2, padding=1),
        nn.Sigmoid(),
    ).double()


@pytest.mark.parametrize("estimator", ["exact", "hutchinson"])
def test_gradient_penalty_under_batch_normalization_is_the_full_jacobians(estimator):
    """Image a's derivative by image b's z has a random sign of b: the squares over all b are the mean."""
    net, latent = normalized_decoder(), latents(5)
    whole = torch.autograd.functional.jacobian(net, latent.z)  # image, 1, 4, 4, image, dimension
    before = net[2].num_batches_tracked.clone()
    regularizer = build(name="rae_gp", embedding=0.0, gradient=1.0, estimator=estimator)
    torch.manual_seed(0)
    values = torch.stack([regularizer(latent, Decoder(net)).detach() for _ in range(400)])
    assert abs(values.mean() - whole.square().sum() / 5) < 3 * values.std() / 20
    own = torch.stack([whole[i, ..., i, :] for i in range(5)]).square().sum() / 5
    assert values.mean() > 0.9 * own
    assert net[2].num_batches_tracked == before
    assert net[2].track_running_stats
    regularizer(latent, Decoder(net)).backward()
    assert net[0].weight.grad.abs().sum() > 0


def test_gradient_penalty_of_a_common_shift_would_be_nothing_under_batch_normalization():
    """Why each image has a sign of its own: the normalization removes a common shift along e_j."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 16)).double()
    latent = latents(12)
    units = torch.eye(3, dtype=torch.float64)[:, None].expand(-1, 12, 3)
    exact = build(name="rae_gp", embedding=0.0, gradient=1.0)
    assert gradient_penalty(Decoder(net), latent.z, units) < 1e-20 * exact(latent, Decoder(net))
    net.eval()
    torch.testing.assert_close(exact(latent, Decoder(net)), jacobian_norm(net, latent.z))


@pytest.mark.parametrize("training", [True, False])
def test_the_published_penalty_is_the_mean_square_of_the_energys_gradient(training):
    net, latent = normalized_decoder().train(training), latents(5)
    slopes = torch.autograd.functional.jacobian(lambda z: net(z).square().flatten(1).sum(1), latent.z)
    before = net[2].running_mean.clone()
    regularizer = build(name="rae_gp", embedding=0.0, gradient=0.5, estimator="published")
    torch.manual_seed(0)
    values = torch.stack([regularizer(latent, Decoder(net)).detach() for _ in range(400)])
    expected = 0.5 * slopes.square().sum() / latent.z.numel()
    assert abs(values.mean() - expected) < 3 * values.std() / 20
    assert torch.equal(net[2].running_mean, before)


@pytest.mark.pipeline
@pytest.mark.parametrize("estimator", ["exact", "hutchinson", "published"])
def test_gradient_penalty_survives_the_engines_treatment(estimator):
    """Compiled around, counted for arithmetic, under autocast, and through a batch-normalized decoder."""
    from torch.utils.flop_counter import FlopCounterMode

    torch._dynamo.reset()
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(3, 8),
        nn.Unflatten(1, (2, 2, 2)),
        nn.ConvTranspose2d(2, 2, 3),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.ConvTranspose2d(2, 1, 3),
    )
    encoder = nn.Linear(5, 3)
    regularizer = build(name="rae_gp", gradient=1.0, estimator=estimator)
    x = torch.randn(8, 5)

    def value(x):
        z = encoder(x)
        return regularizer(Latent(z, None, z), Decoder(net))

    def gradient(function):
        torch.manual_seed(1)
        return torch.autograd.grad(function(x), encoder.weight)[0]

    with FlopCounterMode(display=False) as counter:
        expected = gradient(value)
    assert counter.get_total_flops() > 0
    torch.testing.assert_close(gradient(torch.compile(value, backend="aot_eager")), expected)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(
            gradient(value), expected, rtol=0.1, atol=0.1 * expected.abs().max().item()
        )


def test_kde_kl_is_beta_times_the_mean_log_ratio():
    latent, centres, h = latents(), latents(50, seed=1).mean, 0.5
    regularizer = build(name="kde_kl", samples=50, bandwidth=h, beta_initial=3.0)
    regularizer.refresh(centres)
    assert (regularizer.held_out, regularizer.refresh_every, regularizer.redraw_every) == (50, 10, 1)
    kernels = torch.distributions.Normal(centres.float().double(), h)
    log_q = kernels.log_prob(latent.z[:, None]).sum(2).exp().mean(1).log()
    log_p = torch.distributions.Normal(0.0, 1.0).log_prob(latent.z).sum(1)
    expected = 3 * (log_q - log_p).mean()
    torch.testing.assert_close(regularizer(latent, None), expected)
    decimal = build(name="kde_kl", samples=50, bandwidth=h, beta_initial=3.0, log_base=10)
    decimal.refresh(centres)
    torch.testing.assert_close(decimal(latent, None), expected / math.log(10))


def test_kde_kl_of_a_perfect_match_is_zero():
    torch.manual_seed(0)
    regularizer = build(2, name="kde_kl", samples=900, bandwidth=0.6, beta_initial=1.0)
    regularizer.refresh(0.8 * torch.randn(900, 2))
    z = torch.randn(4000, 2)
    assert abs(regularizer(Latent(z, None, z), None).item()) < 0.05


def test_beta_follows_the_validation_error_by_either_rule():
    residual = torch.tensor([1.0, 9.0, 25.0])
    by_rule = {"mean_norm": 3.0, "root_mean": math.sqrt(35 / 3)}
    for rule, beta in by_rule.items():
        regularizer = build(name="kde_kl", samples=5, bandwidth=0.5, beta_rule=rule)
        assert regularizer.monitor()["beta"] == pytest.approx(0.5 * 4)
        assert regularizer.starts_from_validation
        regularizer.end_epoch(residual)
        assert regularizer.monitor()["beta"] == pytest.approx(beta)
        again = build(name="kde_kl", samples=5, bandwidth=0.5, beta_initial=300.0)
        assert again.monitor()["beta"] == 300
        assert not again.starts_from_validation
        again.load_state_dict(regularizer.state_dict())
        assert again.monitor()["beta"] == pytest.approx(beta)


def test_what_a_schedule_follows_is_the_kl_without_beta():
    latent, values = latents(), []
    for beta in (0.5, 300.0):
        regularizer = build(name="kde_kl", samples=50, bandwidth=0.5, beta_initial=beta)
        regularizer.refresh(latents(50, seed=1).mean)
        values.append(regularizer.comparable(regularizer(latent, None).item()))
    assert values[0] == pytest.approx(values[1])
    assert build(name="kl", weight=4.0).comparable(7.0) == 7


def test_kde_kl_takes_the_corrected_bandwidth(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    regularizer = build(3, name="kde_kl", samples=200)
    assert regularizer.bandwidth == kde.bandwidth(3, 200)
    assert regularizer.prior_scale == pytest.approx(math.sqrt(1 - regularizer.bandwidth**2))


def test_kde_set_must_leave_images_to_train_on():
    with pytest.raises(UserError, match="leaves none of the 1,000 training images"):
        build(name="kde_kl", samples=1000)


def test_an_affine_encoder_converges_to_the_prior_narrowed_by_the_kernel():
    torch.manual_seed(0)
    h, data = 0.5, torch.randn(3000, 4)
    data = torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(data.T)), data.T, upper=False).T
    encoder = nn.Linear(4, 2)
    nn.init.constant_(encoder.bias, 0.5)
    regularizer = build(2, 3000, name="kde_kl", samples=1000, bandwidth=h, beta_initial=1.0)
    optimizer = torch.optim.Adam(encoder.parameters(), 0.03)
    covariances, means = [], []
    for step in range(300):
        order = torch.randperm(3000)
        regularizer.refresh(encoder(data[order[:1000]]).detach())
        z = encoder(data[order[1000:2000]])
        optimizer.zero_grad()
        regularizer(Latent(z, None, z), None).backward()
        optimizer.step()
        if step >= 100:
            covariances.append((encoder.weight @ encoder.weight.T).detach())
            means.append(encoder.bias.detach().clone())
    covariance = torch.stack(covariances).mean(0)
    torch.testing.assert_close(covariance, (1 - h**2) * torch.eye(2), rtol=0, atol=0.05 * (1 - h**2))
    torch.testing.assert_close(torch.stack(means).mean(0), torch.zeros(2), rtol=0, atol=0.05)


def test_epsilon_is_added_to_the_density_and_leaves_far_latents_to_the_prior():
    latent, h, quantile = latents(dim=2), 0.5, 0.99
    regularizer = build(
        2, name="kde_kl", samples=50, bandwidth=h, beta_initial=2.0, epsilon_quantile=quantile
    )
    centres = latents(50, dim=2, seed=1).mean.float()
    regularizer.refresh(centres)
    kernels = torch.exp(-(latent.z[:, None] - centres.double()).square().sum(2) / (2 * h**2)) / h**2
    # A chi-square with 2 degrees of freedom exceeds −2 ln 0.01 with probability 0.01.
    log_q = (kernels.mean(1) + 0.01 / h**2).log()
    expected = 2 * (log_q + 0.5 * latent.z.square().sum(1)).mean()
    torch.testing.assert_close(regularizer(latent, None), expected)
    far = torch.full((1, 2), 30.0, requires_grad=True)
    regularizer(Latent(far, None, far), None).backward()
    torch.testing.assert_close(far.grad, 2 * far.detach())


def scales_of_an_affine_encoder(dim: int, samples: int, epsilon_quantile: float | None) -> torch.Tensor:
    """Its latents' variance over 1 − h² after each of 300 steps on the KL alone, from N(0, (1 − h²)I)."""
    torch.manual_seed(0)
    regularizer = build(
        dim, 10 * samples, name="kde_kl", samples=samples, epsilon_quantile=epsilon_quantile, beta_initial=1.0
    )
    optimum = 1 - regularizer.bandwidth**2
    encoder = nn.Linear(dim, dim)
    nn.init.eye_(encoder.weight).data.mul_(optimum**0.5)
    nn.init.zeros_(encoder.bias)
    optimizer = torch.optim.Adam(encoder.parameters(), 3e-3)
    scales = []
    for _ in range(300):
        with torch.no_grad():
            regularizer.refresh(encoder(torch.randn(samples, dim)))
        z = encoder(torch.randn(100, dim))
        optimizer.zero_grad()
        regularizer(Latent(z, None, z), None).backward()
        optimizer.step()
        scales.append(encoder.weight.square().sum().item() / dim / optimum)
    return torch.tensor(scales)


DYNAMICS = pytest.mark.parametrize(
    ("dim", "samples", "quantile"),
    [(64, 1000, 0.99), (16, 10_000, 0.9999)],
)


@DYNAMICS
def test_an_affine_encoder_stays_at_the_optimum_with_epsilon(dim, samples, quantile):
    scales = scales_of_an_affine_encoder(dim, samples, quantile)
    assert scales.min() > 0.75
    assert scales.max() < 1.25


@DYNAMICS
def test_without_epsilon_it_leaves_the_optimum(dim, samples, quantile):
    scales = scales_of_an_affine_encoder(dim, samples, None)
    assert scales[-1] > (2 if dim > 50 else 1.4)


@BY_NAME
def test_gradient_is_that_of_finite_differences(spec):
    regularizer = build(**spec).double()
    regularizer.refresh(latents(50, seed=2).mean)
    latent, net = latents(4), decoder()

    def value(mean, log_var, z):
        torch.manual_seed(0)
        return regularizer(Latent(mean, log_var, z), Decoder(net))

    inputs = [t.clone().requires_grad_() for t in (latent.mean, latent.log_var, latent.z)]
    assert spec["name"] == "none" or torch.autograd.gradcheck(value, inputs)


@BY_NAME
@pytest.mark.parametrize("size", [0.0, 100.0])
def test_extreme_latents_stay_finite(spec, size):
    regularizer = build(16, **spec)
    mean = torch.full((8, 16), size, requires_grad=True)
    log_var = torch.full((8, 16), 20.0 if size else -30.0, requires_grad=True)
    latent = Latent(mean, log_var, mean + 0.0)
    net = decoder(16).float()
    value = regularizer(latent, Decoder(net))
    assert value.isfinite()
    if value.requires_grad:
        value.backward()
        assert mean.grad is None or mean.grad.isfinite().all()
        assert log_var.grad is None or log_var.grad.isfinite().all()
        assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())


@BY_NAME
def test_autocast_leaves_the_penalty_in_single_precision(spec):
    regularizer, net = build(**spec), decoder().float()
    latent = latents(dtype=torch.float32)
    torch.manual_seed(0)
    expected = regularizer(latent, Decoder(net))
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        value = regularizer(latent, Decoder(net))
    assert value.dtype is torch.float32
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.pipeline
@pytest.mark.parametrize("spec", SPECS, ids=lambda s: s["name"])
def test_penalty_is_one_compiled_graph(spec):
    torch._dynamo.reset()
    regularizer, net = build(**spec), decoder().float()

    def value(mean, log_var, z):
        return regularizer(Latent(mean, log_var, z), Decoder(net))

    latent = latents(dtype=torch.float32)
    inputs = [t.clone().requires_grad_() for t in (latent.mean, latent.log_var, latent.z)]
    torch.manual_seed(0)
    expected = value(*inputs)
    torch.manual_seed(0)
    compiled = torch.compile(value, backend="aot_eager", fullgraph=True)(*inputs)
    torch.testing.assert_close(compiled, expected)
    if expected.requires_grad:
        theirs = torch.autograd.grad(expected, inputs, allow_unused=True)
        ours = torch.autograd.grad(compiled, inputs, allow_unused=True)
        for mine, reference in zip(ours, theirs, strict=True):
            torch.testing.assert_close(
                torch.zeros(()) if mine is None else mine, torch.zeros(()) if reference is None else reference
            )
