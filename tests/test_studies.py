"""The committed studies of data that is not at hand, through all six stages, on files in the owners' layout.

Of each study only the sizes change: images, epochs, samples. One is measured by Inception with random
weights, the others by a few pixels in its place: its 2,048 features cost minutes per method. Pictures
are drawn of the short studies, whose data and networks are the others'.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from support.data_fixtures import (
    cifar10_digests,
    dsprites_arrays,
    shapes3d_arrays,
    write_celeba,
    write_celebahq,
    write_cifar10,
    write_dsprites,
    write_shapes3d,
)

from stages import evaluate, posthoc, prepare, reference, tabulate, train
from vaebench.data import cifar10 as cifar10_module
from vaebench.measure.features import distance_key, is_distance
from vaebench.measure.features.inception import Inception
from vaebench.study.document import compose
from vaebench.study.params import SPECS, load_params
from vaebench.study.stage import Task

ROOT = Path(__file__).parent.parent
HELD_OUT = 8
BY_INCEPTION = "takida_celeba_short"


def cifar10(raw: Path) -> None:
    batches = write_cifar10(raw, per_batch=8)
    cifar10_module.MD5 = cifar10_digests(raw, batches)


def celebahq(raw: Path) -> None:
    write_celebahq(raw, [f"{number}.png" for number in range(24)])


STUDIES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "takida_celeba": (
        lambda raw: write_celeba(raw, "0" * 12 + "1" * 8 + "2" * 8),
        ["vae_mol", "rae_gp", "mle_diag_d"],
    ),
    "takida_celebahq": (celebahq, ["wae_mmd", "mle_iso_d"]),
    "avae_celeba": (lambda raw: write_celeba(raw, "0" * 20 + "1" * 8 + "2" * 8), ["aae", "avae"]),
    "avae_cifar10": (cifar10, ["beta_tcvae", "avae"]),
    "avae_dsprites": (
        lambda raw: write_dsprites(raw, dsprites_arrays((1, 2, 2, 3, 4, 4))),
        ["beta_tcvae", "avae"],
    ),
    "avae_shapes3d": (
        lambda raw: write_shapes3d(raw, shapes3d_arrays((2, 2, 2, 3, 2, 3))),
        ["rae", "wae", "avae"],
    ),
    "takida_celeba_short": (lambda raw: write_celeba(raw, "0" * 12 + "1" * 8 + "2" * 8), ["mle_iso_i"]),
    "takida_celebahq_short": (celebahq, ["rae_gp"]),
    "avae_celeba_short": (lambda raw: write_celeba(raw, "0" * 20 + "1" * 8 + "2" * 8), ["avae"]),
    "avae_cifar10_short": (cifar10, ["wae"]),
    "avae_dsprites_short": (
        lambda raw: write_dsprites(raw, dsprites_arrays((1, 2, 2, 9, 8, 8))),
        ["avae"],
    ),
    "avae_shapes3d_short": (
        lambda raw: write_shapes3d(raw, shapes3d_arrays((4, 4, 4, 2, 2, 6))),
        ["beta_tcvae"],
    ),
}


def shrink(study: dict, methods: list[str]) -> dict:
    """The study cut down to ``methods`` and to what two cores do in a minute."""
    study["study"] |= {"methods": methods, "seeds": [0]}
    for data in study["datasets"].values():
        if "validation" in data["source"]:
            data["source"]["validation"] = HELD_OUT
        if data["source"]["name"] == "celebahq":
            data["source"]["test"] = HELD_OUT
    study["training"] |= {"epochs": 1, "batch_size": 4, "compile": "never", "precision": "fp32"}
    study["evaluation"] |= {"samples": 8, "batch_size": 8}
    for name in methods:
        if "warmup_steps" in study["methods"][name]["likelihood"]:
            study["methods"][name]["likelihood"]["warmup_steps"] = 1
        regularizer = study["methods"][name].get("regularizer", {})
        if regularizer.get("name") == "kde_kl":
            regularizer["samples"] = 8
    for density in study["densities"].values():
        density |= {"second_stage": {"epochs": 1, "batch_size": 4}, "gmm": {"components": 2}}.get(
            density["name"], {}
        )
    sizes = {
        "nll": {"k": 5, "images": 4},
        "disentanglement": {"batch": 8, "votes": 60, "evaluation_votes": 40, "mig_samples": 100},
    }
    for metric in study["evaluation"]["metrics"]:
        metric |= sizes.get(metric["name"], {})
    return study


@pytest.mark.nightly
@pytest.mark.parametrize("name", STUDIES)
def test_a_study_runs_on_files_in_the_owners_layout(name, inception_weights, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar10_module, "MD5", cifar10_module.MD5)
    monkeypatch.setattr(train, "flush_subnormal", lambda: None)  # it would hold for the tests to come
    if name != BY_INCEPTION:
        monkeypatch.setattr(Inception, "load", lambda *_: lambda images: images.flatten(1)[:, ::500])
    if not name.endswith("_short"):
        monkeypatch.setattr(evaluate, "write_pictures", lambda *_: [])
    write_raw, methods = STUDIES[name]
    write_raw(tmp_path / "raw")
    study = shrink(yaml.safe_load(compose(ROOT / f"studies/{name}.yaml")), methods)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAEBENCH_DATA", str(tmp_path / "raw"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")

    (dataset,) = study["study"]["datasets"]

    def run(stage, **cell) -> None:
        name = stage.__name__.removeprefix("stages.")
        stage.main(Task.begin(name, None, SPECS, cell))

    run(prepare, dataset=dataset)
    run(reference, dataset=dataset)
    for method in methods:
        cell = {"dataset": dataset, "method": method, "seed": 0}
        run(train, **cell)
        for density in study["study"]["densities"]:
            run(posthoc, **cell, density=density)
        run(evaluate, **cell)
    run(tabulate)

    distance = distance_key(study["evaluation"]["features"])
    asked = {metric["name"] for metric in study["evaluation"]["metrics"]}
    for method in methods:
        path = Path("reports", name, "metrics", dataset, method, "0.json")
        measured = json.loads(path.read_text(encoding="utf-8"))
        assert math.isfinite(measured["mse"])
        assert set(filter(is_distance, measured)) == ({distance} if "fid" in asked else set())
        assert ("disentanglement" in asked) == ("disentanglement" in measured)
    with Path("reports", name, "tables", "metrics.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert set(methods) <= set(itertools.chain.from_iterable(rows))
    assert name in Path("reports/index.html").read_text(encoding="utf-8")


TABLE_XI = {
    "mnist": (1e-4, 1e-7),
    "celeba": (1e-4, 1e-7),
    "cifar10": (1e-3, 1e-6),
    "dsprites": (1e-4, 1e-6),
    "shapes3d": (1e-4, 1e-6),
}
PIXELS = {"mnist": 32**2, "celeba": 3 * 64**2, "cifar10": 3 * 32**2, "dsprites": 64**2, "shapes3d": 3 * 64**2}


@pytest.mark.parametrize("name", TABLE_XI)
def test_rae_has_table_xi_on_its_authors_units(name):
    """mean over pixels and channels of r² + β · mean over dimensions of z² + decoder · Σ w²."""
    study = load_params(ROOT / f"studies/avae_{name}.yaml")
    (dataset,) = study.datasets.values()
    method, (beta, decoder) = study.methods["rae"], TABLE_XI[name]
    assert method.likelihood["scale"] == pytest.approx(1 / PIXELS[name])
    weight_of_half_a_square = method.regularizer["embedding"] / 2
    assert weight_of_half_a_square == pytest.approx(beta / dataset.network["latent_dim"], rel=2e-3)
    assert method.regularizer["decoder"] == decoder
