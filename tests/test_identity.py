"""A name stands for one set of parameters, and a schedule's settings take effect."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vaebench.base.errors import UserError
from vaebench.cli.app import app
from vaebench.study.document import compose, parse
from vaebench.study.identity import check_identity
from vaebench.study.params import Training, load_params
from vaebench.study.schedule import check_schedule, check_warm_start, useless_patience

ROOT = Path(__file__).parent.parent


def git(*arguments: str) -> None:
    author = "-c", "user.name=A", "-c", "user.email=a@b"
    subprocess.run(["git", *author, *arguments], check=True, capture_output=True)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A clone in which takida_mnist_short is active and has committed results."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_EXP_BASELINE_REV", raising=False)
    shutil.copytree(ROOT / "studies", "studies")
    Path("params.yaml").write_text(compose(Path("studies/takida_mnist_short.yaml")), encoding="utf-8")
    metrics = Path("reports/takida_mnist_short/metrics/mnist/ae/0.json")
    metrics.parent.mkdir(parents=True)
    metrics.write_text("{}")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "results")
    return tmp_path


def edit(old: str, new: str) -> None:
    text = Path("params.yaml").read_text(encoding="utf-8")
    assert old in text
    Path("params.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")


EDITS = {
    "fewer epochs": ("  epochs: 10\n  batch", "  epochs: 1\n  batch", "training.epochs 10 → 1"),
    "fewer seeds": ("seeds: [0, 1, 2]", "seeds: [0]", "study.seeds"),
    "a method less": ("    - vae_gaussian\n", "", "study.methods"),
    "another weight": ("sigma2: 1.0", "sigma2: 0.5", "sigma2 1.0 → 0.5"),
}


@pytest.mark.parametrize("name", EDITS)
def test_committed_results_are_not_replaced_by_another_schedule(workspace, name, monkeypatch):
    old, new, said = EDITS[name]
    check_identity(load_params(specs=()))
    edit(old, new)
    params = load_params(specs=())
    with pytest.raises(UserError, match=r"vaebench new-study") as caught:
        check_identity(params)
    assert said in str(caught.value)
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "abc")
    check_identity(params)


def test_what_is_only_shown_and_what_is_the_user_s_own_may_differ(workspace):
    edit("title: Takida", "title: My Takida")
    edit("    label: AE", "    label: Autoencoder")
    check_identity(load_params(specs=()))
    edit("seeds: [0, 1, 2]", "seeds: [0]")
    edit("name: takida_mnist_short", "name: mine")
    check_identity(load_params(specs=()))


def test_a_study_whose_results_are_not_committed_may_be_edited(workspace):
    git("rm", "-rq", "--cached", "reports")
    edit("seeds: [0, 1, 2]", "seeds: [0]")
    check_identity(load_params(specs=()))


def new_study(*arguments: str):
    return CliRunner().invoke(app, ["new-study", *arguments])


def test_a_new_study_says_only_what_differs(workspace):
    result = new_study(
        "mine", "--from", "avae_mnist", "--methods", "vae,avae", "--seeds", "3", "--epochs", "2"
    )
    assert result.exit_code == 0, result.output
    content = parse(Path("studies/mine.yaml").read_text(encoding="utf-8"), "")
    assert content["extends"] == "avae_mnist"
    assert content["training"] == {"epochs": 2, "plateau": None}
    params = load_params("studies/mine.yaml", specs=())
    base = load_params("studies/avae_mnist.yaml", specs=())
    assert params.study.name == "mine"
    assert params.study.title == "avae_mnist with methods vae, avae, seeds 3, 2 epochs"
    assert list(params.methods) == ["vae", "avae"]
    assert params.study.seeds == [3]
    assert {params.training_of(method).epochs for method in params.study.methods} == {2}
    assert params.evaluation == base.evaluation
    check_schedule(params)


def test_edits_of_params_yaml_are_kept_under_a_new_name(workspace):
    edit("sigma2: 1.0", "sigma2: 0.5")
    assert new_study("mine", "--title", "A wider decoder").exit_code == 0
    mine, active = load_params("studies/mine.yaml", specs=()), load_params(specs=())
    assert mine.methods == active.methods
    assert (mine.study.name, mine.study.title) == ("mine", "A wider decoder")
    assert "extends" not in Path("studies/mine.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["quickstart"], "there already"),
        (["Mine"], "cannot name a study"),
        (["1e5"], "cannot name a study"),
        (["../mine"], "cannot name a study"),
        (["mine", "--from", "nothing"], "there is no study"),
        (["mine", "--methods", "vae_x"], "'vae_x'"),
        (["mine", "--seeds", "one"], "--seeds"),
        (["mine", "--seeds", "0,0"], "repeated"),
    ],
)
def test_a_new_study_that_is_none_is_not_written(workspace, arguments, said):
    before = {path: path.read_bytes() for path in Path("studies").iterdir()}
    result = new_study(*arguments)
    assert result.exit_code == 1
    assert said in result.output
    assert {path: path.read_bytes() for path in Path("studies").iterdir()} == before


# Schedules that cannot take effect


@pytest.mark.parametrize("path", sorted((ROOT / "studies").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_setting_of_a_committed_schedule_can_take_effect(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_schedule(load_params(path, specs=()))


def test_a_warm_start_ends_before_the_training_does():
    check_warm_start(1000, 1001)
    check_warm_start(0, 0)
    with pytest.raises(UserError, match=r"warmup_steps is 1000, and the training has 938 steps"):
        check_warm_start(1000, 938)
    with pytest.raises(UserError, match="warmup_steps"):
        check_warm_start(938, 938)


def test_a_warm_start_of_prepared_data_is_refused_before_anything_runs(workspace):
    edit("  epochs: 10\n  batch", "  epochs: 1\n  batch")
    params = load_params(specs=())
    check_schedule(params)
    meta = Path("data/prepared/takida_mnist_short/mnist/meta.json")
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"splits": {"train": [0, 60_000]}}))
    with pytest.raises(UserError, match=r"methods\.mle_diag_d on mnist: .*1000.*937 steps"):
        check_schedule(params)


@pytest.mark.parametrize(
    ("setting", "epochs", "useless"),
    [
        ({"plateau": {"patience": 5}}, 7, {}),
        ({"plateau": {"patience": 5}}, 6, {"plateau": 5}),
        ({"early_stopping": 2}, 4, {}),
        ({"early_stopping": 2}, 3, {"early_stopping": 2}),
        ({}, 1, {}),
    ],
)
def test_a_patience_that_outlasts_the_training(setting, epochs, useless):
    assert useless_patience(Training(epochs=epochs, **setting)) == useless


# The schema for editors


def test_the_schema_knows_every_axis_and_its_options():
    result = CliRunner().invoke(app, ["schema"])
    assert result.exit_code == 0
    schema = json.loads(result.output)
    likelihoods = schema["$defs"]["Method"]["properties"]["likelihood"]["anyOf"][0]["anyOf"]
    gaussian = next(value for value in likelihoods if value["properties"]["name"]["const"] == "gaussian")
    assert {"variance", "shape", "eps", "warmup_steps"} <= gaussian["properties"].keys()
    assert gaussian["additionalProperties"] is False
    assert "extends" in schema["properties"]
    text = json.dumps(schema)
    for reference in {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}:
        assert reference in schema["$defs"]


def test_every_study_is_valid_by_the_schema():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(CliRunner().invoke(app, ["schema"]).output)
    validator = jsonschema.Draft202012Validator(schema)
    for path in sorted((ROOT / "studies").glob("*.yaml")):
        for text in (path.read_text(encoding="utf-8"), compose(path)):
            assert [error.message for error in validator.iter_errors(parse(text, path))] == [], path
    wrong = parse(compose(ROOT / "studies/quickstart.yaml"), "")
    wrong["methods"]["ae"]["likelihood"]["scael"] = 1
    assert not validator.is_valid(wrong)
