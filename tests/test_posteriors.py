import math

import pytest
import torch

from vaebench.base.errors import UserError
from vaebench.model.posteriors import POSTERIORS
from vaebench.model.posteriors.base import Latent


def build(latent_dim=3, **spec):
    return POSTERIORS.build(spec, latent_dim)


def test_gaussian_draws_have_the_encoded_mean_and_variance():
    torch.manual_seed(0)
    mean, log_var = torch.tensor([1.0, -2.0]), torch.tensor([0.5, -1.5])
    posterior = build(2, name="gaussian")
    assert posterior.features == 4
    latent = posterior(torch.cat([mean, log_var]).expand(100_000, 4))
    torch.testing.assert_close(latent.mean[0], mean)
    torch.testing.assert_close(latent.log_var[0], log_var)
    torch.testing.assert_close(latent.z.mean(0), mean, atol=0.02, rtol=0)
    torch.testing.assert_close(latent.z.var(0).log(), log_var, atol=0.02, rtol=0)


def test_gaussian_gradient_reaches_mean_and_log_variance():
    h = torch.tensor([[0.3, 0.7]], dtype=torch.float64, requires_grad=True)
    torch.manual_seed(1)
    latent = build(1, name="gaussian")(h)
    noise = ((latent.z - latent.mean) / (0.5 * latent.log_var).exp()).item()
    latent.z.sum().backward()
    expected = torch.tensor([[1.0, 0.5 * noise * math.exp(0.35)]], dtype=torch.float64)
    torch.testing.assert_close(h.grad, expected)


@pytest.mark.parametrize("size", [1e4, -1e4, 1e30, -1e30])
def test_gaussian_variance_is_finite_for_extreme_features(size):
    latent = build(2, name="gaussian")(torch.tensor([[0.0, 0.0, size, size]]))
    assert latent.z.isfinite().all()
    assert latent.log_var.exp().isfinite().all()
    assert (latent.log_var.exp() > 0).all()


def test_shared_variance_is_one_number_for_all():
    torch.manual_seed(0)
    posterior = build(3, name="shared", sigma2=0.04)
    assert posterior.features == 3
    assert not list(posterior.parameters())
    latent = posterior(torch.zeros(50_000, 3))
    torch.testing.assert_close(latent.log_var.exp(), torch.full((50_000, 3), 0.04))
    assert latent.z.std().item() == pytest.approx(0.2, rel=0.02)


def test_shared_variance_is_trained_where_it_is_not_given():
    posterior = build(3, name="shared")
    (parameter,) = posterior.parameters()
    assert parameter.exp().item() == 1.0
    posterior(torch.zeros(5, 3)).log_var.sum().backward()
    assert parameter.grad.item() == 15.0
    assert posterior.monitor() == {"sigma_z2": 1.0}
    assert build(3, name="shared", sigma2=0.1).monitor() == {}


def test_deterministic_latent_is_its_mean():
    posterior = build(4, name="deterministic")
    h = torch.randn(2, 4)
    latent = posterior(h)
    assert (posterior.features, posterior.stochastic, latent.log_var) == (4, False, None)
    torch.testing.assert_close(latent.z, h, rtol=0, atol=0)


def test_half_precision_features_become_single():
    for name in POSTERIORS.names():
        posterior = build(2, name=name)
        latent = posterior(torch.zeros(3, posterior.features, dtype=torch.bfloat16))
        assert latent.z.dtype is torch.float32


def test_detached_latent_has_no_history():
    h = torch.zeros(2, 3, requires_grad=True)
    latent = Latent(h * 1, None, h * 2).detach()
    assert not latent.z.requires_grad
    assert latent.log_var is None


def test_negative_variance_is_refused():
    with pytest.raises(UserError, match="sigma2"):
        build(2, name="shared", sigma2=-1.0)
