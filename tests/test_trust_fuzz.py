"""Anything may be in a file: it is read right or refused with a UserError, and nothing of it is run."""

from __future__ import annotations

import ast
import copy
import json
import math
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.outputs import SPEC, write_outputs
from support.scratch import QUICKSTART, ROOT

from vaebench.base.checkpoint import Checkpoints
from vaebench.base.errors import UserError
from vaebench.data.store import Prepared
from vaebench.densities.saved import load_latents
from vaebench.densities.store import load_density
from vaebench.measure.features.reference import load_reference
from vaebench.model.vae import load_model
from vaebench.study.lockfile import set_damaged_aside
from vaebench.study.params import load_params, parse_params

FEW = settings(max_examples=30, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=4_000, derandomize=False)


# The schema.

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("../x"), st.dates()
)
trees = st.recursive(
    scalars | st.sampled_from(["kl", "gaussian", "mle"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(tree, path=()):
    yield path
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def check_schema(place, value, how):
    content = copy.deepcopy(QUICKSTART)
    *parents, last = place
    inner = content
    for key in parents:
        inner = inner[key]
    if how == "replace":
        inner[last] = value
    elif how == "remove":
        del inner[last]
    elif isinstance(inner, dict):
        inner[str(value)] = value
    try:
        params = parse_params(content)
    except UserError:
        return
    names = [params.study.name, *params.study.datasets, *params.study.methods, *params.study.densities]
    assert all(name.replace("_", "").isalnum() for name in names)
    assert json.dumps(params.model_dump(mode="json"))


check_schema.strategies = {
    "place": st.sampled_from([p for p in places(QUICKSTART) if p]),
    "value": trees,
    "how": st.sampled_from(["replace", "remove", "add"]),
}


@FEW
@given(**check_schema.strategies)
def test_any_mistake_in_a_study_is_a_user_error(place, value, how):
    check_schema(place, value, how)


@FEW
@given(content=trees)
def test_any_tree_is_a_user_error(content):
    with pytest.raises(UserError):
        parse_params(content)


@FEW
@given(
    content=st.binary(max_size=60) | st.text(alphabet="{}[]&*!: -\n'\"#|>%@`a1", max_size=60).map(str.encode)
)
def test_any_bytes_for_params_are_a_user_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"params\.yaml"):
        load_params(path)
    lock = path.with_name("dvc.lock")
    lock.write_bytes(content)
    assert set_damaged_aside(lock) is not None


# Files of ours that are damaged: the prepared store, models, latents, densities, references, checkpoints.


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    write_outputs(folder)
    checkpoints(folder / "checkpoint").save(STATE)
    return folder


STATE = {"epoch": 1, "batch": 2, "history": [{"loss": 0.5}], "model": {"weight": torch.arange(6.0)}}


def checkpoints(folder: Path) -> Checkpoints:
    return Checkpoints(folder, "digest", seconds=1.0)


def load_checkpoint(folder: Path) -> None:
    """What is taken from a damaged one is what was saved; else the training begins again and says so."""
    state, line = checkpoints(folder).load()
    if state is None:
        assert "starting from the beginning" in line
        raise UserError(f"{line}: dvc repro")
    assert {k: v for k, v in state.items() if k != "model"} == {
        k: v for k, v in STATE.items() if k != "model"
    }
    assert torch.equal(state["model"]["weight"], STATE["model"]["weight"])


READERS = {
    "store": lambda folder: Prepared.open(folder).split("train").sum(),
    "model": load_model,
    "latents": lambda folder: load_latents(folder / "latents.npz"),
    "density": load_density,
    "reference": load_reference,
    "checkpoint": load_checkpoint,
}


def check_reader(originals, kind, file, position, change):
    folder = originals.with_name("damaged")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(originals / kind, folder)
    files = sorted(folder.iterdir())
    path = files[file % len(files)]
    content = bytearray(path.read_bytes())
    at = int(position * len(content))
    how, value = change
    if how == "cut":
        del content[at:]
    elif how == "insert":
        content[at:at] = value
    else:
        content[at : at + len(value)] = value
    path.write_bytes(content)
    message = "read: dvc repro"
    try:
        READERS[kind](folder)
    except UserError as error:
        message = str(error)
    assert "dvc repro" in message or "posthoc" in message, message


check_reader.strategies = {
    "kind": st.sampled_from(list(READERS)),
    "file": st.integers(0, 3),
    "position": st.floats(0, 1) | st.floats(0, 0.1),
    "change": st.tuples(st.sampled_from(["cut", "insert", "replace"]), st.binary(min_size=1, max_size=4)),
}


@settings(FEW, max_examples=60)
@given(**check_reader.strategies)
def test_damaged_files_are_read_or_refused(originals, kind, file, position, change):
    check_reader(originals, kind, file, position, change)


# Objectives: extreme inputs give finite losses and gradients.

OBJECTIVES = [
    {"name": "gaussian", "variance": "fixed", "sigma2": 1.0},
    *({"name": "gaussian", "variance": "mle", "shape": s} for s in ("iso_i", "iso_d", "diag_i", "diag_d")),
    {"name": "bernoulli"},
    {"name": "l2"},
]


def check_objective(likelihood, regularizer, pixels, scale, seed):
    torch.manual_seed(seed)
    model = SPEC.model_copy(update={"likelihood": likelihood, "regularizer": {"name": regularizer}}).build()
    with torch.no_grad():
        for weight in model.decoder.parameters():
            weight.mul_(scale)
    x = torch.rand(8, 1, 8, 8).round() if pixels == "random" else torch.full((8, 1, 8, 8), float(pixels))
    losses = model.loss(x)
    losses.total.backward()
    assert math.isfinite(losses.total.item())
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients
    assert all(g.isfinite().all() for g in gradients)


check_objective.strategies = {
    "likelihood": st.sampled_from(OBJECTIVES),
    "regularizer": st.sampled_from(["none", "kl", "mmd", "beta_tc"]),
    "pixels": st.sampled_from([0, 1, "random"]),
    "scale": st.sampled_from([0.0, 1e-6, 1.0, 10.0, 100.0]),
    "seed": st.integers(0, 2**31),
}


@FEW
@given(**check_objective.strategies)
def test_extreme_inputs_give_finite_losses_and_gradients(likelihood, regularizer, pixels, scale, seed):
    check_objective(likelihood, regularizer, pixels, scale, seed)


# The same, ten thousand times and more.


@pytest.mark.nightly
@MANY
@given(**check_schema.strategies)
def test_many_mistakes_in_a_study(place, value, how):
    check_schema(place, value, how)


@pytest.mark.nightly
@settings(MANY, max_examples=8_000)
@given(**check_reader.strategies)
def test_many_damaged_files(originals, kind, file, position, change):
    check_reader(originals, kind, file, position, change)


@pytest.mark.nightly
@settings(MANY, max_examples=2_000)
@given(**check_objective.strategies)
def test_many_extreme_inputs(likelihood, regularizer, pixels, scale, seed):
    check_objective(likelihood, regularizer, pixels, scale, seed)


# What the code itself may not do.


def calls(tree: ast.AST):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            yield (
                f"{owner}.{node.func.attr}",
                {k.arg: getattr(k.value, "value", None) for k in node.keywords},
                node,
            )


FORBIDDEN = {
    "pickle.load", "pickle.loads", "cloudpickle.load", "cloudpickle.loads", "joblib.load", "yaml.load",
    "yaml.unsafe_load", "yaml.full_load", "pd.read_pickle", "os.system", "shutil.unpack_archive",
}  # fmt: skip


@pytest.mark.parametrize(
    "path", sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "stages").glob("*.py")]), ids=str
)
def test_nothing_untrusted_is_unpickled_unpacked_or_run(path):
    for name, keywords, node in calls(ast.parse(path.read_text(encoding="utf-8"))):
        where = f"{path}:{node.lineno}"
        assert name not in FORBIDDEN, where
        assert not name.endswith((".extractall", ".extract")), where
        assert keywords.get("shell") is not True, where
        if name == "torch.load":
            assert keywords.get("weights_only") is True, where
        if name in ("np.load", "numpy.load"):
            assert keywords.get("allow_pickle") is False, where
