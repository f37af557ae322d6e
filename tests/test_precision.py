"""``precision: auto``: what decides, and what is kept."""

from __future__ import annotations

import json

import pytest
import torch
from test_step import build, digits, images  # noqa: F401

from vaebench.base.checkpoint import Checkpoints
from vaebench.study.params import Training
from vaebench.training import precision, train
from vaebench.training.precision import Precision, choose_precision

AUTO = Training(epochs=3, precision="auto", compile="never", checkpoint_seconds=1e9)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def clock(monkeypatch, fp32: float, bf16: float) -> None:
    """Steps take what is said instead of being taken."""

    def seconds(step, rows):
        return bf16 if step.settings.precision == "bf16" else fp32

    monkeypatch.setattr(precision, "_seconds", seconds)


@pytest.mark.parametrize(
    ("fp32", "bf16", "expected"), [(1.7, 1.0, "bf16"), (1.1, 1.0, "fp32"), (1.0, 1.3, "fp32")]
)
def test_bf16_where_it_is_clearly_faster(monkeypatch, fp32, bf16, expected):
    clock(monkeypatch, fp32, bf16)
    said: list[str] = []
    chosen = choose_precision(build("vae"), images(), AUTO, said.append)
    assert chosen == Precision(expected, round(fp32 / bf16, 3))
    assert f"auto is {expected}" in said[0]


def test_a_named_precision_is_not_measured(monkeypatch, folder):
    monkeypatch.setattr(precision, "_speedup", None)
    for name in ("bf16", "fp32"):
        settings = AUTO.model_copy(update={"precision": name})
        assert choose_precision(build("vae"), images(), settings, print) == Precision(name)
    assert not (folder / ".vaebench").exists()


def test_it_is_measured_once_per_model_and_damage_measures_again(monkeypatch, folder):
    clock(monkeypatch, 2.0, 1.0)
    choose_precision(build("vae"), images(), AUTO, print)
    clock(monkeypatch, 1.0, 1.0)
    said: list[str] = []
    assert choose_precision(build("vae"), images(), AUTO, said.append).precision == "bf16"
    assert "measured before" in said[0]
    assert choose_precision(build("rae_l2"), images(), AUTO, print).precision == "fp32"
    path = folder / ".vaebench/precision.json"
    path.write_text(json.dumps(dict.fromkeys(json.loads(path.read_text()), "fast")))
    assert choose_precision(build("vae"), images(), AUTO, print).precision == "fp32"


@pytest.mark.parametrize("method", ["warm", "aae", "avae"])
def test_measuring_leaves_model_and_random_numbers(method):
    model, before, state = build(method), build(method).state_dict(), torch.get_rng_state()
    threads = torch.get_num_threads()
    choose_precision(model, images(), AUTO, lambda _: None)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


def test_a_resumed_training_keeps_its_precision(digits, monkeypatch, folder):  # noqa: F811
    def run(name: str, stop_after: int = 99):
        def stop(rows):
            if len(rows) == stop_after:
                raise KeyboardInterrupt

        settings = AUTO.model_copy(update={"checkpoint_seconds": 1e-9})
        with Checkpoints(folder / name, "digest", seconds=1e-9) as kept:
            return train(
                build("vae"), digits, settings, seed=0, device=torch.device("cpu"), checkpoints=kept,
                on_epoch=stop, say=lambda _: None,
            )  # fmt: skip

    clock(monkeypatch, 2.0, 1.0)
    expected = run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("stopped", stop_after=2)
    (folder / ".vaebench/precision.json").unlink()
    clock(monkeypatch, 1.0, 2.0)
    resumed = run("stopped")
    assert resumed.precision == expected.precision == Precision("bf16", 2.0)
    assert resumed.history == expected.history
