"""Densities: what they recover from latents of known distribution, and what becomes of their files."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from vaebench.base.checkpoint import Checkpoints
from vaebench.base.errors import UserError
from vaebench.densities import DENSITIES
from vaebench.densities.base import NoDensity
from vaebench.densities.store import load_density, save_absent

SPECS = {
    "prior": {"name": "prior"},
    "gaussian": {"name": "gaussian"},
    "gmm": {"name": "gmm", "components": 3},
    "second_stage": {"name": "second_stage", "epochs": 2, "hidden": 16},
}


def latents(mean, std=None, prior_scale=1.0):
    arrays = {"train_mean": np.asarray(mean, dtype=np.float32), "prior_scale": prior_scale}
    return arrays if std is None else {**arrays, "train_std": np.asarray(std, dtype=np.float32)}


def fitted(spec, arrays, seed=0):
    density = DENSITIES.build(spec)
    density.fit(arrays, seed)
    return density


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the toy networks are too small to share
    yield
    torch.set_num_threads(threads)


def toy_latents():
    rng = np.random.default_rng(5)
    return latents(rng.normal(size=(200, 4)), np.full((200, 4), 0.1))


@pytest.fixture
def toy():
    return toy_latents()


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    for name, spec in SPECS.items():
        fitted(spec, toy_latents()).save(folder / name)
    return folder


@pytest.fixture
def saved(originals, tmp_path):
    """The folder of a density fitted to the toy latents, free to be damaged."""
    return lambda name: Path(shutil.copytree(originals / name, tmp_path / name))


def test_importing_the_package_imports_neither_torch_nor_sklearn():
    code = (
        "import sys, vaebench.densities as d; [d.DENSITIES.load(n) for n in d.DENSITIES.names()]; "
        "sys.exit(bool({'torch', 'sklearn'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", SPECS)
def test_samples_survive_saving_and_depend_on_the_generator_alone(name, toy, tmp_path):
    density = fitted(SPECS[name], toy)
    density.save(tmp_path)
    samples = density.sample(50, np.random.default_rng(1))
    assert samples.shape == (50, 4)
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(load_density(tmp_path).sample(50, np.random.default_rng(1)), samples)
    assert not np.array_equal(density.sample(50, np.random.default_rng(2)), samples)


@pytest.mark.parametrize("name", SPECS)
def test_a_repeated_fit_writes_the_same_bytes_and_leaves_global_randomness_alone(name, toy, tmp_path):
    import torch

    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    for run in ("a", "b"):
        fitted(SPECS[name], toy, seed=3).save(tmp_path / run)
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / run).iterdir()} for run in ("a", "b"))
    assert first == second
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


@pytest.mark.parametrize("name", ["gmm", "second_stage"])
def test_the_seed_matters_to_what_is_drawn(name, toy):
    first, second = (fitted(SPECS[name], toy, seed).sample(5, np.random.default_rng(0)) for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_prior_has_the_scale_of_the_method():
    samples = fitted(SPECS["prior"], latents(np.zeros((5, 3)), prior_scale=0.6)).sample(
        20_000, np.random.default_rng(0)
    )
    np.testing.assert_allclose(np.cov(samples.T), 0.36 * np.eye(3), atol=0.02)
    np.testing.assert_allclose(samples.mean(axis=0), 0, atol=0.02)


def test_a_method_without_a_prior_says_so_and_loads_as_none(tmp_path):
    with pytest.raises(NoDensity) as reason:
        fitted(SPECS["prior"], latents(np.zeros((5, 3)), prior_scale=np.nan))
    save_absent(tmp_path, "prior", str(reason.value))
    assert load_density(tmp_path) is None
    assert json.loads((tmp_path / "density.json").read_text()) == {
        "name": "prior",
        "absent": str(reason.value),
    }


def test_gaussian_has_the_moments_of_the_posterior_means():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(3, 3))
    means = (rng.normal(size=(500, 3)) @ mixing + [10, -3, 0.5]).astype(np.float32)
    density = fitted(SPECS["gaussian"], latents(means, std=np.full((500, 3), 9.0)))
    samples = density.sample(200_000, np.random.default_rng(1))
    covariance = np.cov(means.T, bias=True)
    np.testing.assert_allclose(samples.mean(axis=0), means.mean(axis=0), atol=0.03)
    np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.015 * np.abs(covariance).max())


def test_gaussian_keeps_a_collapsed_dimension_and_a_linear_dependence():
    first = np.random.default_rng(0).normal(size=300)
    means = np.stack([first, -2 * first, np.full(300, 4.0)], axis=1)
    samples = fitted(SPECS["gaussian"], latents(means)).sample(1000, np.random.default_rng(1))
    np.testing.assert_allclose(samples[:, 1], -2 * samples[:, 0], atol=1e-5)
    np.testing.assert_allclose(samples[:, 2], 4, atol=1e-6)
    assert 0.9 < samples[:, 0].std() < 1.1


WEIGHTS = np.array([0.5, 0.3, 0.2])
MEANS = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])
COVARIANCES = np.array([[[1, 0.8], [0.8, 1]], [[0.3, 0], [0, 2]], [[0.5, -0.3], [-0.3, 0.5]]])


def mixture_samples(n, seed):
    rng = np.random.default_rng(seed)
    component = rng.choice(3, size=n, p=WEIGHTS)
    return np.stack([rng.multivariate_normal(MEANS[k], COVARIANCES[k]) for k in component])


def log_likelihood(z, weights, means, covariances):
    parts = zip(weights, means, covariances, strict=True)
    return logsumexp([np.log(w) + multivariate_normal(m, c).logpdf(z) for w, m, c in parts], axis=0).mean()


@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e3])
def test_gmm_recovers_a_mixture_at_any_scale_of_the_latents(scale, tmp_path):
    density = fitted(SPECS["gmm"], latents(scale * mixture_samples(2000, seed=0)))
    density.save(tmp_path)
    with np.load(tmp_path / "arrays.npz") as arrays:
        weights, means, factors = arrays["weights"], arrays["means"] / scale, arrays["factors"] / scale
    held_out = mixture_samples(2000, seed=1)
    truth = log_likelihood(held_out, WEIGHTS, MEANS, COVARIANCES)
    estimate = log_likelihood(held_out, weights, means, factors @ factors.swapaxes(1, 2))
    assert truth - 0.02 < estimate < truth + 0.005
    samples = density.sample(2000, np.random.default_rng(2)) / scale
    assert abs(log_likelihood(samples, WEIGHTS, MEANS, COVARIANCES) - truth) < 0.1
    assert abs(np.mean(samples[:, 0] > 3) - 0.3) < 0.04


def test_gmm_has_the_likelihood_of_sklearns(tmp_path):
    from sklearn.mixture import GaussianMixture

    z = mixture_samples(500, seed=0).astype(np.float32)
    fitted({"name": "gmm", "components": 4}, latents(z), seed=7).save(tmp_path)
    theirs = GaussianMixture(4, max_iter=2000, random_state=7).fit(z.astype(np.float64))
    with np.load(tmp_path / "arrays.npz") as arrays:
        ours = log_likelihood(
            z, arrays["weights"], arrays["means"], arrays["factors"] @ arrays["factors"].swapaxes(1, 2)
        )
    record = json.loads((tmp_path / "density.json").read_text())
    assert ours == pytest.approx(theirs.score(z), abs=1e-4)
    assert record["fitted"]["converged"] is True
    assert record["fitted"]["log_likelihood"] == pytest.approx(theirs.lower_bound_, abs=1e-4)


def test_gmm_samples_its_components_in_random_order():
    density = fitted({"name": "gmm", "components": 2}, latents(np.repeat([[-9.0], [9.0]], 50, axis=0)))
    side = density.sample(200, np.random.default_rng(0))[:, 0] > 0
    assert np.abs(np.diff(side.astype(int))).sum() > 60


def test_gmm_of_fully_collapsed_latents_samples_the_point():
    samples = fitted(SPECS["gmm"], latents(np.full((40, 2), 0.25))).sample(10, np.random.default_rng(0))
    np.testing.assert_allclose(samples, 0.25, atol=0.01)


def test_gmm_that_does_not_converge_is_kept_and_recorded(toy, tmp_path, monkeypatch):
    from sklearn.mixture import GaussianMixture

    fit = GaussianMixture.fit
    monkeypatch.setattr(GaussianMixture, "fit", lambda self, z: fit(self.set_params(max_iter=1, tol=0.0), z))
    density = fitted(SPECS["gmm"], toy)
    density.save(tmp_path)
    assert json.loads((tmp_path / "density.json").read_text())["fitted"]["converged"] is False
    assert np.isfinite(load_density(tmp_path).sample(5, np.random.default_rng(0))).all()


TRAINED = {"name": "second_stage", "epochs": 120, "batch_size": 512, "learning_rate": 1e-2, "hidden": 32}


@pytest.mark.pipeline
def test_second_stage_recovers_a_shifted_and_scaled_gaussian():
    rng = np.random.default_rng(0)
    correlated = rng.normal(size=(2048, 2)) @ np.array([[0.8, 0.5], [0.0, 0.4]]) + [1.5, -1.0]
    density = fitted(TRAINED, latents(correlated))
    samples = density.sample(20_000, np.random.default_rng(1))
    np.testing.assert_allclose(samples.mean(axis=0), correlated.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(samples.T), np.cov(correlated.T), atol=0.05)


def test_second_stage_trains_on_samples_of_the_posterior_not_on_its_means():
    arrays = latents(np.zeros((1024, 2)), std=np.full((1024, 2), [2.0, 0.5]))
    samples = fitted(TRAINED, arrays).sample(20_000, np.random.default_rng(1))
    np.testing.assert_allclose(samples.std(axis=0), [2.0, 0.5], rtol=0.15)


def test_second_stages_loss_is_the_negative_elbo():
    import torch

    from vaebench.densities.latent_vae import LatentVAE

    vae = LatentVAE(2, 8)
    with torch.no_grad():
        for half in (vae.encoder, vae.decoder):
            half.head.weight.zero_()
        vae.encoder.head.bias.copy_(torch.tensor([0.5, -1.0, 0.2, -0.3]))
        vae.decoder.head.bias.copy_(torch.tensor([0.1, 0.4]))
        vae.log_gamma.fill_(-0.7)
    z = torch.randn(5, 2)
    q = torch.distributions.Normal(torch.tensor([0.5, -1.0]), torch.tensor([0.2, -0.3]).exp())
    kl = torch.distributions.kl_divergence(q, torch.distributions.Normal(0.0, 1.0)).sum()
    p = torch.distributions.Normal(torch.tensor([0.1, 0.4]), np.exp(-0.7))
    torch.testing.assert_close(vae.loss(z, torch.Generator()), kl - p.log_prob(z).sum(dim=1).mean())


def test_second_stages_networks_are_those_of_the_paper():
    from vaebench.densities.latent_vae import LatentVAE

    shapes = {name: tuple(p.shape) for name, p in LatentVAE(16, 1024).named_parameters() if p.ndim == 2}
    trunk = [(1024, 16), (1024, 1024), (1024, 1024)]
    assert list(shapes.values()) == [*trunk, (32, 16 + 1024), *trunk, (16, 16 + 1024)]


def test_second_stage_halves_its_learning_rate_where_the_authors_do(monkeypatch):
    import torch

    rates = []
    step = torch.optim.Adam.step

    def recorded(self, *args):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args)

    monkeypatch.setattr(torch.optim.Adam, "step", recorded)
    spec = {"name": "second_stage", "epochs": 8, "batch_size": 64, "learning_rate": 1e-3, "hidden": 4}
    fitted(spec, latents(np.zeros((64, 1))))
    assert rates == [1e-3] * 3 + [5e-4] * 3 + [2.5e-4] * 2


def test_second_stage_records_its_last_loss_and_gamma(saved):
    record = json.loads((saved("second_stage") / "density.json").read_text())
    assert record["options"] == {"epochs": 2, "batch_size": 64, "learning_rate": 1e-4, "hidden": 16}
    assert 4 < record["fitted"]["loss"] < 10  # 4 dimensions of about 1.42 nats each, plus the KL of the start
    assert 0.9 < record["fitted"]["gamma"] < 1.1


def test_a_diverging_second_stage_says_so():
    spec = {"name": "second_stage", "epochs": 3, "hidden": 8, "learning_rate": 1e3}
    with pytest.raises(NoDensity, match="diverged in epoch"):
        fitted(spec, latents(np.random.default_rng(0).normal(size=(256, 2))))


@pytest.mark.parametrize("name", SPECS)
def test_latents_that_are_not_finite_are_refused(name, toy):
    toy["train_mean"][3, 1] = np.nan
    with pytest.raises(UserError, match="train_mean holds values that are not finite"):
        fitted(SPECS[name], toy)


def test_stds_of_another_shape_are_refused(toy):
    with pytest.raises(UserError, match=r"train_std has shape \(200, 3\)"):
        fitted(SPECS["second_stage"], {**toy, "train_std": toy["train_std"][:, :3]})


def test_more_components_than_latents_are_refused(toy):
    with pytest.raises(UserError, match="201 components needs as many latents, but the training set has 200"):
        fitted({"name": "gmm", "components": 201}, toy)


def test_options_are_checked():
    with pytest.raises(UserError, match=r"density\.components"):
        DENSITIES.build({"name": "gmm", "components": 0})
    with pytest.raises(UserError, match=r"density\.depth is unknown"):
        DENSITIES.build({"name": "second_stage", "depth": 3})


DATA_FILE = {"gaussian": "arrays.npz", "gmm": "arrays.npz", "second_stage": "second_stage.safetensors"}


@pytest.mark.parametrize("name", DATA_FILE)
@pytest.mark.parametrize("how", ["missing", "empty", "truncated", "garbage", "flipped"])
def test_a_damaged_data_file_is_named(name, how, saved):
    path = saved(name) / DATA_FILE[name]
    content = bytearray(path.read_bytes())
    if how == "flipped":
        # in an array's values, which the archive's checksum covers, or in safetensors' header
        content[20 if name == "second_stage" else content.index(b"\x93NUMPY") + 131] ^= 0xFF
    path.write_bytes(
        {"empty": b"", "truncated": content[: len(content) // 2], "garbage": b"\x93" * 400}.get(how, content)
    )
    if how == "missing":
        path.unlink()
    with pytest.raises(UserError, match=path.name):
        load_density(path.parent)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


@pytest.mark.parametrize("wrapped", [True, False])
def test_pickles_are_refused_and_not_executed(wrapped, saved):
    path = saved("gmm") / "arrays.npz"
    if wrapped:
        np.savez(path, weights=np.array([Bomb()], dtype=object), means=np.eye(3), factors=np.ones((3, 3, 3)))
    else:
        path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(UserError, match=r"arrays\.npz is damaged"):
        load_density(path.parent)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"weights": np.full(3, 1 / 3), "means": np.eye(3)}, "factors is not a file"),
        ({"weights": np.full(2, 1 / 2)}, "shapes"),
        ({"weights": np.full(3, 1 / 2)}, "probabilities"),
        ({"factors": np.ones((3, 4, 5))}, "shapes"),
        ({"means": np.zeros((3, 4), dtype=np.float32)}, "float64"),
        ({"means": np.full((3, 4), np.nan)}, "not finite"),
    ],
)
def test_inconsistent_arrays_are_refused(arrays, message, saved):
    path = saved("gmm") / "arrays.npz"
    with np.load(path) as archive:
        whole = dict(archive)
    whole = arrays if "is not a file" in message else {**whole, **arrays}
    np.savez(path, **whole)
    with pytest.raises(UserError, match=message):
        load_density(path.parent)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record.pop("name"), "names no density"),
        (lambda record: record.update(name="mixture"), "name is unknown; allowed here: prior, gaussian"),
        (lambda record: record.pop("options"), "must be mappings"),
        (lambda record: record["options"].update(components=2), "do not agree with 'components'"),
        (lambda record: record["options"].update(tolerance=1), "tolerance is unknown"),
    ],
)
def test_an_inconsistent_record_is_refused(change, message, saved):
    path = saved("gmm") / "density.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match=message) as error:
        load_density(path.parent)
    assert str(path.parent) in str(error.value)


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{", b"\xff\xfe"])
def test_a_missing_or_unreadable_record_is_named(content, tmp_path):
    if content is not None:
        (tmp_path / "density.json").write_bytes(content)
    with pytest.raises(UserError, match=r"density\.json"):
        load_density(tmp_path)


@pytest.mark.parametrize(("name", "key"), [("prior", "scale"), ("second_stage", "latent_dim")])
@pytest.mark.parametrize("value", [None, "four"])
def test_a_record_with_a_wrong_fitted_value_is_named(name, key, value, saved):
    path = saved(name) / "density.json"
    record = json.loads(path.read_text())
    record["fitted"].pop(key) if value is None else record["fitted"].update({key: value})
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match=rf"{name} is damaged: .*{key if value is None else ''}"):
        load_density(path.parent)


def test_arrays_are_stored_without_a_time_stamp(saved):
    with zipfile.ZipFile(saved("gaussian") / "arrays.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_an_interrupted_second_stage_goes_on_to_the_same_weights(tmp_path, toy):
    def fit(name: str, stop_after: int | None = None) -> bytes:
        def progress(rows):
            seen.append(rows[-1]["epoch"])
            if rows[-1]["epoch"] == stop_after:
                os.kill(os.getpid(), signal.SIGTERM)

        density = DENSITIES.build(SPECS["second_stage"] | {"epochs": 6})
        with Checkpoints(tmp_path / "checkpoint", "digest", 1e9) as checkpoints:
            density.fit(toy, 0, checkpoints=checkpoints, progress=progress)
        density.save(tmp_path / name)
        return (tmp_path / name / "second_stage.safetensors").read_bytes()

    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    seen: list[int] = []
    whole = fit("whole")
    with pytest.raises(SystemExit, match="after epoch 4; run again"):
        fit("stopped", stop_after=4)  # past the first halving of the learning rate
    assert fit("stopped") == whole
    assert seen == [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6]
