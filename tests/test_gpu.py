"""On a CUDA device: a captured step is the step, a resumed training the training, a measurement the CPU's."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from vaebench.base.checkpoint import Checkpoints
from vaebench.data.preparation import prepare
from vaebench.densities.prior import Prior
from vaebench.measure.run import Run, evaluate
from vaebench.model.vae import ModelSpec
from vaebench.study.params import Training
from vaebench.training import train
from vaebench.training.encode import encode_data
from vaebench.training.loop import _plateau
from vaebench.training.step import Step

if not torch.cuda.is_available():
    pytest.skip("needs a CUDA device", allow_module_level=True)

GAUSSIAN, NONE, KL = {"name": "gaussian"}, {"name": "none"}, {"name": "kl"}
KDE = {"name": "kde_kl", "samples": 200, "bandwidth": 0.5, "epsilon_quantile": 0.9999}
METHODS = {
    "ae": ({"name": "l2"}, NONE, "deterministic"),
    "bernoulli": ({"name": "bernoulli"}, KL, "gaussian"),
    "mol": ({"name": "mol", "components": 3}, KL, "gaussian"),
    "shared": (GAUSSIAN, KL, "shared"),
    "lowrank": ({**GAUSSIAN, "variance": "mle", "shape": "lowrank"}, KL, "gaussian"),
    "wae": ({"name": "l2"}, {"name": "mmd"}, "deterministic"),
    "aae": ({"name": "l2"}, {"name": "adversarial", "hidden": [16]}, "deterministic"),
    "factor_vae": (GAUSSIAN, {"name": "factor_tc", "hidden": [16]}, "gaussian"),
    "beta_tcvae": (GAUSSIAN, {"name": "beta_tc"}, "gaussian"),
    "avae": (GAUSSIAN, KDE, "deterministic"),
    "rae_l2": ({"name": "l2"}, {"name": "rae_l2"}, "deterministic"),
    **{
        f"rae_gp_{estimator}": ({"name": "l2"}, {"name": "rae_gp", "estimator": estimator}, "deterministic")
        for estimator in ("exact", "hutchinson", "published")
    },
    **{
        f"{variance}_{shape}": ({**GAUSSIAN, "variance": variance, "shape": shape}, KL, "gaussian")
        for variance in ("trainable", "mle")
        for shape in ("iso_i", "iso_d", "diag_i", "diag_d")
    },
    "warm": ({**GAUSSIAN, "variance": "mle", "shape": "diag_d", "warmup_steps": 5}, KL, "gaussian"),
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return prepare({"name": "digits", "validation": 200}, tmp_path_factory.mktemp("data") / "digits")


@pytest.fixture(autouse=True)
def _repeatable():
    """Convolutions that add in the same order each time, so that two ways differ by what they compute."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        yield


def build(method: str, network: str = "compact"):
    torch.manual_seed(0)
    likelihood, regularizer, posterior = METHODS[method]
    return ModelSpec(
        image_shape=(1, 8, 8),
        train_size=1000,
        network={"name": network, "latent_dim": 4},
        likelihood=likelihood,
        regularizer=regularizer,
        posterior={"name": posterior},
    ).build()


def losses(model, images, captures: bool, compiled: bool = False) -> torch.Tensor:
    """The losses of 20 steps; on the way the rate falls, and β and the KDE's centres change."""
    settings = Training(epochs=1, precision="fp32", plateau={"factor": 0.01, "patience": 1})
    step = Step(model, images, settings, compiled)
    step._captures &= captures
    plateau = _plateau(step.optimizer, settings)
    regularizer, rows = model.regularizer, np.random.default_rng(0)
    torch.cuda.manual_seed(1)
    found = []
    for count in range(20):
        if regularizer.held_out and count % 5 == 0:
            z = rows.standard_normal((regularizer.held_out, model.latent_dim), dtype=np.float32)
            regularizer.refresh(torch.from_numpy(z).to(images.device))
        if count == 10:
            regularizer.end_epoch(torch.full((5,), 9.0, device=images.device))
            plateau.step(0.0)
            plateau.step(1.0)
        step.sums.zero_()
        step(torch.from_numpy(rows.integers(len(images), size=settings.batch_size)).to(images.device))
        found.append(step.sums.clone())
    return torch.stack(found).cpu()


@pytest.mark.parametrize("method", METHODS)
def test_a_captured_step_is_the_step(digits, method):
    images = torch.from_numpy(np.array(digits.split("train"))).cuda()
    model = build(method).cuda()
    twin = copy.deepcopy(model)
    expected, found = losses(model, images, captures=False), losses(twin, images, captures=True)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    for (name, one), other in zip(model.state_dict().items(), twin.state_dict().values(), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("method", ["ae", "avae"])
def test_the_device_computes_what_the_cpu_computes(digits, method):
    images = torch.from_numpy(np.array(digits.split("train")))
    model = build(method)
    twin = copy.deepcopy(model).cuda()
    expected, found = losses(model, images, captures=False), losses(twin, images.cuda(), captures=True)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("method", ["mle_iso_i", "aae", "avae"])
def test_a_compiled_step_is_the_step(digits, method):
    images = torch.from_numpy(np.array(digits.split("train"))).cuda()
    model = build(method).cuda()
    twin = copy.deepcopy(model)
    expected = losses(model, images, captures=False)
    found = losses(twin, images, captures=True, compiled=True)
    if METHODS[method][2] == "deterministic" and method != "aae":  # elsewhere compiled code draws other noise
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert found.isfinite().all()
    assert found[-1, 0] != found[0, 0]


class Killed(Exception):  # noqa: N818
    pass


class Dying(Checkpoints):
    """Saves at every step, and dies at the ``lives``-th."""

    def __init__(self, folder, lives: int):
        super().__init__(folder, "digest", seconds=1e9)
        self.lives = lives

    def due(self) -> bool:
        return True

    def save(self, state):
        self.lives -= 1
        if self.lives < 0:
            raise Killed
        return super().save(state)


@pytest.mark.parametrize(("method", "cuts"), [("shared", True), ("aae", True), ("avae", False)])
def test_a_resumed_training_is_the_training(digits, method, cuts, tmp_path):
    """Also where the learning rate is cut before the stop."""

    def fit(checkpoints):
        settings = Training(
            epochs=6,
            batch_size=200,
            precision="fp32",
            compile="never",
            plateau={"patience": 1, "factor": 0.1},
            learning_rate=1.0,
        )
        model, device = build(method, "dense"), torch.device("cuda")
        with checkpoints as kept:
            return train(
                model, digits, settings, seed=0, device=device, checkpoints=kept, say=lambda line: None
            ).history

    expected = fit(Checkpoints(tmp_path / "whole", "digest", 1e9))
    assert not cuts or expected[-1]["learning_rate"] < 1
    for lives in (7, 8):
        with pytest.raises(Killed):
            fit(Dying(tmp_path / "killed", lives))
    resumed = fit(Checkpoints(tmp_path / "killed", "digest", 1e9))
    for one, other in zip(resumed, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-3)


@pytest.mark.parametrize("method", ["mle_iso_i", "trainable_diag_d", "wae"])
def test_a_measurement_is_the_cpus(digits, method):
    model = build(method).eval()

    def measured(device: str) -> dict:
        place = torch.device(device)
        placed, prior = copy.deepcopy(model).to(place), Prior()
        latents = encode_data(placed, digits, place)
        prior.fit(latents, 0)
        run = Run(placed, digits, latents, {"prior": prior}, None, place, seed=0, samples=200)
        nll = {"name": "nll", "k": 50}
        return evaluate(run, [*({"name": n} for n in ("reconstruction", "latent", "variance")), nll])

    assert dict(flat(measured("cuda"))) == pytest.approx(dict(flat(measured("cpu"))), rel=0.05, abs=1e-3)


def flat(content: dict, path: str = ""):
    for key, value in content.items():
        yield from flat(value, f"{path}{key}.") if isinstance(value, dict) else [(path + key, value)]
