"""What a study will cost: from recorded epochs or measured steps, and what of it fits into a budget."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.tiny_study import DIGITS

from vaebench.base.checkpoint import Checkpoints
from vaebench.base.errors import UserError
from vaebench.base.files import write_json
from vaebench.cli.plan import plan
from vaebench.densities import DENSITIES
from vaebench.densities.cost import fit_seconds
from vaebench.study import paths
from vaebench.study.forecast import (
    Cost,
    Forecast,
    Row,
    duration,
    fitting,
    forecast,
    keep_cost,
    keep_fit,
    known_cost,
    known_fit,
    parse_duration,
)
from vaebench.study.params import load_params, parse_params

QUICKSTART = Path(__file__).parents[1] / "studies/quickstart.yaml"


@pytest.fixture
def params(tmp_path, monkeypatch):
    content = yaml.safe_load(QUICKSTART.read_text(encoding="utf-8"))
    content["study"] |= {"methods": ["ae", "avae"], "seeds": [0, 1, 2]}
    content["datasets"]["digits"] = DIGITS
    monkeypatch.chdir(tmp_path)
    return parse_params(content, specs=())


def row(method: str, epoch: float | None, epochs: int = 10, seeds: int = 2, done: int = 0, evaluation=None):
    cost = epoch and Cost(epoch / 100, epoch, 1000, "fp32", 1.0, (100, 4))
    return Row("d", method, epochs, cost, epoch, evaluation, seeds, done)


def test_seconds_are_epochs_and_evaluations_of_all_seeds_over_the_slots():
    rows = row("a", 60.0, evaluation=30.0), row("b", 6.0, done=1)
    assert Forecast(rows).seconds() == 2 * (600 + 30) + 2 * 60
    assert Forecast(rows, slots=2).seconds(left=True) == (2 * 630 + 60) / 2
    assert Forecast((*rows, row("c", None))).unknown == ["c on d"]


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (10_000, ["all that is left fits: 24 min"]),
        (900, ["all methods with 1 of 2 seeds: 12 min"]),
        (650, ["one seed, whole schedule: slow: 10 min", "fewer epochs: slow 9, quick 9"]),
        (200, ["one seed, whole schedule: quick: 2.0 min", "fewer epochs: slow 2, quick 2"]),
        (30, ["nothing: a single epoch"]),
    ],
)
def test_what_fits_into_a_budget(budget, expected):
    lines = fitting(Forecast((row("slow", 60.0), row("quick", 12.0))), budget)
    assert len(lines) == len(expected)
    for line, part in zip(lines, expected, strict=True):
        assert part in line


def test_a_recorded_epoch_is_believed_before_a_measured_step(params):
    keep_cost(params, "digits", "ae", 1, Cost(0.1, 9.0, 100, "fp32", 1.0, (100, 4)))
    assert forecast(params).rows[0].epoch == 9.0
    for seed, seconds in enumerate((2.0, 3.0, 40.0)):
        path = paths.provenance_json("train", "quickstart", "digits", "ae", seed)
        write_json(path, {"seconds": {"epoch_median": seconds}})
    write_json(paths.metrics_json("quickstart", "digits", "ae", 1), {})
    ae, avae = forecast(params).rows
    assert (ae.epoch, ae.done, ae.seeds) == (3.0, 1, 3)
    assert avae.epoch is None
    assert "1 of 6 cells are measured" in forecast(params).line()


def test_what_checkpoints_hold_is_not_left(params, tmp_path):
    keep_cost(params, "digits", "ae", 1, Cost(0.1, 9.0, 100, "fp32", 1.0, (100, 4)))
    before = forecast(params).seconds(left=True)
    place = paths.checkpoint_dir("quickstart", "digits", "ae", 2)
    with Checkpoints(place, "digest", seconds=60) as kept:
        kept.save({"epoch": 7, "batch": 3})
    (row, _) = forecast(params).rows
    assert row.reached == 7
    assert before - forecast(params).seconds(left=True) == 7 * 9.0
    assert "7 epochs of the others are trained" in forecast(params).line()


def test_a_cost_is_of_the_step_and_not_of_the_schedule(params):
    cost = Cost(0.1, 9.0, 100, "fp32", 1.0, (100, 4))
    keep_cost(params, "digits", "ae", 1, cost)

    def changed(**training):
        return params.model_copy(update={"training": params.training.model_copy(update=training)})

    assert known_cost(changed(epochs=7), "digits", "ae", 1) == cost
    assert known_cost(changed(batch_size=7), "digits", "ae", 1) is None
    assert known_cost(params, "digits", "ae", 2) is None
    assert known_cost(params, "digits", "avae", 1) is None


def test_a_plan_measures_each_method_once_and_names_time_and_disk(params):
    said: list[str] = []
    first = "\n".join(plan(params, 1, parse_duration("8h"), said.append))
    assert "preparing digits to see its size" in said
    assert "measuring avae on digits" in said
    assert "0 of 6 cells are measured" in first
    assert "all that is left fits" in first
    ae, avae = (known_cost(params, "digits", method, 1) for method in ("ae", "avae"))
    # 1,237 training images: 19 steps of 64; AVAE trains on 400 fewer and encodes those every ten steps.
    assert ae.epoch > 19 * ae.step
    assert avae.epoch > 13 * avae.step
    said.clear()
    assert "measuring" not in "\n".join([*plan(params, 1, None, said.append), *said])


def test_a_plan_says_which_data_are_missing(tmp_path, monkeypatch):
    params = load_params(QUICKSTART.parent / "avae_celeba.yaml", specs=())
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VAEBENCH_DATA", raising=False)
    text = "\n".join(plan(params, 1, None, print))
    assert "missing: celeba: CelebA was not found" in text
    assert "pytorch-fid's 91 MiB" in text
    assert "0 of 30 cells are measured" in text


def test_fits_of_densities_are_part_of_a_seed(params):
    cost = Cost(0.1, 9.0, 100, "fp32", 1.0, (5_000, 4))
    keep_cost(params, "digits", "ae", 1, cost)
    before = forecast(params).rows[0].seed_seconds
    for name, seconds in (("prior", 1.0), ("gmm10", 41.0)):
        keep_fit(params.densities[name], cost.latents, seconds)
    (ae, _) = forecast(params).rows
    assert ae.seed_seconds - before == 42.0
    assert known_fit(params.densities["gmm10"] | {"components": 77}, cost.latents) is None
    assert known_fit(params.densities["gmm10"], (6_000, 4)) is None


def test_a_fit_is_forecast_from_one_epoch_of_a_part(monkeypatch):
    clock = iter((0.0, 2.0))
    seen = []

    class Slow:
        def __init__(self, *, epochs: int = 800):
            self.epochs = epochs

        def fit(self, latents, seed):
            seen.append((self.epochs, latents["train_mean"].shape))

    monkeypatch.setattr("vaebench.densities.cost.time.perf_counter", lambda: next(clock))
    with DENSITIES.adding("slow", Slow):
        assert fit_seconds({"name": "slow"}, 50_000, 3) == 2.0 * 800 * 10
    assert seen == [(1, (5_000, 3))]


@pytest.mark.parametrize(("text", "seconds"), [("8h", 28_800), ("2m", 120), ("1.5d", 129_600), ("30s", 30)])
def test_durations(text, seconds):
    assert parse_duration(text) == seconds
    assert parse_duration(duration(seconds).replace(" ", "")) == seconds


def test_what_is_no_duration_is_refused():
    with pytest.raises(UserError, match="8h"):
        parse_duration("a while")
