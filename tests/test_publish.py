"""A cell that is published is shown in another clone, and run again and compared there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.scratch import study, write_study
from typer.testing import CliRunner

from vaebench.cli import verify as verify_module
from vaebench.cli.app import app
from vaebench.cli.publish import Store, _other_data
from vaebench.data.store import Prepared, StoreWriter
from vaebench.report.results import read_results
from vaebench.study.paths import prepared_dir


def vaebench(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.output


@pytest.fixture
def here(stages, finished, tmp_path, monkeypatch):
    """A study of two methods, of which one has run."""
    folder = Path(shutil.copytree(finished, tmp_path / "study"))
    write_study(folder, study("ae", "avae", epochs=1))
    monkeypatch.chdir(folder)

    def run(command, *, cwd, env, check):
        status, _ = stages.run(cwd, command[2].removeprefix("stages."), *command[3:])
        return SimpleNamespace(returncode=status)

    monkeypatch.setattr(verify_module, "subprocess", SimpleNamespace(run=run))
    return folder


@pytest.fixture
def other(here, tmp_path, monkeypatch):
    """Another clone, without results or data, after ``here`` published into ``store``."""
    assert vaebench("publish", str(tmp_path / "store")) == (
        0,
        f"1 cells of tiny are in {tmp_path / 'store'}.\n",
    )
    clone = tmp_path / "clone"
    clone.mkdir()
    shutil.copy(here / "params.yaml", clone)
    monkeypatch.chdir(clone)
    return tmp_path / "store"


def test_another_clone_shows_and_verifies_what_was_published(other):
    status, said = vaebench("published", str(other))
    assert status == 0
    (row,) = said.splitlines()[1:]
    assert row.split()[:4] == ["ae", "digits", "0", "no"]
    assert "CPU" in row
    assert vaebench("verify", "ae", "--published", str(other))[0] == 0

    path = other / "tiny/digits/ae/0/metrics.json"
    metrics = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(metrics | {"mse": metrics["mse"] * 1.05}), encoding="utf-8")
    assert vaebench("verify", "ae", "--published", str(other), "--within", "0.1")[0] == 0
    status, said = vaebench("verify", "ae", "--published", str(other), "--within", "0.01")
    assert status == 1
    assert f"mse: recorded {metrics['mse'] * 1.05}" in said


def test_another_clones_report_has_it_as_measured_elsewhere(other, monkeypatch):
    status, text = vaebench("published", str(other), "--add")
    assert (status, "1 cells are rows" in text) == (0, True)
    results = read_results("reports/tiny")
    (cell,) = results.metrics
    assert results.label(cell.method) == "AE (measured elsewhere)"
    metrics = json.loads((other / "tiny/digits/ae/0/metrics.json").read_text(encoding="utf-8"))
    assert metrics.pop("fd_classifier")  # the classifier was trained there
    assert results.metrics[cell] == metrics
    assert results.provenance[cell]["train"]["device"].startswith("CPU")
    images = {path.name: path.read_bytes() for path in results.images[cell]}
    assert images == {path.name: path.read_bytes() for path in (other / "tiny/digits/ae/0/images").iterdir()}
    assert "reconstructions.png" in images
    assert vaebench("report")[0] == 0
    assert "AE (measured elsewhere)" in Path("reports/tiny/index.html").read_text(encoding="utf-8")


def test_a_cell_that_is_measured_here_is_no_row_from_elsewhere(here, tmp_path):
    vaebench("publish", str(tmp_path / "store"))
    assert "0 cells are rows" in vaebench("published", str(tmp_path / "store"), "--add")[1]
    assert not Path("reports/tiny/outside").exists()


def test_parameters_that_were_not_run_are_not_published(here, tmp_path):
    write_study(here, study("ae", "avae", epochs=2))
    status, said = vaebench("publish", str(tmp_path / "store"))
    assert (status, "other parameters" in said, "runs train again" in said) == (1, True, True)
    assert not (tmp_path / "store").exists()


def test_what_was_trained_otherwise_elsewhere_is_no_row(other):
    write_study(Path(), study("ae", "avae", epochs=2))
    status, said = vaebench("published", str(other), "--add")
    assert (status, "0 cells are rows" in said) == (0, True)
    assert "tiny-digits-ae-0 left out" in said
    assert "train.training.epochs 1 → 2" in said


def test_what_was_measured_on_other_labels_elsewhere_is_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cell = "tiny", "digits", "ae", 0
    assert _other_data({"labels": "0" * 64}, cell) == []  # not prepared here
    with StoreWriter(prepared_dir("tiny", "digits"), "example") as store:
        store.append(np.zeros((4, 1, 2, 2), np.uint8), np.array([0, 1, 0, 1]))
        store.describe(splits={"train": (0, 3), "test": (3, 4)})
    digests = Prepared.open(prepared_dir("tiny", "digits")).digests
    assert _other_data({"data": "of its own", **digests}, cell) == []
    assert _other_data(digests | {"labels": "0" * 64}, cell) == ["the labels of digits"]
    assert _other_data({"data": "of an older version"}, cell) == []


def test_a_cell_that_is_published_anew_is_not_there_until_it_is_whole(here, tmp_path, monkeypatch):
    store = tmp_path / "store"
    vaebench("publish", str(store))
    put = Store._put

    def killed(self, source, target):
        put(self, source, target)
        if target.endswith("metrics.json"):
            raise KeyboardInterrupt

    monkeypatch.setattr(Store, "_put", killed)
    vaebench("publish", str(store))
    assert not (store / "tiny/digits/ae/0/cell.json").exists()


def test_a_dvc_remote_is_a_store(here, tmp_path):
    for command in (["init", "--no-scm", "-q"], ["remote", "add", "far", str(tmp_path / "remote")]):
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=here, check=True)
    assert vaebench("publish", "far")[0] == 0
    assert (tmp_path / "remote/published/tiny/digits/ae/0/cell.json").is_file()
    assert vaebench("published", "far")[1].splitlines()[1].split()[:4] == ["ae", "digits", "0", "yes"]


def test_weights_lie_once_under_their_digest(here, tmp_path):
    store = tmp_path / "store"
    for _ in range(2):
        vaebench("publish", str(store), "--method", "ae")
    digest = json.loads((store / "tiny/digits/ae/0/cell.json").read_text(encoding="utf-8"))["weights"]
    assert sorted(path.name for path in (store / "weights").iterdir()) == [digest, f"{digest}.json"]
    model = here / "data/models/tiny/digits/ae/0/model.safetensors"
    assert (store / "weights" / digest).read_bytes() == model.read_bytes()


def test_what_is_not_finished_or_of_other_weights_is_not_published(here, tmp_path):
    status, said = vaebench("publish", str(tmp_path / "store"), "--method", "avae")
    assert (status, "0.json is missing" in said) == (1, True)
    model = here / "data/models/tiny/digits/ae/0/model.safetensors"
    model.write_bytes(model.read_bytes()[:-1])
    status, said = vaebench("publish", str(tmp_path / "store"))
    assert (status, "are not of" in said) == (1, True)
    assert not (tmp_path / "store").exists()


def test_what_was_not_published_is_said(here, tmp_path):
    status, said = vaebench("verify", "ae", "--published", str(tmp_path))
    assert status == 1
    assert "does not hold tiny-digits-ae-0" in said
