"""The whole pipeline, in a clone of its own, and only what an edit touches runs again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import yaml
from support.tiny_study import copy_repository, executed, run


@pytest.fixture(scope="module")
def clone(tiny_repository, tmp_path_factory) -> Path:
    """A repository whose tiny study has run."""
    return copy_repository(tiny_repository, tmp_path_factory.mktemp("pipeline") / "clone")


def metrics(clone: Path, method: str) -> dict:
    path = clone / f"reports/tiny/metrics/digits/{method}/0.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_cell_is_measured_and_what_does_not_exist_is_absent(clone):
    assert metrics(clone, "mle_iso_i")["fd_mnist_lenet"].keys() >= {"prior", "gmm10", "recon", "interp_mid"}
    assert "prior" not in metrics(clone, "ae")["fd_mnist_lenet"]
    assert "kl" not in metrics(clone, "ae")
    table = (clone / "reports/tiny/tables/metrics.csv").read_text(encoding="utf-8")
    assert repr(metrics(clone, "ae")["mse"])[:6] in table
    page = (clone / "reports/tiny/index.html").read_text(encoding="utf-8")
    assert "MLE Iso-I" in page


def test_nothing_to_do_runs_nothing(clone):
    assert executed(run(clone, "dvc", "repro")) == []


@pytest.mark.nightly
def test_an_edit_runs_what_it_touches_and_its_return_nothing(clone):
    """The first half is in the README, too, whose commands run in the second tier."""
    params = clone / "params.yaml"
    before = params.read_text(encoding="utf-8")
    untouched = metrics(clone, "ae")
    content = yaml.safe_load(before)
    content["methods"]["mle_iso_i"]["regularizer"]["weight"] = 0.5
    params.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    assert set(executed(run(clone, "dvc", "repro"))) == {
        "train@tiny-digits-mle_iso_i-0",
        "posthoc@tiny-digits-mle_iso_i-0-prior",
        "posthoc@tiny-digits-mle_iso_i-0-gmm10",
        "evaluate@tiny-digits-mle_iso_i-0",
        "tabulate@tiny",
    }
    assert metrics(clone, "ae") == untouched
    changed = metrics(clone, "mle_iso_i")
    params.write_text(before, encoding="utf-8")
    assert executed(run(clone, "dvc", "repro")) == ["tabulate@tiny"], "all else comes from DVC's run cache"
    assert metrics(clone, "mle_iso_i") != changed


@pytest.mark.pipeline
def test_a_stage_runs_alone_and_repeats_itself_to_the_byte(clone):
    path = clone / "reports/tiny/metrics/digits/mle_iso_i/0.json"
    before = path.read_bytes()
    item = ["--dataset", "digits", "--method", "mle_iso_i", "--seed", "0"]
    run(clone, sys.executable, "-m", "stages.train", *item)
    run(clone, sys.executable, "-m", "stages.posthoc", *item, "--density", "gmm10")
    run(clone, sys.executable, "-m", "stages.evaluate", *item)
    assert path.read_bytes() == before
