"""params.yaml: what is right is read, what is wrong is named with its path and the remedy."""

from __future__ import annotations

import copy
import datetime
import subprocess
from pathlib import Path

import pytest
import yaml

from vaebench.base.errors import UserError
from vaebench.study.params import load_params, parse_params

STUDIES = sorted((Path(__file__).parent.parent / "studies").glob("*.yaml"))
QUICKSTART = yaml.safe_load((STUDIES[0].parent / "quickstart.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda p: p.stem)
def test_every_study_is_valid_and_named_like_its_file(path):
    assert load_params(path).study.name == path.stem


def test_the_committed_params_are_the_quickstart():
    root = STUDIES[0].parent.parent
    shown = subprocess.run(["git", "show", "HEAD:params.yaml"], cwd=root, capture_output=True, check=False)
    if shown.returncode:
        pytest.skip("NOT CHECKED: no commit here to ask")
    assert shown.stdout == (root / "studies/quickstart.yaml").read_bytes()


def test_a_method_overrides_single_keys_of_the_schedule():
    content = copy.deepcopy(QUICKSTART)
    content["methods"]["vae_gaussian"]["training"] = {"epochs": 7, "plateau": {"patience": 3}}
    params = parse_params(content)
    assert params.training_of("vae_gaussian").epochs == 7
    assert params.training_of("vae_gaussian").plateau.patience == 3
    assert params.training_of("vae_gaussian").batch_size == params.training.batch_size
    assert params.training_of("ae").epochs == params.training.epochs


def test_labels_that_are_not_unique_carry_the_method_s_key():
    content = copy.deepcopy(QUICKSTART)
    labels = {
        "vae_gaussian": "VAE",
        "vae_bernoulli": " VAE",
        "ae": "VAE (vae_gaussian)",
        "rae": "",
        "aae": "AAE",
    }
    for key, label in labels.items():
        content["methods"][key]["label"] = label
    params = parse_params(content, specs=())
    shown = {key: params.methods[key].label for key in labels}
    assert shown == {
        "vae_gaussian": "VAE (vae_gaussian) (vae_gaussian)",
        "vae_bernoulli": "VAE (vae_bernoulli)",
        "ae": "VAE (vae_gaussian) (ae)",
        "rae": "(rae)",
        "aae": "AAE",
    }
    assert parse_params(params.model_dump(mode="json"), specs=()).methods == params.methods


@pytest.mark.parametrize(
    ("part", "key", "value", "message"),
    [
        ("training", "epochs", 1.5, "training.epochs: should be a whole number, but it is 1.5."),
        ("training", "learning_rate", "fast", "training.learning_rate: should be a number"),
        ("training", "plateau", 3, "training.plateau: should be a mapping"),
        ("study", "seeds", 0, "study.seeds: should be a list"),
        ("study", "seeds", [], "study.seeds: should list at least 1"),
        ("study", "name", "A b", r"study.name: should match \^\[a-z\].*, but it is 'A b'"),
        ("study", "title", 5, "study.title: should be a text"),
    ],
)
def test_a_value_of_another_kind_is_described_in_the_words_of_yaml(part, key, value, message):
    content = copy.deepcopy(QUICKSTART)
    content[part][key] = value
    with pytest.raises(UserError, match=message):
        parse_params(content, specs=())


@pytest.mark.parametrize(
    ("part", "name", "spec", "message"),
    [
        ("densities", "recon", {"name": "prior"}, "other images than a density's"),
        ("densities", "interp_mid", {"name": "prior"}, "other images than a density's"),
        ("densities", "gmm10_se", {"name": "gmm"}, "standard errors"),
        ("densities", "prior", {"name": "gmm"}, "densities.prior is 'gmm'"),
        ("methods", "outside_gan", QUICKSTART["methods"]["ae"], "rows of `vaebench evaluate`"),
    ],
)
def test_a_name_under_which_something_else_is_recorded_is_refused(part, name, spec, message):
    content = copy.deepcopy(QUICKSTART)
    content[part][name] = spec
    with pytest.raises(UserError, match=message) as caught:
        parse_params(content, specs=())
    assert f"{part}.{name}" in str(caught.value)
    assert "choose another name" in str(caught.value)


def test_a_study_is_named_by_its_file(tmp_path):
    text = (STUDIES[0].parent / "quickstart.yaml").read_text(encoding="utf-8")
    (tmp_path / "studies").mkdir()
    for name in ("studies/mine.yaml", "params.yaml", "studies/quickstart.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert load_params(tmp_path / "params.yaml").study.name == "quickstart"
    assert load_params(tmp_path / "studies/quickstart.yaml").study.name == "quickstart"
    with pytest.raises(UserError, match=r"mine\.yaml: study\.name is 'quickstart'.*write mine"):
        load_params(tmp_path / "studies/mine.yaml")


def change(path: str, value):
    """A mutation of the quickstart: set ``path``, or delete it where the value is ``...``."""

    def mutate(content: dict) -> None:
        *parents, last = path.split(".")
        for key in parents:
            content = content[int(key) if isinstance(content, list) else key]
        if value is ...:
            del content[last]
        else:
            content[int(last) if isinstance(content, list) else last] = value

    return mutate


MISTAKES = {
    "unknown top-level key": (change("trainings", {}), ["trainings", "training"]),
    "unknown key in training": (change("training.epoch", 3), ["training.epoch", "epochs"]),
    "unknown option of a likelihood": (
        change("methods.mle_iso_i.likelihood.epss", 1),
        ["methods.mle_iso_i.likelihood.epss", "'eps'"],
    ),
    "missing epochs": (change("training.epochs", ...), ["training.epochs", "missing"]),
    "missing label": (change("methods.ae.label", ...), ["methods.ae.label", "missing"]),
    "label of two lines": (change("methods.ae.label", "A\nE"), ["methods.ae.label", "'A\\nE'"]),
    "negative epochs": (change("training.epochs", -1), ["training.epochs", "greater than"]),
    "batch of one": (change("training.batch_size", 1), ["training.batch_size", "1"]),
    "epochs in words": (change("training.epochs", "many"), ["training.epochs", "'many'"]),
    "epochs as text": (change("training.epochs", "3"), ["training.epochs", "'3'"]),
    "epochs as a fraction": (change("training.epochs", 3.0), ["training.epochs", "3.0"]),
    "epochs as a truth": (change("training.epochs", True), ["training.epochs", "True"]),
    "seed as text": (change("study.seeds", ["10"]), ["study.seeds.0", "'10'"]),
    "seed as a fraction": (change("study.seeds", [1.0]), ["study.seeds.0", "1.0"]),
    "learning rate as text": (change("training.learning_rate", "1e-3"), ["training.learning_rate", "'1e-3'"]),
    "option as text": (
        change("methods.wae_mmd.regularizer.weight", "10"),
        ["methods.wae_mmd.regularizer.weight", "'10'"],
    ),
    "label as a number": (change("methods.ae.label", 1), ["methods.ae.label", "a text", "1"]),
    "label as a date": (change("methods.ae.label", datetime.date(2024, 1, 1)), ["methods.ae.label", "2024"]),
    "name as a number": (change("study.methods.0", 10), ["study.methods.0", "10"]),
    "name that YAML reads as a number": (change("study.methods.0", "1e5"), ["study.methods.0", "'1e5'"]),
    "resource as text": (change("resources", {"cpus": "2"}), ["resources.cpus", "'2'"]),
    "learning rate zero": (change("training.learning_rate", 0), ["training.learning_rate"]),
    "learning rate nan": (change("training.learning_rate", float("nan")), ["training.learning_rate"]),
    "precision off the list": (change("training.precision", "fp16"), ["training.precision", "bf16"]),
    "negative weight": (
        change("methods.wae_mmd.regularizer.weight", -1.0),
        ["methods.wae_mmd.regularizer.weight"],
    ),
    "likelihood off the axis": (
        change("methods.ae.likelihood", {"name": "gausian"}),
        ["methods.ae.likelihood", "'gaussian'"],
    ),
    "regularizer off the axis": (
        change("methods.ae.regularizer", {"name": "kld"}),
        ["methods.ae.regularizer", "kl"],
    ),
    "posterior off the axis": (
        change("methods.ae.posterior", {"name": "dirac"}),
        ["methods.ae.posterior", "deterministic"],
    ),
    "likelihood without a name": (change("methods.ae.likelihood", {"scale": 1}), ["methods.ae.likelihood"]),
    "likelihood not a mapping": (change("methods.ae.likelihood", "l2"), ["methods.ae.likelihood"]),
    "shape off the list": (
        change("methods.mle_iso_i.likelihood.shape", "iso"),
        ["methods.mle_iso_i.likelihood.shape"],
    ),
    "method not defined": (change("study.methods.0", "vae_x"), ["study.methods", "'vae_x'"]),
    "data set not defined": (change("study.datasets.0", "mnist"), ["study.datasets", "'mnist'"]),
    "density not defined": (change("study.densities.0", "gmm5"), ["study.densities", "'gmm5'"]),
    "repeated seed": (change("study.seeds", [0, 0]), ["study.seeds", "once"]),
    "negative seed": (change("study.seeds", [-1]), ["study.seeds"]),
    "seed too large for scikit-learn": (change("study.seeds", [2**32]), ["study.seeds.0", "4294967296"]),
    "no methods": (change("study.methods", []), ["study.methods"]),
    "name that leaves the folder": (change("study.name", "../../etc"), ["study.name"]),
    "name with a slash": (change("study.name", "a/b"), ["study.name"]),
    "unknown paper": (change("study.paper", "kingma2013"), ["study.paper", "takida2022"]),
    "unknown source": (
        change("datasets.digits.source.name", "digit"),
        ["datasets.digits.source", "digits"],
    ),
    "unknown network": (
        change("datasets.digits.network.name", "resnet"),
        ["datasets.digits.network", "compact"],
    ),
    "zero latents": (change("datasets.digits.network.latent_dim", 0), ["datasets.digits.network.latent_dim"]),
    "negative validation": (change("datasets.digits.source.validation", -5), ["datasets.digits.source"]),
    "no components": (change("densities.gmm10.components", 0), ["densities.gmm10.components"]),
    "unknown density": (change("densities.gmm10.name", "gm"), ["densities.gmm10", "gmm"]),
    "unknown metric": (change("evaluation.metrics.0.name", "psnr"), ["evaluation.metrics.0"]),
    "metric listed twice": (
        change("evaluation.metrics", [{"name": "nll", "k": 1}, {"name": "nll", "k": 50}]),
        ["evaluation.metrics", "once", "['nll']"],
    ),
    "an option of none": (
        change("evaluation.features", {"name": "inception", "dims": 64}),
        ["features.dims"],
    ),
    "unknown features": (change("evaluation.features", "vgg"), ["evaluation.features", "inception"]),
    "fid without features": (
        change("evaluation.features", "none"),
        ["evaluation.metrics.1: fid", "classifier"],
    ),
    "unknown resource": (change("resources", {"gpu": 1}), ["resources.gpu", "gpus"]),
    "one GPU and a half": (change("resources", {"gpus": 1.5}), ["resources.gpus", "whole"]),
    "override off the schedule": (
        change("methods.ae.training", {"epoch": 3}),
        ["methods.ae.training.epoch", "epochs"],
    ),
    "override out of range": (change("methods.ae.training", {"epochs": 0}), ["methods.ae.training.epochs"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_path_and_what_is_allowed(name):
    mutate, expected = MISTAKES[name]
    content = copy.deepcopy(QUICKSTART)
    mutate(content)
    with pytest.raises(UserError) as caught:
        parse_params(content)
    for part in expected:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        *("", "- a\n- b\n", "study: [", "\x00", "study: !!python/object:os.system {}", "[" * 5000),
        *("study: 2024-13-45", "study: 0x_", f"study: {'1' * 5000}", "study: &a [*a]"),
    ],
    ids=lambda text: text[:12],
)
def test_a_file_that_is_no_study(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"params\.yaml") as caught:
        load_params(path)
    assert "\n" not in str(caught.value)


def test_a_method_that_is_written_twice_is_named_with_its_line(tmp_path):
    text = yaml.safe_dump(QUICKSTART, sort_keys=False, allow_unicode=True)
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    load_params(path)
    path.write_text(text.replace("\n  avae:", "\n  ae:"), encoding="utf-8")
    line = text[: text.index("\n  avae:")].count("\n") + 2
    with pytest.raises(UserError, match=rf"'ae' is there twice.*line {line}, .*Repair that place"):
        load_params(path)


def test_a_key_may_stand_in_for_one_that_is_merged_in(tmp_path):
    text = yaml.safe_dump(QUICKSTART, sort_keys=False, allow_unicode=True)
    path = tmp_path / "params.yaml"
    merged = text.replace("\ntraining:\n", "\ntraining:\n  <<: {epochs: 7, batch_size: 9}\n")
    path.write_text(merged, encoding="utf-8")
    training = load_params(path).training
    assert (training.epochs, training.batch_size) == (QUICKSTART["training"]["epochs"], 64)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load_params(tmp_path)


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="make study"):
        load_params(tmp_path / "params.yaml")
