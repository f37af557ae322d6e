"""One step: its Adam is torch's, its precisions agree, and what is not a weight advances too."""

from __future__ import annotations

import copy
import gc
import math
import os
import subprocess
import sys
import sysconfig
from contextlib import nullcontext
from unittest.mock import MagicMock

import pytest
import torch
from torch import nn

from vaebench.base.checkpoint import Checkpoints
from vaebench.base.compiled import Compiled
from vaebench.cpu.adam import CopyingAdam
from vaebench.model.vae import ModelSpec
from vaebench.study.params import Training
from vaebench.training import train
from vaebench.training.step import Step

METHODS = {
    "vae": ({"name": "gaussian"}, {"name": "kl"}, "gaussian"),
    "warm": (
        {"name": "gaussian", "variance": "mle", "shape": "diag_d", "warmup_steps": 3},
        {"name": "kl"},
        "gaussian",
    ),
    "aae": ({"name": "l2"}, {"name": "adversarial", "hidden": [16]}, "deterministic"),
    "avae": ({"name": "l2"}, {"name": "kde_kl", "samples": 200, "bandwidth": 0.5}, "deterministic"),
    "rae_l2": ({"name": "l2"}, {"name": "rae_l2", "decoder": 1e-3}, "deterministic"),
    "rae_gp": ({"name": "l2"}, {"name": "rae_gp", "estimator": "hutchinson"}, "deterministic"),
}


@pytest.fixture(autouse=True)
def _compile_only_where_marked(request):
    """Elsewhere what would be compiled runs as it is written, which takes seconds less."""
    compiles = "really_compiled" in request.fixturenames
    with torch.compiler.set_stance("default" if compiles else "force_eager"):
        yield
    torch._dynamo.reset()


@pytest.fixture
def really_compiled():
    pass


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    from vaebench.data.preparation import prepare

    return prepare({"name": "digits", "validation": 200}, tmp_path_factory.mktemp("data") / "digits")


def build(method: str, norm: bool = False):
    torch.manual_seed(0)
    likelihood, regularizer, posterior = METHODS[method]
    model = ModelSpec(
        image_shape=(1, 8, 8),
        train_size=1000,
        network={"name": "compact", "latent_dim": 4},
        likelihood=likelihood,
        regularizer=regularizer,
        posterior={"name": posterior},
    ).build()
    if norm:
        model.encoder.insert(1, nn.BatchNorm2d(32))
    return model.to(memory_format=torch.channels_last)


def step_of(method: str, images, *, precision="bf16", compiled=True, norm=False, model=None):
    model = model or build(method, norm)
    return Step(model, images, Training(epochs=1, precision=precision), compiled)


def losses(step: Step, count: int) -> list[float]:
    generator, kept = torch.Generator().manual_seed(5), []
    for _ in range(count):
        step.sums.zero_()
        step(torch.randint(len(step.images), (64,), generator=generator))
        kept.append(float(step.sums[0]))
    return kept


def images() -> torch.Tensor:
    return torch.randint(
        0, 256, (500, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def test_the_update_is_adams():
    check_update()


@pytest.mark.pipeline
def test_the_compiled_update_is_adams(really_compiled):
    check_update()


def check_update() -> None:
    torch.manual_seed(0)
    ours = [nn.Parameter(torch.randn(33, 7)), nn.Parameter(torch.randn(5))]
    theirs = copy.deepcopy(ours)
    optimizer = CopyingAdam(ours, copied=set(), lr=1e-2)
    reference = torch.optim.Adam(theirs, lr=1e-2)
    for count in range(300):
        if count == 150:
            optimizer.param_groups[0]["lr"] = reference.param_groups[0]["lr"] = 1e-3
        gradients = [torch.randn_like(p) * 10.0 ** (count % 5 - 3) for p in ours]
        for p, g in zip(theirs, gradients, strict=True):
            p.grad = g.clone()
        optimizer.step(gradients)
        reference.step()
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-6)


def test_the_copies_follow_the_weights_and_small_steps_are_not_lost():
    weight = nn.Parameter(torch.ones(4))
    optimizer = CopyingAdam([weight], copied={weight}, lr=1e-5)
    for _ in range(1000):
        optimizer.step([torch.ones(4, dtype=torch.bfloat16)])
    # bfloat16 alone would stay at 1: its neighbours there are 0.004 and 0.008 away.
    torch.testing.assert_close(weight.detach(), torch.full((4,), 0.99), rtol=0, atol=2e-4)
    assert torch.equal(optimizer.copies[0], weight.bfloat16())


def test_only_weights_of_matrix_products_are_copied():
    step = step_of("aae", images(), norm=True)
    dtypes = {name: w.dtype for name, w in step._weights.items()}
    assert dtypes["model.encoder.0.weight"] == dtypes["model.decoder.0.bias"] == torch.bfloat16
    assert dtypes["model.encoder.1.weight"] == torch.float32
    assert not any("adversary" in name for name in dtypes)
    assert all(p.dtype == torch.float32 for p in step.model.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_bf16_copies_descend_like_float32(method, digits):
    rows = torch.from_numpy(digits.split("train").copy())
    curves = []
    for precision, compiled in (("fp32", False), ("bf16", True)):
        step = step_of(method, rows, precision=precision, compiled=compiled)
        if method == "avae":
            step.model.regularizer.refresh(torch.randn(200, 4, generator=torch.Generator().manual_seed(1)))
        torch.manual_seed(2)
        curves.append(losses(step, 60))
    exact, fast = torch.tensor(curves)
    fall = exact[:5].mean() - exact[-10:].mean()
    assert fall > 0
    assert (fast - exact)[:5].abs().max() < 0.02 * fall
    # Later single steps part ways on some machines: rounding grows where the objective is steep (ln r²).
    assert abs(fast[-10:].mean() - exact[-10:].mean()) < 0.05 * fall


@pytest.mark.pipeline
def test_a_compiled_step_is_the_step(really_compiled):
    curves = {}
    torch._dynamo.utils.counters.clear()
    for compiled in (True, False):
        step = step_of("rae_l2", images(), compiled=compiled, norm=True)
        curves[compiled] = losses(step, 5)
    assert not torch._dynamo.utils.counters["graph_break"]
    assert curves[True] == pytest.approx(curves[False], rel=0.01)
    assert step.model.encoder[1].num_batches_tracked == 5


def test_the_first_step_of_autocast_and_of_copies_is_the_same():
    after = {}
    for compiled in (True, False):
        step = step_of("rae_l2", images(), compiled=compiled)
        step(torch.arange(64))
        after[compiled] = step.model.state_dict()
    for name, value in after[True].items():
        # Adam's first step is η times the gradient's sign, which rounding decides where it is near 0.
        close = (value - after[False][name]).abs() < 1e-4
        assert close.float().mean() > 0.95, name


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_statistics_and_counters_advance(precision):
    step = step_of("warm", images(), precision=precision, norm=True)
    eager = step_of("warm", images(), precision="fp32", compiled=False, norm=True)
    for one in (step, eager):
        one.model.train()
        losses(one, 2)
    norm, reference = step.model.encoder[1], eager.model.encoder[1]
    assert step.model.likelihood.steps == 2
    assert norm.num_batches_tracked == 2
    torch.testing.assert_close(norm.running_mean, reference.running_mean, rtol=0.05, atol=5e-3)
    torch.testing.assert_close(norm.running_var, reference.running_var, rtol=0.05, atol=5e-3)


def test_the_adversary_learns_beside_the_copies():
    step = step_of("aae", images())
    before = copy.deepcopy(step.model.regularizer.adversary.state_dict())
    losses(step, 3)
    assert step.sums[3] == pytest.approx(2 * math.log(2), rel=0.2)
    after = step.model.regularizer.adversary.state_dict()
    assert any(not torch.equal(before[k], after[k]) for k in before)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_resumed_step_goes_on_to_the_bit(compiled, tmp_path):
    step = step_of("aae", images(), compiled=compiled)
    losses(step, 3)
    random = torch.get_rng_state()
    torch.save({"model": step.model.state_dict(), "step": step.state_dict()}, tmp_path / "state.pt")
    expected = losses(step, 3)

    state = torch.load(tmp_path / "state.pt", weights_only=True)
    again = step_of("aae", images(), compiled=compiled)
    again.model.load_state_dict(state["model"])
    again.load_state_dict(state["step"])
    torch.set_rng_state(random)
    assert losses(again, 3) == expected
    for name, value in step.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name


def test_the_plateau_reaches_the_copying_optimizer(digits, tmp_path):
    settings = Training(
        epochs=8,
        learning_rate=1e-7,
        plateau={"factor": 0.1, "patience": 1},
        precision="bf16",
        compile="always",
    )
    with Checkpoints(tmp_path, "digest", seconds=1e9) as kept:
        outcome = train(
            build("vae"),
            digits,
            settings,
            seed=0,
            device=torch.device("cpu"),
            checkpoints=kept,
            say=lambda _: None,
        )
    assert outcome.history[-1]["learning_rate"] < 0.5e-7


def test_where_compiling_fails_the_step_is_the_plain_one_with_a_line(monkeypatch):
    def cannot_compile(function, **_):
        def call(*arguments):
            raise RuntimeError("command: g++ -I /usr/include\nfatal error: Python.h: No such file\nadvice")

        return call

    monkeypatch.setattr(torch, "compile", cannot_compile)
    rows, lines = images(), []
    step = Step(build("rae_l2"), rows, Training(epochs=1, precision="fp32"), True, lines.append)
    plain = step_of("rae_l2", rows, precision="fp32", compiled=False)
    assert losses(step, 3) == losses(plain, 3)
    (line,) = lines
    assert "not compiled" in line
    assert "Python.h: No such file" in line


def test_what_is_wrong_with_the_function_itself_is_not_blamed_on_compiling():
    def broken(x):
        raise ValueError("mine")

    lines = []
    with pytest.raises(ValueError, match="mine"):
        Compiled(broken, lines.append)(torch.ones(1))
    assert lines == []


FAULTS = {
    "no compiler": "export CXX=/bin/false",
    "a compiler that is gone": "export CXX=/nowhere/g++",
    "no headers": f"mount -t tmpfs none {sysconfig.get_path('include')}",
    "a temporary folder without execution": 'mount -t tmpfs -o noexec none "$PLACE"',
    "a full temporary folder": 'mount -t tmpfs -o size=4k none "$PLACE"',
    "a temporary folder that cannot be written": 'mount -t tmpfs -o ro none "$PLACE"',
}
"""In shell; mounts are of a namespace of the test's own."""


@pytest.mark.nightly
@pytest.mark.parametrize("fault", FAULTS)
def test_without_a_compiler_a_training_runs_uncompiled(tmp_path, fault):
    private = ["unshare", "--mount"] if "mount" in FAULTS[fault] else []
    if (
        private
        and subprocess.run([*private, "mount", "-t", "tmpfs", "none", tmp_path], check=False).returncode
    ):
        pytest.skip(f"nobody may mount here, so {fault} was not tried")
    place = tmp_path / "place"
    place.mkdir()
    code = (
        "import torch\nfrom vaebench.base.compiled import Compiled\n"
        "call = Compiled(lambda x: (x.sin() + 1).sum(), lambda line: print('said:', line))\n"
        "assert torch.isclose(call(torch.zeros(3)), torch.tensor(3.0))\nassert call(torch.zeros(2)) == 2\n"
    )
    environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(place), "PLACE": str(place), "CODE": code}
    command = [*private, "sh", "-ec", f'{FAULTS[fault]}; exec "{sys.executable}" -c "$CODE"']
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("said: not compiled") == 1
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("enabled", [True, False])
def test_a_capture_leaves_python_s_collector_as_it_was(monkeypatch, enabled, fails):
    step = step_of("vae", torch.zeros(100, 1, 8, 8, dtype=torch.uint8), precision="fp32", compiled=False)
    step._rows, collects = torch.zeros(100, dtype=torch.long), []

    def take(rows):
        collects.append(gc.isenabled())
        if fails and len(collects) == 4:
            raise RuntimeError("no memory left")

    monkeypatch.setattr(torch, "cuda", MagicMock())
    monkeypatch.setattr(gc, "collect", lambda: 0)  # takes half a second beside torch
    torch.cuda.graph().__exit__.return_value = False
    monkeypatch.setattr(step, "_take", take)
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(RuntimeError, match="no memory") if fails else nullcontext():
            step._capture(step._rows)
        assert gc.isenabled() == enabled
    finally:
        gc.enable()
    assert collects == [enabled] * 3 + [False]
