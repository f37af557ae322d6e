"""The engine: it learns, resumes to the bit, repeats itself, and survives divergence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from vaebench.base.checkpoint import Checkpoints
from vaebench.base.errors import UserError
from vaebench.data.preparation import prepare
from vaebench.model.regularizers import REGULARIZERS
from vaebench.model.regularizers.base import Regularizer
from vaebench.model.vae import ModelSpec
from vaebench.study.params import Training
from vaebench.training import are_finite, train
from vaebench.training.encode import encode_data
from vaebench.training.loop import _epoch_rows, _plateau
from vaebench.training.passes import second_moment

METHODS = {
    "vae": {"likelihood": {"name": "gaussian"}, "regularizer": {"name": "kl"}},
    "mle_iso_i": {"likelihood": {"name": "gaussian", "variance": "mle"}, "regularizer": {"name": "kl"}},
    "avae": {
        "likelihood": {"name": "l2"},
        "regularizer": {"name": "kde_kl", "samples": 200, "bandwidth": 0.5},
        "posterior": {"name": "deterministic"},
    },
    "aae": {
        "likelihood": {"name": "l2"},
        "regularizer": {"name": "adversarial", "hidden": [16]},
        "posterior": {"name": "deterministic"},
    },
    "factor_vae": {
        "likelihood": {"name": "bernoulli"},
        "regularizer": {"name": "factor_tc", "hidden": [16]},
    },
    "shared": {
        "likelihood": {"name": "gaussian", "sigma2": 0.1},
        "regularizer": {"name": "kl"},
        "posterior": {"name": "shared"},
    },
    "wae": {
        "likelihood": {"name": "l2"},
        "regularizer": {"name": "mmd"},
        "posterior": {"name": "deterministic"},
    },
}
SETTINGS = Training(epochs=3, batch_size=32, learning_rate=1e-3, plateau={"patience": 1}, compile="never")


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """437 images to train on, 13 steps per epoch."""
    return prepare({"name": "digits", "validation": 1000}, tmp_path_factory.mktemp("data") / "digits")


@pytest.fixture(scope="session")
def undisturbed(digits, tmp_path_factory):
    """The weights of the method ``vae`` after a training that nothing interrupted."""
    return fit(digits, "vae", tmp_path_factory.mktemp("undisturbed"))[0]


def fresh(data, method: str, seed: int = 0):
    torch.manual_seed(seed)
    spec = ModelSpec(
        image_shape=data.shape,
        value_range=data.value_range,
        train_size=len(data.split("train")),
        network={"name": "dense", "hidden": [64], "latent_dim": 4},
        **METHODS[method],
    )
    return spec.build()


class Killed(Exception):  # noqa: N818
    """The process died here."""


class DyingCheckpoints(Checkpoints):
    """Saves at every step, and dies after ``lives`` of them."""

    def __init__(self, folder, lives: int):
        super().__init__(folder, "digest", seconds=1e9)
        self.lives = lives

    def due(self) -> bool:
        return True

    def save(self, state) -> None:
        if self.lives == 0:
            raise Killed
        self.lives -= 1
        super().save(state)


def fit(data, method, folder, checkpoints=None, seed=0, settings=SETTINGS):
    model = fresh(data, method, seed)
    with checkpoints or Checkpoints(folder, "digest", seconds=1e9) as kept:
        outcome = train(
            model,
            data,
            settings,
            seed=seed,
            device=torch.device("cpu"),
            checkpoints=kept,
            say=lambda line: None,
        )
    return model.state_dict(), outcome


def assert_equal(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for key in one:
        assert torch.equal(one[key], other[key]), key


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_training_ends_as_one_that_was_never_killed(digits, method, tmp_path):
    expected, whole = fit(digits, method, tmp_path / "whole")
    lives = np.random.default_rng(len(method)).integers(2, 6, size=4)
    for n in lives:
        with pytest.raises(Killed):
            fit(digits, method, None, DyingCheckpoints(tmp_path / "killed", int(n)))
    resumed, outcome = fit(digits, method, tmp_path / "killed")
    assert outcome.history == whole.history
    assert_equal(resumed, expected)


def test_the_seed_decides(digits, tmp_path):
    one, first = fit(digits, "vae", tmp_path / "a", seed=1)
    again, second = fit(digits, "vae", tmp_path / "b", seed=1)
    _, third = fit(digits, "vae", tmp_path / "c", seed=2)
    assert first.history == second.history != third.history
    assert_equal(one, again)


def test_training_lowers_the_validation_error(digits, tmp_path):
    _, outcome = fit(digits, "mle_iso_i", tmp_path, settings=SETTINGS.model_copy(update={"epochs": 8}))
    errors = [row["validation_mse"] for row in outcome.history]
    assert errors[-1] < 0.7 * errors[0]


def test_the_plateau_lowers_the_learning_rate(digits, tmp_path):
    settings = Training(epochs=6, learning_rate=1e-7, plateau={"factor": 0.1, "patience": 1})
    _, outcome = fit(digits, "vae", tmp_path, settings=settings)
    assert outcome.history[-1]["learning_rate"] < 0.5e-7


@pytest.mark.parametrize(("patience", "cuts"), [(1, [2, 3, 4]), (3, [4, 7])])
def test_the_plateau_cuts_after_as_many_bad_epochs_as_its_patience(patience, cuts):
    """As Keras counts: the first epoch sets the best, the ``patience``-th one that is no better cuts."""
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    plateau = _plateau(optimizer, Training(epochs=9, plateau={"factor": 0.5, "patience": patience}))
    rates = []
    for loss in [-1000.0, *[-1000.00009] * 6]:
        plateau.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    steps = [epoch + 1 for epoch in range(1, 7) if rates[epoch] < rates[epoch - 1]]
    assert steps[: len(cuts)] == cuts
    plateau.step(-1000.001)
    assert plateau.num_bad_epochs == 0


class Reweighted(Regularizer):
    """A constant penalty under a weight that is huge in the first epoch, as AVAE's β may be."""

    def __init__(self, context):
        super().__init__(context)
        self.register_buffer("weight", torch.tensor(1e4))

    def forward(self, latent, decoder):
        return -self.weight + 0 * latent.z.sum()

    def end_epoch(self, validation_residual):
        self.weight.fill_(1.0)

    def comparable(self, value):
        return value / float(self.weight)


@pytest.mark.parametrize("comparable", [True, False])
def test_a_first_epoch_of_another_weight_does_not_cut_the_rate(digits, tmp_path, monkeypatch, comparable):
    if not comparable:
        monkeypatch.setattr(Reweighted, "comparable", Regularizer.comparable)
    monkeypatch.setitem(
        METHODS, "reweighted", {"likelihood": {"name": "l2"}, "regularizer": {"name": "reweighted"}}
    )
    settings = Training(epochs=6, learning_rate=1e-3, plateau={"patience": 2}, early_stopping=5)
    with REGULARIZERS.adding("reweighted", Reweighted):
        _, outcome = fit(digits, "reweighted", tmp_path, settings=settings)
    errors = [row["validation_mse"] for row in outcome.history]
    rates = [row["learning_rate"] for row in outcome.history]
    assert errors == sorted(errors, reverse=True)
    assert outcome.history[0]["validation_loss"] < -9000
    assert (min(rates) == rates[0]) == comparable


def test_early_stopping_keeps_the_best_weights(digits, tmp_path):
    settings = Training(epochs=50, learning_rate=0.3, early_stopping=2)
    state, outcome = fit(digits, "vae", tmp_path / "stopped", settings=settings)
    losses = [row["validation_loss"] for row in outcome.history]
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 50
    shorter = settings.model_copy(update={"epochs": best + 1})
    assert_equal(state, fit(digits, "vae", tmp_path / "shorter", settings=shorter)[0])


def test_a_divergence_is_reported_and_leaves_finite_weights(digits, tmp_path):
    model = fresh(digits, "mle_iso_i")
    with torch.no_grad():
        next(model.decoder.parameters()).fill_(float("nan"))
    with Checkpoints(tmp_path, "digest", 1e9) as kept:
        outcome = train(
            model,
            digits,
            SETTINGS,
            seed=0,
            device=torch.device("cpu"),
            checkpoints=kept,
            say=lambda line: None,
        )
    assert outcome.diverged_at_epoch == 1
    assert outcome.history == []


def test_a_last_step_that_overflows_the_weights_is_a_divergence_too(tmp_path):
    """Without a validation set, no loss after it tells."""
    data = prepare({"name": "digits"}, tmp_path / "digits")
    settings = Training(epochs=1, batch_size=len(data.split("train")), learning_rate=1e39)
    weights, outcome = fit(data, "vae", tmp_path, settings=settings)
    assert outcome.diverged_at_epoch == 1
    assert_equal(weights, fresh(data, "vae").state_dict())


def test_codes_that_overflow_are_seen_and_an_absent_prior_is_no_overflow():
    latents = {"train_mean": np.ones((3, 2), np.float32), "prior_scale": np.float32("nan")}
    assert are_finite(latents)
    assert not are_finite(latents | {"test_std": np.array([[1.0, np.inf]], np.float32)})


def test_the_kde_set_and_the_batches_share_no_image(digits):
    regularizer = fresh(digits, "avae").regularizer
    held_out, rows = _epoch_rows(1000, regularizer, seed=0, epoch=4)
    assert len(held_out) == 200
    assert sorted([*held_out.tolist(), *rows.tolist()]) == list(range(1000))
    assert not torch.equal(rows, _epoch_rows(1000, regularizer, seed=0, epoch=5)[1])


def test_every_step_tells_how_many_epochs_are_done(digits):
    done = []
    train(
        fresh(digits, "vae"),
        digits,
        SETTINGS.model_copy(update={"epochs": 2}),
        seed=0,
        device=torch.device("cpu"),
        on_step=done.append,
    )
    assert done == pytest.approx([step / 13 for step in range(1, 27)])


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGXCPU"])
def test_a_signal_saves_then_stops_and_the_next_run_goes_on(digits, undisturbed, tmp_path, name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    model, lines = fresh(digits, "vae"), []

    def interrupt(history: list[dict]) -> None:
        if history[-1]["epoch"] == 2:
            os.kill(os.getpid(), number)

    with Checkpoints(tmp_path / "stopped", "digest", 1e9) as kept, pytest.raises(SystemExit):
        train(
            model, digits, SETTINGS, seed=0, device=torch.device("cpu"), checkpoints=kept, on_epoch=interrupt
        )
    model = fresh(digits, "vae")
    with Checkpoints(tmp_path / "stopped", "digest", 1e9) as kept:
        train(model, digits, SETTINGS, seed=0, device=torch.device("cpu"), checkpoints=kept, say=lines.append)
    assert any("going on from epoch 3" in line for line in lines)
    assert_equal(model.state_dict(), undisturbed)
    assert signal.getsignal(number) == before


def test_a_signal_that_is_ignored_stays_so(digits, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        model = fresh(digits, "vae")
        with Checkpoints(tmp_path / "whole", "digest", 1e9) as kept:
            outcome = train(
                model, digits, SETTINGS, seed=0, device=torch.device("cpu"), checkpoints=kept,
                on_epoch=lambda row: os.kill(os.getpid(), signal.SIGHUP),
            )  # fmt: skip
    finally:
        signal.signal(signal.SIGHUP, before)
    assert len(outcome.history) == SETTINGS.epochs


@pytest.mark.parametrize("damage", ["torn", "one bit", "other digest", "garbage"])
def test_a_checkpoint_that_cannot_be_used_is_skipped_with_a_line(digits, undisturbed, tmp_path, damage):
    with pytest.raises(Killed):
        fit(digits, "vae", None, DyingCheckpoints(tmp_path / "killed", 5))
    path = tmp_path / "killed/checkpoint.pt"
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:-2000])
    elif damage == "one bit":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "garbage":
        path.write_bytes(b"not a checkpoint")
    lines = []
    with Checkpoints(tmp_path / "killed", "other" if damage == "other digest" else "digest", 1e9) as kept:
        model = fresh(digits, "vae")
        train(model, digits, SETTINGS, seed=0, device=torch.device("cpu"), checkpoints=kept, say=lines.append)
    assert "starting from the beginning" in lines[0] or "starting from the beginning" in lines[1]
    assert_equal(model.state_dict(), undisturbed)


def test_a_second_training_into_the_same_folder_is_refused(tmp_path):
    with (
        Checkpoints(tmp_path, "digest", 60),
        pytest.raises(UserError, match=f"process {os.getpid()}"),
        Checkpoints(tmp_path, "digest", 60),
    ):
        pass


def test_a_kde_set_as_large_as_the_data_is_refused(digits, tmp_path):
    METHODS["too_large"] = METHODS["avae"] | {
        "regularizer": {"name": "kde_kl", "samples": 430, "bandwidth": 0.5}
    }
    try:
        with pytest.raises(UserError, match="fewer than training"):
            fit(digits, "too_large", tmp_path)
    finally:
        del METHODS["too_large"]


@pytest.mark.pipeline
def test_compiled_and_eager_steps_learn_the_same(digits, tmp_path):
    runs = {}
    for choice in ("always", "never"):
        settings = SETTINGS.model_copy(update={"compile": choice, "epochs": 2})
        runs[choice] = fit(digits, "vae", tmp_path / choice, settings=settings)[1].history[-1]["loss"]
    assert runs["always"] == pytest.approx(runs["never"], rel=0.05)


def test_numbers_below_a_floats_normal_range_are_zero_on_every_thread():
    code = (
        "import torch; from vaebench.cpu.processor import flush_subnormal; flush_subnormal();"
        "print(int((torch.full((1 << 22,), 1e-30) * 1e-10).count_nonzero()))"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert int(out.stdout) == 0


def test_a_trained_posterior_variance_is_in_the_history(digits, tmp_path):
    """And moves no faster than Adam moves its logarithm, by the learning rate per step."""
    weights, outcome = fit(digits, "shared", tmp_path)
    values = np.array([1.0, *(row["sigma_z2"] for row in outcome.history)])
    steps = (len(digits.split("train")) // SETTINGS.batch_size) * SETTINGS.learning_rate
    moved = np.abs(np.diff(np.log(values)))
    assert (moved > 0).all()
    assert (moved < 1.1 * steps).all()
    assert values[-1] == pytest.approx(weights["posterior.log_sigma2"].exp().item())


def test_latents_and_the_kept_variance_are_computed_without_shortcuts(digits, monkeypatch):
    model = fresh(digits, "mle_iso_i")
    encode, seen = model.encode, []

    def watched(x):
        seen.append(torch.backends.cudnn.allow_tf32)
        return encode(x)

    monkeypatch.setattr(model, "encode", watched)
    encode_data(model, digits, torch.device("cpu"))
    second_moment(model, torch.from_numpy(digits.split("train")[:10].copy()))
    assert seen
    assert not any(seen)
