"""``vaebench check``: every built-in value passes it, and each fault is found by the check that is for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from vaebench.cli import check as command
from vaebench.cli.conformance import CHECKS, check_value
from vaebench.measure.features import classifier
from vaebench.measure.metrics import METRICS
from vaebench.model.regularizers import REGULARIZERS
from vaebench.model.regularizers.base import Context, Regularizer
from vaebench.study.params import registry

LARGE = {f"takida_{name}" for name in ("mnist", "smooth", "celeba")}
LARGE |= {f"avae_{name}" for name in ("mnist", "celeba", "cifar10")} | {"inception"}
ELSEWHERE = {"dinov2", "clip", "vgg16"}
"""Networks whose weights are downloaded; ``test_features_fidelity.py`` has stand-ins for them."""

OPTIONS = {
    ("density", "second_stage"): {"epochs": 1, "hidden": 32},
    ("metric", "nll"): {"k": 20},
    ("metric", "disentanglement"): {"votes": 40, "batch": 8, "evaluation_votes": 20, "mig_samples": 100},
    ("metric", "kid"): {"subsets": 3, "subset_size": 50},
}
VALUES = [
    pytest.param(axis, name, marks=pytest.mark.nightly if name in LARGE else ())
    for axis in ("likelihood", "regularizer", "posterior", "network", "density", "features", "metric")
    for name in registry(axis).names()
    if name not in ELSEWHERE
]


@pytest.mark.parametrize(("axis", "name"), VALUES)
def test_a_built_in_value_passes(axis, name, request, monkeypatch):
    if name == "inception":
        request.getfixturevalue("inception_weights")
    monkeypatch.setattr(classifier, "STEPS", 5)
    findings = list(check_value(axis, name, OPTIONS.get((axis, name))))
    assert [finding.check for finding in findings] == list(CHECKS)
    assert [finding for finding in findings if finding.status == "fails"] == []
    assert any(finding.status == "ok" for finding in findings)


@pytest.mark.parametrize(
    "options",
    [
        {"variance": "mle"},
        {"variance": "mle", "shape": "diag_d"},
        {"variance": "trainable", "shape": "diag_i"},
        {"variance": "mle", "shape": "diag_d", "warmup_steps": 2},
    ],
    ids=str,
)
def test_variances_of_the_gaussian_pass(options):
    assert [f for f in check_value("likelihood", "gaussian", options) if f.status == "fails"] == []


class Half(torch.autograd.Function):
    """The square, with half its gradient."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0]


class Base(Regularizer):
    """weight · E‖z‖²."""

    def __init__(self, context: Context, *, weight: float = 1.0):
        super().__init__(context)
        self.weight = weight

    def forward(self, latent, decoder):
        return self.weight * self.penalty(latent.z).mean()

    def penalty(self, z: Tensor) -> Tensor:
        return z.square()


class WrongGradient(Base):
    """weight · E‖z‖², wrongly."""

    def penalty(self, z):
        return Half.apply(z)


class Detached(Base):
    """weight · E‖z‖² over its own size, which is detached."""

    def penalty(self, z):
        return z.square() / z.square().mean().detach()


class Overflows(Base):
    """weight · E‖z‖², which bfloat16 makes infinite."""

    def penalty(self, z):
        low = torch.nn.functional.linear(z, torch.eye(z.shape[1], dtype=z.dtype))
        return low.square() if low.dtype is not torch.bfloat16 else low * torch.inf


class Forgets(Base):
    """weight · E‖z‖², the weight growing with the steps, which no buffer keeps."""

    def penalty(self, z):
        self.weight *= 1.1
        return z.square()


class Draws(Base):
    """weight · E‖z‖² with noise of numpy's."""

    def penalty(self, z):
        return z.square() * np.random.rand()


class Hoards(Base):
    """weight · E‖z‖², all of whose values are kept."""

    def __init__(self, context: Context, *, weight: float = 1.0):
        super().__init__(context, weight=weight)
        self.seen: list[Tensor] = []

    def penalty(self, z):
        self.seen.append(z)
        return z.square()


class Undescribed(Regularizer):
    def __init__(self, context: Context, *, weight: float = 1.0):
        super().__init__(context)
        self.weight = weight

    def forward(self, latent, decoder):
        return self.weight * latent.z.square().mean()


FAULTS = {
    Base: None,
    WrongGradient: ("gradients", "differ from finite differences"),
    Detached: ("gradients", "something detached"),
    Overflows: ("bf16", "losses of 3 steps"),
    Forgets: ("resumes", "neither a parameter nor a buffer"),
    Draws: ("repeats", "torch's generator is the only one"),
    Hoards: ("memory", "bytes of tensors more"),
}


@pytest.mark.parametrize("value", FAULTS, ids=lambda value: value.__name__)
def test_a_fault_is_found_by_its_check(value):
    with REGULARIZERS.adding("faulty", value):
        found = {finding.check: finding for finding in check_value("regularizer", "faulty")}
    failing = [check for check, finding in found.items() if finding.status == "fails"]
    if FAULTS[value] is None:
        assert failing == []
    else:
        check, words = FAULTS[value]
        assert check in failing
        assert words in found[check].detail


def test_what_is_not_described_is_named():
    with REGULARIZERS.adding("faulty", Undescribed):
        described = next(check_value("regularizer", "faulty", {"weight": 1.0}))
    assert described.status == "fails"
    assert "no docstring" in described.detail
    assert "not mention option 'weight'" in described.detail


def test_an_option_without_annotation_is_named():
    class Bare(Base):
        def __init__(self, context, *, weight=1.0):
            super().__init__(context, weight=weight)

    with REGULARIZERS.adding("faulty", Bare):
        (described,) = check_value("regularizer", "faulty")
    assert (described.status, "weight" in described.detail) == ("fails", True)


def test_a_metric_without_a_label_and_with_noise_fails():
    def noisy(run):
        """A number of numpy's."""
        return {"noisy": np.random.rand()}

    with METRICS.adding("noisy", noisy):
        found = {finding.check: finding for finding in check_value("metric", "noisy")}
    assert "noisy has no label" in found["described"].detail
    assert "draw from run.rng" in found["repeats"].detail


PLUGIN = '''
"""A plug-in."""

from vaebench.base.precision import full
from vaebench.base.described import Described, describes
from vaebench.model.regularizers.base import Context, Regularizer


class LatentL1(Regularizer):
    """weight · E‖z‖₁."""

    def __init__(self, context: Context, *, weight: float = 1e-3):
        super().__init__(context)
        self.weight = weight

    def forward(self, latent, decoder):
        return self.weight * full(latent.z).abs().sum(1).mean()


@describes({"latent.spread": Described("spread")})
def spread(run):
    """The spread of the latents."""
    return {"latent": {"spread": run.latents["test_mean"].std()}}


def helper(model):
    """Nothing of an axis."""
'''


def test_all_values_of_a_module_are_checked_and_leave_no_trace(tmp_path, monkeypatch):
    (tmp_path / "my_plugin.py").write_text(PLUGIN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    lines: list[str] = []
    assert command.check("my_plugin", {}, lines.append)
    assert [line for line in lines if not line.startswith(" ")] == ["regularizer latent_l1", "metric spread"]
    assert len(lines) == 2 * (1 + len(CHECKS))
    assert "latent_l1" not in REGULARIZERS.names()
    lines.clear()
    assert command.check("my_plugin:LatentL1", {"weight": 2.0}, lines.append)
    assert lines[0] == "regularizer latent_l1"


def test_a_name_of_several_axes_is_checked_on_each(monkeypatch):
    checked = []
    monkeypatch.setattr(command, "check_value", lambda *found: checked.append(found[:2]) or [])
    command.check("gaussian", {}, print)
    assert checked == [("likelihood", "gaussian"), ("posterior", "gaussian"), ("density", "gaussian")]
