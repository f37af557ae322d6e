import json
import os
import shutil
import socket

import numpy as np
import pytest
import torch
from PIL import Image

from vaebench.model.vae import build_model, save_model
from vaebench.study.params import parse_params
from vaebench.study.paths import prepared_dir
from vaebench.study.provenance import digest, item_digest
from vaebench.tracking import run as tracking
from vaebench.tracking.run import flat_params, store_uri, track, workspace_root
from vaebench.tracking.sampler import Sampler, save_sampler
from vaebench.tracking.store import serve

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

STUDY = {
    "study": {
        "name": "tiny",
        "datasets": ["digits"],
        "methods": ["vae", "rae"],
        "seeds": [0],
        "densities": ["prior"],
    },
    "datasets": {"digits": {"source": {"name": "digits"}, "network": {"name": "compact", "latent_dim": 3}}},
    "methods": {
        "vae": {
            "label": "VAE",
            "likelihood": {"name": "gaussian", "variance": "mle"},
            "regularizer": {"name": "kl", "weight": 2.0},
        },
        "rae": {
            "label": "RAE",
            "likelihood": {"name": "l2"},
            "posterior": {"name": "deterministic"},
            "training": {"epochs": 7},
        },
    },
    "densities": {"prior": {"name": "prior"}},
    "training": {"epochs": 2, "plateau": {"patience": 3}},
    "evaluation": {"features": "classifier", "metrics": [{"name": "reconstruction"}]},
}
META = {"dataset": "digits", "shape": [1, 8, 8], "dtype": "uint8", "splits": {"train": [0, 9]}}


@pytest.fixture
def params():
    return parse_params(STUDY, specs=())


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    folder = prepared_dir("tiny", "digits")
    folder.mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps(META))
    return tmp_path


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory):
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(workspace, empty_store):
    """A client of the workspace's store, whose tables are there already."""
    from mlflow import MlflowClient

    shutil.copy(empty_store, workspace / "mlflow.db")
    return MlflowClient(tracking_uri=store_uri(workspace))


def call(params, run_id, *calls, method="vae", seed=0):
    """What a tracking process answers to ``calls`` after it has opened the run."""
    answers = []
    description = tracking._describe(params, "digits", method, seed, run_id)
    lines = [json.dumps(c) for c in (["open", description], *calls)]
    status = serve(lines, lambda *parts: answers.append(list(parts)))
    return status, answers


def opened(params, run_id=None, *calls, **cell):
    status, answers = call(params, run_id, *(calls or (["close", "FINISHED"],)), **cell)
    assert (status, answers[-1]) == (0, ["closed"]), answers
    return answers[0][1]


def model_folder(folder):
    torch.manual_seed(0)
    spec = {
        "image_shape": [1, 8, 8],
        "value_range": [-1.0, 1.0],
        "train_size": 9,
        "network": {"name": "compact", "latent_dim": 3},
        "posterior": {"name": "gaussian"},
        "likelihood": {"name": "gaussian", "variance": "mle"},
        "regularizer": {"name": "kl"},
        "prior_scale": 1.0,
    }
    model = build_model(spec)
    save_model(folder, model, spec)
    return model.eval()


def density_folder(folder, mean):
    from vaebench.densities import DENSITIES

    density = DENSITIES.build({"name": "gaussian"})
    rng = np.random.default_rng(0)
    latents = (mean + 0.01 * rng.standard_normal((50, 3))).astype("float32")
    density.fit({"train_mean": latents, "prior_scale": np.float32(1)}, seed=0)
    density.save(folder)
    return folder


def test_two_cells_at_once_in_a_new_store_and_evaluation_goes_on(params, workspace, monkeypatch, capfd):
    """Train and evaluate as the stages do, each in real processes, the store not being there before."""
    with track(params, "digits", "vae", 0) as first, track(params, "digits", "rae", 0) as second:
        for epoch in (1, 2, 3):
            first.epoch({"epoch": epoch, "loss": 9.0 / epoch, "learning_rate": 1e-3, "validation_mse": 7.0})
    assert first.run_id is not None
    assert second.run_id is not None
    pictures = workspace / "pictures" / "samples"
    pictures.mkdir(parents=True)
    Image.new("L", (16, 16)).save(pictures / "prior.png")
    model = model_folder(workspace / "model")
    with track(params, "digits", "vae", 0, run_id=first.run_id) as run:
        run.model(workspace / "model", {"gaussian": density_folder(workspace / "density", 5.0)})
        run.model(workspace / "nowhere")
        with monkeypatch.context() as full:
            full.setattr("tempfile.tempdir", str(workspace / "no room"))
            run.model(workspace / "model")
        run.metrics({"mse": 7.5, "fid": {"prior": 21.0, "text": "no number"}})
        run.images(workspace / "pictures")
        run.tags({"report": "reports/index.html"})
    assert run.run_id == first.run_id
    out, err = capfd.readouterr()
    nowhere, full = out.splitlines()
    assert nowhere.startswith("tracking: the model is not logged: ")
    assert "nowhere" in nowhere
    assert "no room" in full
    assert err == ""

    import mlflow
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{workspace / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("tiny")
    assert len(client.search_runs([experiment.experiment_id])) == 2
    found = client.get_run(first.run_id)
    assert found.info.run_name == "vae · digits · 0"
    assert found.info.status == "FINISHED"
    assert found.data.params["likelihood.variance"] == "mle"
    assert found.data.metrics == {
        "train/loss": 3.0,
        "train/learning_rate": 1e-3,
        "validation/mse": 7.0,
        "mse": 7.5,
        "fid/prior": 21.0,
    }
    curve = client.get_metric_history(first.run_id, "train/loss")
    assert [(point.step, point.value) for point in curve] == [(1, 9.0), (2, 4.5), (3, 3.0)]
    tags = found.data.tags
    assert (tags["study"], tags["method"], tags["seed"], tags["regularizer"]) == ("tiny", "vae", "0", "kl")
    assert tags["data_digest"] == digest(META)
    assert tags["params_digest"] == item_digest(params, "digits", "vae", 0)
    assert tags["report"] == "reports/index.html"
    (dataset,) = (item.dataset for item in found.inputs.dataset_inputs)
    assert (dataset.name, json.loads(dataset.profile)["shape"]) == ("digits", [1, 8, 8])
    assert json.loads(dataset.source)["uri"] == "data/prepared/tiny/digits"
    images = [item.path for item in client.list_artifacts(first.run_id, "images")]
    assert any("samples~prior" in path and path.endswith(".png") for path in images)
    assert (workspace / "mlruns" / "tiny" / first.run_id / "artifacts" / "images").is_dir()

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace / 'mlflow.db'}")
    loaded = mlflow.pytorch.load_model(f"runs:/{first.run_id}/model")
    z = torch.randn(4, 3)
    assert torch.allclose(loaded.decode(z), (model.decode(z) + 1) / 2)
    assert loaded.names == ["prior", "gaussian"]
    assert loaded.sample(5, "gaussian").shape == (5, 1, 8, 8)
    assert loaded.encode(loaded.sample(2)).mean.shape == (2, 3)


def test_an_unknown_id_falls_back_to_the_same_parameters_then_to_a_new_run(params, store):
    trained = opened(params)
    assert opened(params, trained) == trained
    assert opened(params, "") == trained
    assert opened(params, "0123456789abcdef0123456789abcdef") == trained
    assert opened(params, trained, method="rae") == trained
    assert opened(params, "", method="rae") != trained
    store.delete_run(trained)
    again = opened(params, trained)
    assert again != trained
    assert store.get_run(again).data.params["regularizer.weight"] == "2.0"


def test_training_again_is_a_new_run_unless_the_last_one_was_interrupted(params, store):
    finished = opened(params)
    status, answers = call(params, None, ["metrics", {"train/loss": 1.0}, 1])
    interrupted = answers[0][1]
    assert (status, answers[1:]) == (1, [])
    assert interrupted != finished
    assert store.get_run(interrupted).info.status == "KILLED"
    assert store.get_run(interrupted).data.metrics == {"train/loss": 1.0}
    assert opened(params, None, ["metrics", {"train/loss": 0.5}, 2], ["close", "FINISHED"]) == interrupted
    assert len(store.get_metric_history(interrupted, "train/loss")) == 2
    assert store.get_run(interrupted).info.status == "FINISHED"
    assert opened(params) not in (finished, interrupted)


def test_a_changed_weight_is_another_run(params, store):
    other = json.loads(json.dumps(STUDY))
    other["methods"]["vae"]["regularizer"]["weight"] = 3.0
    first, second = opened(params, ""), opened(parse_params(other, specs=()), "")
    assert first != second
    assert store.get_run(second).data.params["regularizer.weight"] == "3.0"


def test_a_later_value_replaces_a_metric(params, store):
    close = ["close", "FINISHED"]
    run_id = opened(params, None, ["metrics", {"mse": 7.0}, 0], close)
    opened(params, run_id, ["metrics", {"mse": 6.0}, 0], close)
    assert store.get_run(run_id).data.metrics == {"mse": 6.0}


def test_the_model_is_replaced_and_a_failure_to_log_it_leaves_the_rest(params, store, tmp_path):
    model_folder(tmp_path / "m")
    close = ["close", "FINISHED"]
    for _ in range(2):
        save_sampler(Sampler.load(tmp_path / "m"), tmp_path / "s")
        run_id = opened(params, "", ["model", str(tmp_path / "s")], close)
        (tmp_path / "s" / "MLmodel").unlink()
    assert len(store.get_run(run_id).outputs.model_outputs) == 1
    bad = ["model", str(tmp_path / "nowhere")]
    status, answers = call(params, "", bad, ["metrics", {"mse": 1.0}, 0], close)
    assert status == 0
    assert answers[1][0] == "say"
    assert "the model is not logged" in answers[1][1]
    assert store.get_run(run_id).data.metrics["mse"] == 1.0


def test_the_status_says_how_the_stage_ended(params, workspace, monkeypatch):
    ends = []
    monkeypatch.setattr(
        tracking, "TrackedRun", lambda _: type("Run", (), {"close": lambda self, s: ends.append(s)})()
    )
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error), track(params, "digits", "vae", 0):
            raise error
    with track(params, "digits", "vae", 0):
        pass
    assert ends == ["FAILED", "KILLED", "KILLED", "FINISHED"]


def test_an_unreachable_server_is_one_line(params, workspace, monkeypatch, capfd):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with track(params, "digits", "vae", 0) as run:
        run.epoch({"epoch": 1, "loss": 1.0})
        assert run.run_id is None
        run.metrics({"mse": 1.0})
    out, err = capfd.readouterr()
    assert out.startswith("tracking off: ")
    assert "127.0.0.1" in out
    assert (out.count("\n"), err) == (1, "")
    assert not (workspace / "mlflow.db").exists()


@pytest.mark.nightly
def test_a_server_that_never_answers_is_one_line(params, workspace, monkeypatch, capfd):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.getsockname()[1]}")
        with track(params, "digits", "vae", 0) as run:
            assert run.run_id is None
            run.metrics({"mse": 1.0})
    out, err = capfd.readouterr()
    assert out.startswith("tracking off: ")
    assert (out.count("\n"), err) == (1, "")


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        ("raise ImportError('no mlflow here')", "no mlflow here"),
        ("print('noise'); import os; os._exit(3)", "its process ended early"),
        ("import threading; threading.Event().wait()", "did not answer within"),
    ],
)
def test_whatever_mlflow_does_the_stage_goes_on(params, workspace, monkeypatch, capfd, module, reason):
    fakes = workspace / "fakes"
    fakes.mkdir()
    (fakes / "mlflow.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(fakes))
    monkeypatch.setattr(tracking, "PATIENCE", 60.0 if "Event" not in module else 0.2)
    with track(params, "digits", "vae", 0) as run:
        assert run.run_id is None
        for epoch in range(2000):
            run.epoch({"epoch": epoch, "loss": 1.0, "reconstruction": 1.0, "regularization": 1.0})
    out, err = capfd.readouterr()
    assert out.startswith("tracking off: ")
    assert reason in out
    assert (out.count("\n"), err) == (1, "")


def test_parameters_are_flat_and_few(params):
    assert flat_params(params, "digits", "vae") == {
        "likelihood": "gaussian",
        "likelihood.variance": "mle",
        "regularizer": "kl",
        "regularizer.weight": 2.0,
        "posterior": "gaussian",
        "network": "compact",
        "latent_dim": 3,
        "epochs": 2,
        "batch_size": 64,
        "learning_rate": 1e-3,
        "plateau.factor": 0.5,
        "plateau.patience": 3,
        "precision": "fp32",
    }
    assert flat_params(params, "digits", "rae")["epochs"] == 7


def test_a_network_s_own_latent_size_is_a_parameter_too():
    study = json.loads(json.dumps(STUDY))
    del study["datasets"]["digits"]["network"]["latent_dim"]
    assert flat_params(parse_params(study, specs=()), "digits", "vae")["latent_dim"] == 8


def test_experiments_in_dvc_s_temporary_folders_log_to_the_workspace(tmp_path, monkeypatch, params):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "tmpab12"
    copy.mkdir(parents=True)
    assert workspace_root(tmp_path) == tmp_path
    assert workspace_root(copy) == tmp_path
    assert workspace_root(copy / "deeper") == tmp_path
    assert workspace_root(tmp_path / ".dvc" / "tmp") == tmp_path / ".dvc" / "tmp"
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_EXP_NAME", "tried-weight")
    described = tracking._describe(params, "digits", "vae", 0, None)
    assert described["uri"] == f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert described["artifacts"] == (tmp_path / "mlruns" / "tiny").as_uri()
    assert described["tags"]["dvc_experiment"] == "tried-weight"
    assert described["data"] is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    described = tracking._describe(params, "digits", "vae", 0, None)
    assert (described["uri"], described["artifacts"]) == ("http://server", None)


def test_a_sampler_speaks_in_unit_images_and_names_its_densities(tmp_path):
    from vaebench.base.errors import UserError

    model = model_folder(tmp_path / "m")
    sampler = Sampler.load(tmp_path / "m", {"far": density_folder(tmp_path / "d", 30.0)})
    with torch.no_grad():
        expected = (model.decode(torch.full((1, 3), 30.0)) + 1) / 2
    assert torch.allclose(sampler.sample(3, "far"), expected.expand(3, -1, -1, -1), atol=2e-2)
    assert torch.equal(sampler.sample(3, seed=1), sampler.sample(3, seed=1))
    assert not torch.equal(sampler.sample(3, seed=1), sampler.sample(3, seed=2))
    grey = torch.full((2, 1, 8, 8), 51, dtype=torch.uint8)
    assert torch.allclose(
        sampler.encode(grey).mean, model.encode(torch.full((2, 1, 8, 8), -0.6)).mean, atol=1e-5
    )
    assert torch.allclose(sampler(grey), sampler.decode(sampler.encode(grey).mean))
    with pytest.raises(UserError, match=r"no density 'gmm10'.*prior, far"):
        sampler.sample(1, "gmm10")
