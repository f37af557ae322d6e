"""Training processes that are killed at random moments end, after all, in the bits of one that was not."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
import pytest
from support.scratch import CELL, QUICKSTART, Kill, item, leftovers, results, start, train

from vaebench.densities.saved import load_latents
from vaebench.model.vae import load_model

METHODS = ["avae", "mle_diag_d"]
KILLS, MORE_KILLS = 5, 10
"""Of each method, in CI and of all methods in `make nightly`."""


def assert_whole(folder: Path, method: str) -> None:
    """Whatever a kill leaves, a model is there with all its files or not at all."""
    model = folder / f"data/models/{CELL}/{method}/0"
    if model.exists():
        load_model(model)
        load_latents(model / "latents.npz")


def train_with_kills(stages, folder: Path, method: str, kills: int, rng, within: float) -> int:
    """Kill a training ``kills`` times, then let it end.

    Every second time the clock starts with the process, every other with the first checkpoint it writes. A
    training that ends before it is killed begins again, and its time is then the measure of ``within``: the
    machine serves fewer others than it did.

    Returns:
        How many of the processes went on from a checkpoint.
    """
    went_on = 0
    checkpoint = folder / f".vaebench/checkpoints/{CELL}/{method}/0/checkpoint.pt"
    while True:
        kill = Kill(rng.uniform(0, within), checkpoint if kills % 2 else None) if kills else None
        began = time.monotonic()
        status, said = stages.run(folder, "train", *item(method), kill=kill)
        went_on += "going on from epoch" in said
        assert_whole(folder, method)
        assert status in (0, -signal.SIGKILL), said
        if status == 0 and not kills:
            return went_on
        if status == 0:
            within = (time.monotonic() - began) / 2
        kills -= status != 0


def check_kills(stages, tiny, method: str, kills: int, seed: int, **training) -> int:
    """Compare a training that was killed with one that was not; returns how often it went on."""
    settings = {"checkpoint_seconds": 0.02, **training}
    whole, killed = tiny(f"whole{seed}", method, **settings), tiny(f"killed{seed}", method, **settings)
    began = time.monotonic()
    train(stages, whole, method)
    within = (time.monotonic() - began) / 2
    went_on = train_with_kills(stages, killed, method, kills, np.random.default_rng([seed, kills]), within)
    expected = results(whole, method)
    assert expected.keys() == {"model", "spec", "latents", "history"}
    assert results(killed, method) == expected
    assert not (killed / f".vaebench/checkpoints/{CELL}/{method}/0/checkpoint.pt").exists()
    assert leftovers(killed) == []
    return went_on


@pytest.mark.parametrize("method", METHODS)
def test_a_training_that_was_killed_ends_in_the_bits_of_one_that_was_not(stages, tiny, method):
    went_on = check_kills(stages, tiny, method, KILLS, seed=METHODS.index(method), epochs=2)
    assert went_on > 0


@pytest.mark.nightly
def test_a_hundred_kills_and_more(stages, tiny, capsys):
    """Every method of the quickstart: `make nightly` prints the count."""
    methods = QUICKSTART["methods"]
    went_on = [
        check_kills(stages, tiny, method, MORE_KILLS, 100 + i, epochs=6) for i, method in enumerate(methods)
    ]
    with capsys.disabled():
        print(
            f"\n{MORE_KILLS * len(methods)} kills survived, {sum(went_on)} times going on from a checkpoint"
        )
    assert all(went_on)


def test_a_second_training_is_refused_and_sigterm_saves_what_the_next_one_goes_on_with(stages, tiny):
    whole, stopped = (tiny(name, "avae", epochs=12, checkpoint_seconds=1e6) for name in ("whole", "stopped"))
    process = start(stopped, "train", *item("avae"))
    said = ""
    while "epoch 1/" not in said:
        said += (line := process.stdout.readline())
        assert line, said
    process.send_signal(signal.SIGSTOP)
    status, refused = stages.run(stopped, "train", *item("avae"))
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGTERM)
    said += process.communicate()[0]
    assert status == 1
    assert f"process {process.pid} is training into" in refused
    assert f"kill {process.pid}" in refused
    assert process.returncode == 1
    assert "run again to go on from there" in said
    assert "Traceback" not in said + refused
    assert not (stopped / "data/models").exists()
    status, said = stages.run(stopped, "train", *item("avae"))
    assert status == 0
    assert "going on from epoch" in said
    train(stages, whole, "avae")
    assert results(stopped, "avae") == results(whole, "avae")
