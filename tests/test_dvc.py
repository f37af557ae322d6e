"""What DVC and MLflow show of the pipeline's runs, and whose code runs in DVC's copies."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from support.documents import blocks
from support.fake_study import write_study
from support.tiny_study import ROOT, copy_repository, environment, run

from vaebench.report.results import read_results
from vaebench.report.summary import summary


def store(folder: Path):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


def test_a_stage_uses_the_package_beside_it_whatever_is_installed(tmp_path):
    """DVC runs queued experiments in copies, and an installed package may point at the workspace."""
    copy = copy_repository(ROOT / "stages", tmp_path / "copy/stages").parent
    (copy / "src/vaebench/study").mkdir(parents=True)
    (copy / "src/vaebench/__init__.py").write_text("")
    (copy / "src/vaebench/study/stage.py").write_text("def end_with_dvc(): pass\n")
    code = "import stages, vaebench; print(vaebench.__file__)"
    environment = {"PYTHONPATH": str(ROOT / "src"), "PATH": ""}
    said = run(copy, sys.executable, "-c", code, env=environment)
    assert said.strip() == str(copy / "src/vaebench/__init__.py")


def test_the_summary_holds_means_over_the_seeds_that_did_not_diverge(tmp_path):
    numbers = [{"fid": {"prior": value}} for value in (1.0, 2.0, 6.0)]
    study = write_study(tmp_path, seeds=(0, 1, 2), metrics=lambda *cell: numbers[cell[2]], images=False)
    means = summary(read_results(study))["mnist"]
    assert (means["mle_iso_i"]["fid.prior"], means["mle_iso_i"]["seeds"]) == (3.0, 3)
    assert means["mle_iso_i"]["fid.prior_low"] == pytest.approx(3.0 - 4.3027 * 7**0.5 / 3**0.5, abs=1e-3)
    assert (means["wae_mmd"]["fid.prior"], means["wae_mmd"]["seeds"]) == (3.5, 2)
    assert means["wae_mmd"]["diverged"] == 1


def test_plots_are_a_curve_and_the_images_of_each_run(tiny_repository):
    shown = json.loads(run(tiny_repository, "dvc", "plots", "show", "--json"))
    assert not shown.get("errors")
    for method in ("ae", "mle_iso_i", "wae_mmd"):
        (curve,) = shown["data"][f"reports/tiny/history/digits/{method}/0.csv"]
        points = curve["content"]["data"]["values"]
        assert [int(point["epoch"]) for point in points] == [1, 2]
        (image,) = shown["data"][f"reports/tiny/images/digits/{method}/0/reconstructions.png"]
        assert image["type"] == "image"


def test_a_run_in_mlflow_is_named_tagged_and_whole(tiny_repository):
    client = store(tiny_repository)
    experiment = client.get_experiment_by_name("tiny")
    runs = {r.info.run_name: r for r in client.search_runs([experiment.experiment_id])}
    methods = [f"{method} · digits" for method in ("ae", "mle_iso_i", "wae_mmd")]
    assert set(runs) == {"tiny: tables", *methods, *(f"{method} · 0" for method in methods)}
    tracked = runs["wae_mmd · digits · 0"]
    tags, measured = tracked.data.tags, tracked.data.metrics
    assert {"study": "tiny", "method": "wae_mmd", "regularizer": "mmd"}.items() <= tags.items()
    assert {"mse", "fd_mnist_lenet/prior", "fd_mnist_lenet/gmm10", "train/loss"} <= measured.keys()
    assert client.list_artifacts(tracked.info.run_id, "images")
    assert tracked.outputs.model_outputs


@pytest.mark.nightly
def test_a_grid_runs_side_by_side_and_logs_to_the_workspaces_store(tiny_repository, tmp_path):
    """The README's grid, after its baseline."""
    folder = copy_repository(tiny_repository, tmp_path / "vaebench")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "baseline")
    (grid,) = (b.text for b in blocks(ROOT / "README.md", "bash") if b.when == "nightly")
    run(folder, "bash", "-euc", grid, env=environment(folder, tracking=True))
    table = run(folder, "dvc", "exp", "show", "--only-changed", "--drop", ".*/", "--csv")
    assert len(table.strip().splitlines()) == 5
    runs = store(folder).search_runs([store(folder).get_experiment_by_name("tiny").experiment_id])
    names = run(folder, "dvc", "exp", "list", "--name-only").split()
    assert {r.data.tags.get("dvc_experiment") for r in runs} >= set(names)
    assert {r.data.params.get("regularizer.weight") for r in runs} >= {"1", "30"}
