"""The same seed gives the same bytes, in another folder too; one that diverges is a row in the tables."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.scratch import QUICKSTART, ROOT, measure, results, study, train
from typer.testing import CliRunner

from vaebench.cli import verify as verify_module
from vaebench.cli.app import app

TWO = ["aae", "avae_diag_d"]


def run_twice(stages, tiny, methods: list[str], epochs: int) -> None:
    one, other = (tiny(name, *methods, epochs=epochs) for name in ("one", "other"))
    for method in methods:
        for folder in (one, other):
            train(stages, folder, method)
            measure(stages, folder, method)
        made = results(one, method)
        assert made.keys() == {"model", "spec", "latents", "history", "metrics"}
        assert made == results(other, method), method


def test_a_study_run_twice_gives_identical_files_and_another_seed_does_not(stages, tiny):
    run_twice(stages, tiny, TWO, epochs=1)
    folder = tiny.folder / "one"
    train(stages, folder, "aae", seed=1)
    measure(stages, folder, "aae", seed=1)
    first, second = results(folder, "aae"), results(folder, "aae", seed=1)
    for name in ("model", "latents", "history", "metrics"):
        assert first[name] != second[name], name


@pytest.mark.nightly
def test_every_method_of_the_quickstart_repeats_itself(stages, tiny):
    run_twice(stages, tiny, QUICKSTART["methods"], epochs=5)


@pytest.fixture
def verified(stages, finished, tmp_path, monkeypatch):
    """A finished study, and verify's stages as forks."""
    folder = Path(shutil.copytree(finished, tmp_path / "study"))
    monkeypatch.chdir(folder)

    def run(command, *, cwd, env, check):
        assert command[1] == "-m"
        status, _ = stages.run(cwd, command[2].removeprefix("stages."), *command[3:])
        return SimpleNamespace(returncode=status)

    monkeypatch.setattr(verify_module, "subprocess", SimpleNamespace(run=run))
    return folder


def verify(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["verify", *arguments])
    return result.exit_code, result.output


def test_verify_runs_a_cell_again_and_names_what_differs(verified):
    before = results(verified, "ae")
    assert verify("ae") == (0, "ae on digits, seed 0: equal, metrics and history of two runs.\n")
    assert results(verified, "ae") == before
    path = verified / "reports/tiny/metrics/digits/ae/0.json"
    recorded = json.loads(path.read_text(encoding="utf-8"))
    mse, recorded["mse"] = recorded["mse"], 1.0
    path.write_text(json.dumps(recorded), encoding="utf-8")
    status, said = verify("ae")
    assert status == 1
    assert f"mse: recorded 1.0, now {mse}" in said
    assert said.endswith("DIFFERENT, metrics and history of two runs.\n")
    assert "does not define 'vae'" in verify("vae")[1]
    status, said = verify("ae", "--seed", "7")
    assert status == 1
    assert "7.json is missing; `dvc repro` writes it (stage evaluate)" in said


@pytest.mark.nightly
def test_verify_in_processes_of_its_own(stages, tiny, monkeypatch):
    folder = tiny("study", "avae", epochs=2)
    train(stages, folder, "avae")
    measure(stages, folder, "avae")
    for part in ("src", "stages"):
        (folder / part).symlink_to(ROOT / part)
    monkeypatch.chdir(folder)
    assert verify_module.subprocess is subprocess
    assert verify("avae")[0] == 0


DIVERGING = {
    "ae": {"learning_rate": 1e30},
}


def test_divergence_is_a_row_and_the_rest_of_the_study_goes_on(stages, tiny):
    content = study(*DIVERGING, "wae_mmd", epochs=3)
    for method, training in DIVERGING.items():
        content["methods"][method]["training"] = training
    folder = tiny("study", content=content)
    for method in content["study"]["methods"]:
        train(stages, folder, method)
        measure(stages, folder, method)
    status, said = stages.run(folder, "tabulate")
    assert status == 0, said
    for method in DIVERGING:
        metrics = json.loads(results(folder, method)["metrics"])
        assert metrics.keys() == {"diverged_at_epoch"}, method
        assert 1 <= metrics["diverged_at_epoch"] <= 3
        rows = results(folder, method)["history"].decode().splitlines()
        assert len(rows) == metrics["diverged_at_epoch"]
    assert "mse" in json.loads(results(folder, "wae_mmd")["metrics"])
    tables = [path.read_text(encoding="utf-8") for path in (folder / "reports/tiny/tables").glob("*.md")]
    for method in DIVERGING:
        label = content["methods"][method]["label"]
        rows = [line for table in tables for line in table.splitlines() if f"| {label} |" in line]
        assert rows
        assert all("diverged" in row for row in rows), rows
    assert "diverged" in (folder / "reports/tiny/index.html").read_text(encoding="utf-8")
