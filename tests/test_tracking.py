"""What is on disk comes into MLflow: all of it, once, whatever happens to the store meanwhile."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import uuid
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.outputs import SPEC
from support.scaleout_toy import until

from vaebench.base.errors import UserError, one_line
from vaebench.base.files import write_json
from vaebench.cli.doctor import _store
from vaebench.cli.track import track
from vaebench.densities import DENSITIES
from vaebench.densities.sampler import Sampler
from vaebench.model.vae import save_model
from vaebench.report.outside import record_outside
from vaebench.report.runs import RunRecord, StudyRuns
from vaebench.report.statistics import t_interval
from vaebench.study import paths
from vaebench.study.params import load_params
from vaebench.study.provenance import item_digest
from vaebench.tracking import follow
from vaebench.training.history import live_history, write_history

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

STUDY = """
study: {name: tiny, datasets: [digits], methods: [vae], seeds: [0, 1, 2], densities: [gaussian]}
datasets: {digits: {source: {name: digits}, network: {name: compact, latent_dim: 2}}}
methods:
  vae:
    label: VAE
    likelihood: {name: gaussian, variance: mle}
    regularizer: {name: kl, weight: 2.0}
densities: {gaussian: {name: gaussian}}
training: {epochs: 2}
evaluation: {features: classifier, metrics: [{name: reconstruction}]}
"""
HEAVIER = STUDY.replace("weight: 2.0", "weight: 3.0")
CELL = "tiny", "digits", "vae"


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    client(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def clone(tmp_path, monkeypatch, empty_store):
    """A clone that has trained nothing, in a folder of an awkward name, and the current folder."""
    folder = tmp_path / "a clone's 100% ?#ü"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("DVC_EXP_NAME", "VAEBENCH_TRACKING"):
        monkeypatch.delenv(name, raising=False)
    name = f"{uuid.uuid4().hex}.db"  # MLflow keeps a connection to each address
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{name}")
    shutil.copy(empty_store, name)
    Path("params.yaml").write_text(STUDY)
    return folder


def write_training(seed: int = 0, epochs: int = 2, loss: float = 9.0) -> None:
    """The files that *train* leaves."""
    rows = [{"epoch": e, "loss": loss / e, "validation_mse": 7.0} for e in range(1, epochs + 1)]
    write_history(paths.history_csv(*CELL, seed), rows)
    made = {"params": item_digest(load_params(specs=()), *CELL[1:], seed)}
    record = {"digests": made, "seconds": {"epochs": 12.5}, "git_commit": "ab" * 20}
    write_json(paths.provenance_json("train", *CELL, seed), record)
    torch.manual_seed(seed)
    save_model(paths.model_dir(*CELL, seed), SPEC.model_copy(update={"value_range": (-1, 1)}).build())


def write_evaluation(seed: int = 0, mse: float = 7.0, **more: object) -> None:
    """The files that *posthoc* and *evaluate* leave; the density is a narrow Gaussian around 5."""
    density = DENSITIES.build({"name": "gaussian"})
    latents = 5.0 + 0.01 * np.random.default_rng(0).standard_normal((50, 2))
    density.fit({"train_mean": latents.astype("float32"), "prior_scale": np.float32(1)}, seed=0)
    density.save(paths.density_dir(*CELL, seed, "gaussian"))
    write_json(paths.metrics_json(*CELL, seed), {"mse": mse, "fid": {"gaussian": 21.0}, **more})
    made = {"params": item_digest(load_params(specs=()), *CELL[1:], seed, stage="evaluate")}
    weights = (paths.model_dir(*CELL, seed) / "model.safetensors").read_bytes()
    record = {"digests": made, "model_sha256": hashlib.sha256(weights).hexdigest()}
    write_json(paths.provenance_json("evaluate", *CELL, seed), record)
    pictures = paths.images_dir(*CELL, seed)
    pictures.mkdir(parents=True, exist_ok=True)
    Image.new("L", (16, 16)).save(pictures / "samples-gaussian.png")


def write_results(seed: int = 0, mse: float = 7.0, **more: object) -> None:
    """The files of all stages."""
    write_training(seed)
    write_evaluation(seed, mse, **more)


def exported(*cell: object, running: bool = False) -> list:
    """Write what is on disk into the store; the trainings that it has then."""
    from vaebench.tracking.export import export

    export(Path(), load_params(specs=()), *cell, running=running)
    return runs()


def ended(kind: str) -> list[RunRecord]:
    return [r for r in StudyRuns(Path(), load_params(specs=())).ended() if r.identity["kind"] == kind]


def client(uri: str = ""):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri or follow.store_uri())


def runs(kind: str = "seed") -> list:
    """The latest first."""
    experiment, order = client().get_experiment_by_name("tiny"), ["attributes.start_time DESC"]
    return client().search_runs([experiment.experiment_id], f"tags.kind = '{kind}'", order_by=order)


def curve(run, key: str = "train/loss") -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client().get_metric_history(run.info.run_id, key)]


def test_a_training_is_in_the_store_with_all_that_is_on_disk(clone):
    write_results()
    assert track().endswith(".db: 1 of 3 trainings of tiny.")
    (run,), (parent,) = runs(), runs("method")
    assert (run.info.run_name, run.info.status) == ("vae · digits · 0", "FINISHED")
    assert run.info.end_time - run.info.start_time == 12_500
    likelihood = {"likelihood.name": "gaussian", "likelihood.variance": "mle"}
    expected = likelihood | {"network.latent_dim": "2", "training.epochs": "2"}
    assert expected.items() <= run.data.params.items()
    assert curve(run) == [(1, 9.0), (2, 4.5)]
    assert run.data.metrics == {"train/loss": 4.5, "validation/mse": 7.0, "mse": 7.0, "fid/gaussian": 21.0}
    assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert run.data.tags["mlflow.source.git.commit"] == "ab" * 20
    assert "(/report/tiny/index.html#digits/vae)" in run.data.tags["mlflow.note.content"]
    (image,) = client().list_artifacts(run.info.run_id, "images")
    assert image.path == "images/samples-gaussian.png"
    (output,) = run.outputs.model_outputs
    model = client().get_logged_model(output.model_id)
    assert {metric.key: metric.value for metric in model.metrics} == {"mse": 7.0, "fid/gaussian": 21.0}


def test_the_logged_model_is_the_one_on_disk_and_holds_no_pickle(clone):
    import mlflow

    write_results()
    density = paths.density_dir(*CELL, 0, "gaussian")
    shutil.copytree(density, density.with_name("former"))  # the study no longer has it
    (run,) = exported()
    loaded = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    images = np.random.default_rng(0).random((4, 1, 8, 8), np.float32)
    ours = Sampler.load(paths.model_dir(*CELL, 0), {"gaussian": density})
    np.testing.assert_allclose(loaded.predict(images), ours(torch.from_numpy(images)).detach(), rtol=1e-5)
    sampler = loaded.unwrap_python_model().sampler
    assert sampler.names == ["prior", "gaussian"]
    assert torch.equal(sampler.sample(3, "gaussian"), ours.sample(3, "gaussian"))
    assert loaded.metadata.signature.inputs.inputs[0].shape == (-1, 1, 8, 8)
    kept = [path.suffix for path in Path("mlruns").rglob("*") if path.is_file()]
    assert ".safetensors" in kept
    assert not {".pkl", ".pth", ".pickle", ".pt"} & set(kept)


def test_written_twice_it_is_there_once_and_a_later_value_replaces(clone):
    import mlflow

    write_results()
    (before,) = exported()
    exported()
    assert curve(before, "mse") == [(0, 7.0)]
    write_evaluation(mse=6.0)
    (after,) = exported()
    assert (after.info.run_id, curve(after)) == (before.info.run_id, [(1, 9.0), (2, 4.5)])
    assert after.data.metrics["mse"] == 6.0
    assert (after.info.start_time, after.info.end_time) == (before.info.start_time, before.info.end_time)
    mlflow.pyfunc.load_model(f"runs:/{after.info.run_id}/model")
    (model,) = client().search_logged_models([after.info.experiment_id])
    latest = max((m for m in model.metrics if m.key == "mse"), key=lambda metric: metric.timestamp)
    assert latest.value == 6.0
    assert len(runs("method")) == 1


def test_curves_appear_while_a_training_runs_or_runs_again_to_the_same_numbers_and_it_is_one_run(clone):
    write = live_history(paths.history_csv(*CELL, 0))
    assert exported(*CELL[1:], 0, running=True) == []
    write([{"epoch": 1, "loss": 9.0}])
    (run,) = exported(*CELL[1:], 0, running=True)
    assert (run.info.status, curve(run)) == ("RUNNING", [(1, 9.0)])
    write_training()
    (finished,) = exported(*CELL[1:], 0)
    assert (finished.info.run_id, finished.info.status) == (run.info.run_id, "FINISHED")
    assert curve(finished) == [(1, 9.0), (2, 4.5)]
    assert finished.data.tags["mlflow.source.git.commit"] == "ab" * 20
    write_history(paths.history_csv(*CELL, 0), [{"epoch": 1, "loss": 9.0, "validation_mse": 7.0}])
    assert [run.info.status for run in exported(*CELL[1:], 0, running=True)] == ["RUNNING"]
    write_training()
    (again,) = exported()
    assert (again.info.run_id, again.info.status) == (run.info.run_id, "FINISHED")


def test_a_killed_trainings_run_says_so_and_goes_on_when_it_does(clone):
    write_history(paths.history_csv(*CELL, 0), [{"epoch": 1, "loss": 9.0}])
    (killed,) = exported(*CELL[1:], 0)
    assert killed.info.status == "KILLED"
    assert killed.info.end_time >= killed.info.start_time
    write_training(epochs=3)
    (finished,) = exported(*CELL[1:], 0)
    assert (finished.info.run_id, finished.info.status) == (killed.info.run_id, "FINISHED")
    assert len(curve(finished)) == 3


@pytest.mark.parametrize(("began", "looks"), [(0.0, [True, False]), (math.inf, [False, False])])
def test_only_a_history_that_was_written_since_the_stage_began_is_looked_at(clone, monkeypatch, began, looks):
    """By two looks, between which the stage ends and closes the exporter's standard input."""
    closed = iter([[], ["stdin"]])
    monkeypatch.setattr(follow.select, "select", lambda *_: [next(closed)])
    monkeypatch.setattr(follow, "INTERVAL", 0.0)
    write_training()
    found = follow._looks(paths.history_csv(*CELL, 0), began)
    assert [next(found), next(found)] == looks


def test_other_numbers_and_other_parameters_of_a_stage_are_another_run_once_it_has_run_by_them(clone):
    write_results(kl=30.0)
    exported()
    write_evaluation()
    assert ["kl" in run.data.metrics for run in exported()] == [False, True]
    Path("params.yaml").write_text(STUDY.replace("evaluation: {", "evaluation: {samples: 300, "))
    write_evaluation(mse=6.0)
    assert [run.data.metrics["mse"] for run in exported()] == [6.0, 7.0, 7.0]
    assert [run.data.params["evaluation.samples"] for run in runs()] == ["300", "10000", "10000"]
    write_training(loss=8.0)
    assert [curve(run)[0] for run in exported()] == [(1, 8.0), *[(1, 9.0)] * 3]
    Path("params.yaml").write_text(HEAVIER)
    assert len(exported()) == 4
    write_training(loss=5.0)
    assert [run.data.params["regularizer.weight"] for run in exported()] == ["3.0", *["2.0"] * 4]


def test_other_seeds_are_another_mean_of_the_same_trainings(clone):
    for seed in (0, 1):
        write_results(seed, 7.0 + seed)
    exported()
    Path("params.yaml").write_text(STUDY.replace("[0, 1, 2]", "[0]"))
    assert len(exported()) == 2
    latest = runs("method")[0].data.metrics
    assert (latest["mse"], latest["n/mse"], "sd/mse" in latest) == (7.0, 1, False)


def test_metrics_of_an_earlier_model_are_not_the_new_ones(clone):
    write_results()
    (measured,) = ended("seed")
    assert measured.metrics == {"mse": 7.0, "fid/gaussian": 21.0}
    record = json.loads(paths.provenance_json("evaluate", *CELL, 0).read_text())
    for other in ({"model_sha256": "0" * 64}, {"digests": {"params": "of other metrics"}}):
        write_json(paths.provenance_json("evaluate", *CELL, 0), record | other)
        (stale,) = ended("seed")
        assert (stale.status, stale.metrics, stale.files, stale.model) == ("FINISHED", {}, {}, ())
        assert ended("method") == []
    shutil.copytree(paths.provenance_dir("tiny"), paths.report_dir("tiny") / "provenance")  # by tabulate
    paths.provenance_json("evaluate", *CELL, 0).unlink()  # between train and evaluate
    assert [run.metrics for run in ended("seed")] == [{}]


def test_a_training_that_is_killed_has_nothing_of_the_one_before(clone):
    """As DVC leaves it, which removes a stage's files before the stage: evaluate's are there still."""
    write_results()
    shutil.copytree(paths.provenance_dir("tiny"), paths.report_dir("tiny") / "provenance")  # by tabulate
    shutil.rmtree(paths.model_dir(*CELL, 0))
    paths.provenance_json("train", *CELL, 0).unlink()
    assert ended("seed") == []  # the curve is the former one: no training has begun
    write_history(paths.history_csv(*CELL, 0), [{"epoch": 1, "loss": 5.0}])
    for study in (STUDY, HEAVIER):
        Path("params.yaml").write_text(study)
        (killed,) = ended("seed")
        assert (killed.status, killed.metrics, killed.files, killed.tags) == ("KILLED", {}, {}, {})
    assert ended("method") == []
    shutil.rmtree("data")
    paths.resolved_dir("tiny").mkdir(parents=True)  # as in a clone whose first training was killed
    assert [run.status for run in ended("seed")] == ["KILLED"]


def test_a_methods_run_holds_mean_deviation_interval_number_and_flags_of_its_seeds(clone):
    values = [7.0, 8.0, 10.0]
    write_results(0, values[0], kl=0.0004, odd=1.0)
    for seed in (1, 2):
        write_results(seed, values[seed], kl=30.0)
    (parent,) = ended("method")
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    low, high = t_interval(mean, deviation, 3)
    expected = {"mse": mean, "sd/mse": deviation, "low/mse": low, "high/mse": high, "n/mse": 3}
    found = parent.metrics
    assert {key: found[key] for key in expected} == pytest.approx(expected)
    assert (parent.seconds, found["n/odd"], "sd/odd" in found) == (12.5, 1, False)
    assert [run.parent.identity == parent.identity for run in ended("seed")] == [True] * 3
    flag, *others = (run.tags["flag"] for run in ended("seed"))
    assert flag.startswith("collapsed: KL")
    assert (others, parent.tags["flag"]) == (["none", "none"], f"{flag}; 1 of 3 seeds")


def test_a_study_has_tables_notes_and_verdicts_and_a_view_of_the_metrics_asked_for_first(clone):
    write_results(fid={"prior": 22.0, "gaussian": 21.0}, kl=5.0, psnr=20.0)
    (paths.report_dir("tiny") / "tables").mkdir(parents=True)
    for name in ("tables/all.csv", "notes.md", "summary.json", "claims.json"):
        (paths.report_dir("tiny") / name).write_text("x")
    exported()
    (run,) = runs("tables")
    kept = {artifact.path for artifact in client().list_artifacts(run.info.run_id)}
    assert kept == {"tables", "notes.md", "summary.json", "claims.json"}
    tags = client().get_experiment_by_name("tiny").tags
    columns = json.loads(tags["mlflow.sharedViewState.vaebench"])["selectedColumns"]
    assert columns[:2] == ["attributes.`Duration`", "tags.`flag`"]
    assert columns[2:] == ["metrics.`fid/prior`", "metrics.`kl`", "metrics.`mse`"]


def test_a_row_from_outside_is_one_run_with_its_tag_however_often_it_is_written(clone):
    for fid in (3.5, 2.5):
        record_outside(paths.report_dir("tiny"), load_params(specs=()), "my GAN", {"fid": {"prior": fid}})
        exported()
    (run,), (parent,) = runs("outside"), runs("method")
    assert (run.info.run_name, run.info.status) == ("outside_my_gan · digits · 0", "FINISHED")
    assert (run.data.tags["method"], run.data.metrics) == ("outside_my_gan", {"fid/prior": 2.5})
    assert (parent.info.run_name, parent.data.metrics["fid/prior"]) == ("outside_my_gan · digits", 2.5)


@pytest.mark.pipeline
def test_a_clone_that_is_copied_or_moved_writes_into_its_own_folder(clone, monkeypatch):
    """Each in a process of its own, as there one folder is the current one."""
    code = "from vaebench.cli.track import track; print(track())"

    def track_in(folder: Path, seed: int) -> int:
        monkeypatch.chdir(folder)
        write_results(seed)
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
        return len(list(folder.glob("mlruns/**/*.safetensors")))

    assert track_in(clone, 0) == 1
    moved = clone.rename(clone.with_name("moved"))
    copy = Path(shutil.copytree(moved, clone.with_name("copied")))
    assert track_in(moved, 1) == 2
    assert track_in(copy, 1) == 2
    assert not clone.exists()


def test_an_experiment_or_a_run_that_was_deleted_is_there_again(clone):
    write_training(0)
    (run,) = exported()
    client().delete_experiment(run.info.experiment_id)
    write_training(1)
    deleted, kept = exported()
    client().delete_run(deleted.info.run_id)
    again, same = exported()
    assert (same.info.run_id, kept.info.run_id) == (run.info.run_id, run.info.run_id)
    assert again.info.run_id != deleted.info.run_id


def test_a_study_that_has_only_its_report_is_written_with_its_own_parameters(clone):
    write_results()
    report = paths.report_dir("tiny")
    shutil.copy("params.yaml", report / "study.yaml")
    shutil.move(paths.provenance_dir("tiny"), report / "provenance")
    shutil.rmtree("data")
    Path("params.yaml").write_text(STUDY.replace("name: tiny", "name: another"))
    assert track("tiny").endswith(".db: 1 of 3 trainings of tiny.")
    (run,) = runs()
    assert (run.data.metrics["mse"], run.outputs.model_outputs) == (7.0, [])
    with pytest.raises(UserError, match="'absent' is not the active study"):
        track("absent")


def test_a_store_that_is_not_reached_is_said_without_its_password(clone, monkeypatch):
    """By `vaebench track`, and by `vaebench doctor`, which tries it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(UserError, match=r"http://me:…@127\.0\.0\.1:9 cannot be written") as raised:
        track()
    check = _store()
    assert not check.found
    assert check.detail.startswith("http://me:…@127.0.0.1:9 does not answer: ")
    assert "secret" not in f"{raised.value} {check.detail}"


NO_STORES = {
    "garbage": ("sqlite:///bad.db", "not a database"),
    "a folder": ("sqlite:///folder.db", "unable to open database file"),
    "MLflow's former kind": ("file:former", "migrate"),
    "no such kind": ("foo://bar", "unsupported"),
    "a slash too few": ("sqlite://bad.db", "Invalid SQLite URL"),
}


@pytest.mark.parametrize(("uri", "message"), NO_STORES.values(), ids=NO_STORES)
def test_a_store_that_is_none_is_said_at_once_and_what_to_do(clone, monkeypatch, uri, message):
    Path("bad.db").write_bytes(b"not SQLite's" * 100)
    Path("folder.db").mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UserError, match=message) as raised:
        track()
    assert "set MLFLOW_TRACKING_URI to another" in str(raised.value)
    assert Path("bad.db").read_bytes() == b"not SQLite's" * 100


def test_a_reason_keeps_its_remedy_and_no_statement():
    error = RuntimeError("(sqlite3.OperationalError) database is locked\n[SQL: SELECT 1]\n" + "x" * 500)
    assert one_line(error) == "(sqlite3.OperationalError) database is locked"
    assert one_line(RuntimeError("run `mlflow db upgrade`. " + "y" * 400)).count("y") == 400
    assert one_line(KeyError()) == "KeyError"


def test_experiments_in_dvcs_temporary_folders_log_to_the_workspace_by_their_names(clone, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "heavier")
    copy = clone / ".dvc/tmp/exps/tmpab12"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    assert follow.enter_workspace() == Path(".dvc/tmp/exps/tmpab12")
    assert Path.cwd() == clone
    write_training()
    (run,) = exported()
    assert (run.info.run_name, run.data.tags["dvc_experiment"]) == ("vae · digits · 0 · heavier", "heavier")


def test_whatever_mlflow_does_the_stage_goes_on_with_a_line(clone, monkeypatch, capfd):
    (clone.parent / "mlflow.py").write_text("raise ImportError('no mlflow here')")
    monkeypatch.syspath_prepend(clone.parent)
    with follow.tracked("tiny", "digits", "vae", 0):
        write_training()
        until((follow.FOLDER / "tiny.log").exists, "nothing was said")
    message = "tracking off: no mlflow here (`vaebench track` writes what is missing)\n"
    assert capfd.readouterr() == (message, "")


def test_tracking_can_be_switched_off(clone, monkeypatch, capfd):
    monkeypatch.setenv("VAEBENCH_TRACKING", "off")
    with follow.tracked("tiny", "digits", "vae", 0):
        pass
    assert capfd.readouterr() == ("", "")
    assert not follow.FOLDER.exists()


@pytest.mark.pipeline
def test_a_database_that_another_program_holds_is_tried_until_it_is_free(clone):
    """The exporter's process, as a stage starts it; the database is free only after the stage has ended."""
    command = [sys.executable, "-m", "vaebench.tracking.follow", "0", "tiny", "digits", "vae", "0"]
    write_results()
    database = follow.store_uri().removeprefix("sqlite:///")
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        process = subprocess.Popen(command, stdin=subprocess.PIPE)
        until((follow.FOLDER / "tiny.log").exists, "nothing was said")
        process.stdin.close()
        other.execute("ROLLBACK")
    assert process.wait(600) == 0
    (run,) = runs()
    assert (run.info.status, run.data.metrics["mse"]) == ("FINISHED", 7.0)
    assert not (follow.FOLDER / "tiny.log").exists()


def test_a_sampler_speaks_in_unit_images_and_names_its_densities(clone):
    write_results()
    sampler = Sampler.load(paths.model_dir(*CELL, 0), {"far": paths.density_dir(*CELL, 0, "gaussian")})
    model = sampler.model
    with torch.no_grad():
        expected = (model.decode(torch.full((1, 2), 5.0)) + 1) / 2
    assert torch.allclose(sampler.sample(3, "far"), expected.expand(3, -1, -1, -1), atol=2e-2)
    assert torch.equal(sampler.sample(3, seed=1), sampler.sample(3, seed=1))
    assert not torch.equal(sampler.sample(3, seed=1), sampler.sample(3, seed=2))
    grey = torch.full((2, 1, 8, 8), 51, dtype=torch.uint8)
    encoded = model.encode(torch.full((2, 1, 8, 8), -0.6)).mean
    assert torch.allclose(sampler.encode(grey).mean, encoded, atol=1e-5)
    assert torch.allclose(sampler(grey), sampler.decode(sampler.encode(grey).mean))
    with pytest.raises(UserError, match=r"no density 'gmm10'.*prior, far"):
        sampler.sample(1, "gmm10")
