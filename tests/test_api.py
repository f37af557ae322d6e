"""The library: what a notebook or another project's code calls."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import vaebench
from vaebench import build_method, evaluate, load_model
from vaebench.base.errors import UserError
from vaebench.base.registry import Registry
from vaebench.data.preparation import prepare
from vaebench.densities import DENSITIES
from vaebench.densities.saved import save_latents
from vaebench.measure.features import classifier
from vaebench.measure.features.reference import build_reference
from vaebench.measure.run import Run
from vaebench.measure.run import evaluate as evaluate_run
from vaebench.model.posteriors.base import Latent
from vaebench.model.vae import save_model
from vaebench.training import encode_data

ROOT = Path(__file__).parent.parent
NETWORK = {"name": "compact", "latent_dim": 3}
METHOD = {
    "likelihood": {"name": "gaussian", "variance": "fixed"},
    "regularizer": {"name": "kl", "weight": 2.0},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare({"name": "digits", "validation": 200}, tmp_path_factory.mktemp("data") / "digits")


@pytest.fixture(scope="module")
def reference(data, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "STEPS", 100)
        return build_reference(data, "classifier", 0, tmp_path_factory.mktemp("reference"))


@pytest.fixture
def model(data):
    torch.manual_seed(0)
    return build_method(METHOD, data.shape, network=NETWORK, train_size=1237)


class Wrapped:
    """A model of somebody else's, which knows nothing of vaebench."""

    def __init__(self, model):
        self.model = model

    def encode(self, x):
        latent = self.model.encode(x)
        return latent.mean, latent.log_var

    def decode(self, z):
        return self.model.decode(z)


@pytest.mark.pipeline
def test_importing_the_package_does_not_import_torch():
    code = "import sys, vaebench; assert 'torch' not in sys.modules; print(vaebench.load_model.__name__)"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "src", capture_output=True, text=True, check=True
    )
    assert result.stdout == "load_model\n"
    assert {"build_method", "evaluate", "load_model"} <= set(dir(vaebench))
    with pytest.raises(AttributeError, match="no attribute 'build_methods'"):
        vaebench.build_methods  # noqa: B018


def test_a_method_is_built_as_params_yaml_says(model, data):
    assert model.regularizer.weight == 2.0
    assert model.posterior.stochastic
    for wrong, message in (
        ({**METHOD, "regulariser": {"name": "kl"}}, "method.regulariser is unknown"),
        ({"regularizer": {"name": "kl"}}, "method.likelihood is missing"),
        ({**METHOD, "regularizer": {"name": "kl", "wieght": 1}}, "Did you mean 'weight'"),
    ):
        with pytest.raises(UserError, match=message):
            build_method(wrong, data.shape, network=NETWORK, train_size=10)


def test_it_measures_what_the_evaluate_stage_measures(model, data, reference, tmp_path):
    save_model(tmp_path, model)
    latents = encode_data(model, data, torch.device("cpu"))
    save_latents(tmp_path / "latents.npz", latents)
    for name in ("prior", "gmm"):
        options = {"components": 3} if name == "gmm" else {}
        density = DENSITIES.build({"name": name, **options})
        density.fit(latents, 1)
        density.save(tmp_path / name)
    run = Run.open(
        prepared=data.path, model=tmp_path, densities={n: tmp_path / n for n in ("prior", "gmm")},
        reference=None, seed=1, samples=300,
    )  # fmt: skip
    run.reference = reference
    names = ["reconstruction", "fid", "latent"]
    measured = evaluate(
        load_model(tmp_path), data.path, [*names[:-1], {"name": "latent"}],
        densities={"prior": {"name": "prior"}, "gmm": {"name": "gmm", "components": 3}},
        reference=reference, seed=1, samples=300,
    )  # fmt: skip
    assert measured == evaluate_run(run, [{"name": name} for name in names])
    assert measured["fd_classifier"].keys() >= {"prior", "gmm", "recon"}


def test_a_model_of_somebody_elses_is_measured_alike(model, data, reference):
    options = {"metrics": ["reconstruction", "fid", "latent", "smoothness"], "reference": reference}
    ours = evaluate(model, data, **options, samples=200)
    assert evaluate(Wrapped(model), data, **options, samples=200) == ours


def test_a_torch_module_with_a_plain_code_has_a_deterministic_posterior(data):
    class Module(nn.Module):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.9)

        def encode(self, x):
            return self.drop(x.flatten(1))

        def decode(self, z):
            return z.reshape(-1, 1, 8, 8)

    measured = evaluate(Module(), data, ["reconstruction", "smoothness"], prior_scale=None)
    assert measured["mse"] == 0  # in evaluation mode: nothing is dropped
    assert "kl" not in measured
    assert "mi_bound" not in measured["smoothness"]
    assert measured["smoothness"]["els"] == pytest.approx(1)  # the identity: ‖J‖² = d


def test_images_are_in_the_data_sets_value_range(tmp_path):
    data = prepare({"name": "digits"}, tmp_path / "digits")
    data.meta["value_range"] = [-1, 1]
    seen = []

    class Black:
        def encode(self, x):
            seen.append((x.min().item(), x.max().item()))
            return Latent(x.flatten(1), None, x.flatten(1))

        def decode(self, z):
            return -torch.ones(len(z), 1, 8, 8)

    pixels = np.asarray(data.split("test"), dtype=np.float64) / 255
    assert evaluate(Black(), data)["mse"] == pytest.approx((4 * pixels**2).sum() / len(pixels), rel=1e-5)
    assert (min(low for low, _ in seen), max(high for _, high in seen)) == (-1, 1)


def test_what_a_model_cannot_give_is_said(model, data):
    class NoDecoder:
        encode = model.encode

    class Cropping(Wrapped):
        def decode(self, z):
            return super().decode(z)[..., :4, :4]

    with pytest.raises(UserError, match=r"NoDecoder has no decode\(\)"):
        evaluate(NoDecoder(), data)
    with pytest.raises(UserError, match=r"\(2, 1, 4, 4\) where the images are \(2, 1, 8, 8\)"):
        evaluate(Cropping(model), data)
    with pytest.raises(UserError, match=r"p\(x\|z\)"):
        evaluate(Wrapped(model), data, ["nll"])
    with pytest.raises(UserError, match="metrics fid compare features"):
        evaluate(model, data, ["reconstruction", "fid"])
    with pytest.raises(UserError, match="'reconstruction'"):
        evaluate(model, data, ["reconstructoin"])


def test_a_package_adds_to_an_axis_through_an_entry_point(tmp_path, monkeypatch):
    (tmp_path / "theirs.py").write_text(
        "class Zero:\n    def __init__(self, context, *, weight: float = 1):\n        self.weight = weight\n"
    )
    record = tmp_path / "theirs-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text("[vaebench.regularizer]\nzero = theirs:Zero\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("regularizer", {"none": "vaebench.model.regularizers.none:NoRegularizer"})
    assert registry.names() == ["none", "zero"]
    assert registry.build({"name": "zero", "weight": 2}, None).weight == 2.0


MODULES = sorted(m.name for m in pkgutil.walk_packages(vaebench.__path__, "vaebench."))


def test_every_example_in_a_docstring_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    attempted = {}
    for name in ["vaebench", *MODULES]:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name.startswith("vaebench"):
                raise
            continue  # an optional extra is not installed
        result = doctest.testmod(module)
        assert result.failed == 0, name
        attempted[name] = result.attempted
    assert all(
        attempted[name]
        for name in ("vaebench", "vaebench.api", "vaebench.model.vae", "vaebench.base.registry")
    )
