"""Errors that nobody raises on purpose, and the environment, end in one paragraph too."""

from __future__ import annotations

import errno
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.metric_models import Linear, Normal, linear_data, orthogonal, pixels, prepared, run_of
from typer.testing import CliRunner

from vaebench.base.checkpoint import Checkpoints
from vaebench.base.errors import PACKAGE, TRACEBACK, UserError, paragraph
from vaebench.base.reading import reading
from vaebench.base.registry import Registry
from vaebench.cli.app import app
from vaebench.measure.run import evaluate

ROOT = Path(__file__).parent.parent


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (UserError("mine: do this."), ["mine: do this."]),
        (OSError(errno.ENOSPC, "No space left on device", "a.json"), ["No space left", "a.json", "disk"]),
        (
            np.linalg.LinAlgError("Eigenvalues did\nnot converge"),
            ["LinAlgError: Eigen", __file__],
        ),
        (ValueError(), ["ValueError", "whole"]),
        (OSError("the library's own words"), ["OSError: the library's own words", __file__]),
    ],
)
def test_every_error_is_one_paragraph(tmp_path, monkeypatch, error, parts):
    monkeypatch.chdir(tmp_path)
    said = paragraph(raised(error))
    assert "\n" not in said
    assert all(part in said for part in parts), said
    assert TRACEBACK.exists() == (not isinstance(error, UserError) and not getattr(error, "errno", None))


ADVICE = {
    errno.ENOSPC: "make room",
    errno.EACCES: "check its permissions",
    errno.EROFS: "mount it otherwise",
    errno.ENOENT: "moved or removed",
    errno.EISDIR: "of another kind lies there",
    errno.ENAMETOOLONG: "shorten the name",
    errno.EMFILE: "ulimit -n",
    errno.EIO: "check the disk or the network folder",
    errno.ECONNREFUSED: "check the network",
}


@pytest.mark.parametrize("number", ADVICE, ids=errno.errorcode.get)
def test_an_error_of_the_system_has_the_advice_of_its_cause_and_no_other(number):
    said = paragraph(OSError(number, os.strerror(number), "data/images.npy"))
    assert said.startswith(f"{os.strerror(number)} (data/images.npy); ")
    assert [words for words in ADVICE.values() if words in said] == [ADVICE[number]]
    assert "What was written before is whole" in said


def test_a_short_write_of_numpy_s_is_a_full_disk():
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="written") as error:
        np.zeros(2**16, np.uint8).tofile(full)
    assert "make room" in paragraph(error.value)


def test_code_that_disappears_while_it_runs_is_said_to_be_gone(tmp_path, monkeypatch):
    from vaebench.study.code import code_of

    (tmp_path / "theirs_gone.py").write_text("x = 1")
    monkeypatch.syspath_prepend(tmp_path)
    code_of(["theirs_gone"])
    (tmp_path / "theirs_gone.py").unlink()
    errors = [FileNotFoundError(errno.ENOENT, "No such file", str(PACKAGE / "data.npz"))]
    with pytest.raises(FileNotFoundError) as caught:
        code_of(["theirs_gone"])
    errors.append(caught.value)
    gone = {"losses": "vaebench.no_such_module:Loss"}
    for name in ("vaebench.no_such_module", "stages.no_such_module"):
        with pytest.raises(ModuleNotFoundError) as missing, reading("model.safetensors", "train"):
            importlib.import_module(name)
        errors.append(missing.value)
    with pytest.raises(ModuleNotFoundError):
        Registry("thing", gone).load("losses")
    for error in errors:
        said = paragraph(error)
        assert "the program's own code was removed or replaced" in said
        assert "whole checkout" in said
        assert "last checkpoint is kept" in said
        assert not any(words in said for words in ADVICE.values())


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.EIO])
def test_a_file_that_may_be_whole_is_not_called_damaged(tmp_path, monkeypatch, number):
    """Nobody is told to delete it, and no training begins anew in place of its checkpoint."""
    (tmp_path / "checkpoint.pt").write_bytes(b"days of work")

    def refused(self, *_, **__):
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(UserError) as error, reading("latents.npz", "train"):
        Path("latents.npz").read_bytes()
    assert ADVICE[number] in str(error.value)
    assert "damaged" not in str(error.value)
    assert "elete" not in str(error.value)
    with pytest.raises(OSError, match=os.strerror(number)):
        Checkpoints(tmp_path, "digest", 1e9).load()


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "studies", "studies")
    shutil.copy("studies/quickstart.yaml", "params.yaml")
    return tmp_path


def run(*arguments: str):
    return CliRunner().invoke(app, arguments)


def test_a_full_disk_under_a_command_is_one_paragraph(workspace, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "params.yaml")

    before = Path("params.yaml").read_bytes()
    monkeypatch.setattr(Path, "write_text", full)
    result = run("study", "mnist_smoke")
    assert result.exit_code == 1
    assert result.output.startswith("vaebench: No space left on device (params.yaml)")
    assert result.output.count("\n") == 1
    assert Path("params.yaml").read_bytes() == before


COMMANDS = [
    "methods",
    "explain vae_gaussian",
    "best",
    "verify vae_gaussian",
    "repro",
    "repro --dry",
    "sweep -S training.epochs=1,2",
    "publish store",
    "published store",
    "sample vae_gaussian",
    "evaluate mine:model",
    "track",
    "plan",
]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  methods:\n", "  methods: vae_gaussian\n  others:\n"),
        ("datasets: [digits]", "datasets: {digits: 1}"),
        ("seeds: [0]", "seeds: 0"),
        ("seeds: [0]", "seeds: [010, 1e1]"),
    ],
)
def test_a_study_of_the_wrong_shape_is_one_paragraph_in_every_command(workspace, command, old, new):
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    result = run(*command.split())
    assert result.exit_code == 1
    assert result.output.startswith("vaebench: params.yaml: study.")
    assert result.output.count("\n") == 1


def test_an_error_that_nobody_foresaw_is_one_paragraph_and_its_traceback_is_kept(workspace, monkeypatch):
    from vaebench.study import params

    def broken(*_, **__):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(params, "load_params", broken)
    result = run("methods")
    assert result.exit_code == 1
    assert result.output.startswith("vaebench: ZeroDivisionError: by nothing")
    assert "in broken" in TRACEBACK.read_text()
    assert isinstance(run("--traceback", "methods").exception, ZeroDivisionError)


# One image, of which there is no covariance, no pair and no map


@pytest.mark.parametrize("count", [1, 2])
def test_a_test_set_of_one_image_leaves_out_what_needs_two(count):
    weight = orthogonal(6, 2, (2.0, 1.0))
    images = linear_data(200, weight, 0.1)
    model = Linear(weight, weight.T.contiguous(), std=None)
    data = prepared(images[:count])
    more = {"reference": pixels(images[:count]), "densities": {"prior": Normal(2)}, "samples": 20}
    asked = "reconstruction", "fid", "prd", "latent", "smoothness"
    found = evaluate(run_of(model, data, **more), [{"name": name} for name in asked])
    assert "mse" in found
    distances = set(found.get("fd_classifier", {}))
    assert distances == (set() if count == 1 else {"recon", "interp_mid", "interp_random", "prior"})


# Packages that are installed


def plugin(folder: Path, monkeypatch, **names: str) -> None:
    record = folder / "theirs-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in names.items())
    (record / "entry_points.txt").write_text(f"[vaebench.thing]\n{lines}")
    monkeypatch.syspath_prepend(folder)


def test_an_entry_point_with_a_built_in_s_name_is_refused_where_it_is_used(tmp_path, monkeypatch):
    plugin(tmp_path, monkeypatch, kl="theirs:KL", other="collections:OrderedDict")
    registry = Registry("thing", {"kl": "collections:Counter", "plain": "collections:deque"})
    assert registry.load("plain").__name__ == "deque"
    assert registry.load("other").__name__ == "OrderedDict"
    for use in (registry.load, registry.module):
        with pytest.raises(UserError, match=r"collections:Counter and also, .*theirs:KL; rename"):
            use("kl")


@pytest.mark.parametrize("value", ["theirs:Absent", "collections:Absent", "broken_theirs:Absent"])
def test_an_entry_point_that_cannot_be_imported_is_named(tmp_path, monkeypatch, value):
    plugin(tmp_path, monkeypatch, mine=value)
    (tmp_path / "broken_theirs.py").write_text("def (")
    with pytest.raises(UserError, match=rf"thing 'mine' is {value}, which cannot be imported"):
        Registry("thing", {}).load("mine")


def test_a_package_whose_list_of_entry_points_is_damaged_is_named(tmp_path, monkeypatch):
    plugin(tmp_path, monkeypatch, kl="theirs:KL")
    with (tmp_path / "theirs-1.0.dist-info/entry_points.txt").open("a") as file:
        file.write("a line that says nothing\n")
    with pytest.raises(UserError, match=r"installed package is damaged: theirs \(.*uninstall it"):
        Registry("thing", {}).names()
    (tmp_path / "theirs-1.0.dist-info/METADATA").write_text("")
    with pytest.raises(UserError, match="one that does not even say its name"):
        Registry("thing", {}).names()


PLUGINS = {
    "raises": ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
    "ends the program": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "has an annotation that is none": (
        "class Mine:\n    def __init__(self, *, k: 'Absent' = 1): pass",
        "NameError: .*Absent",
    ),
    "is no class": ("Mine = 3", "TypeError"),
}


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plug_in_whose_code_fails_is_named(tmp_path, monkeypatch, name):
    from vaebench.study import params

    content, reason = PLUGINS[name]
    module = f"theirs_{list(PLUGINS).index(name)}"
    (tmp_path / f"{module}.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(params, "registry", lambda kind: Registry(kind, {"mine": f"{module}:Mine"}))
    with pytest.raises(UserError, match=rf"methods.m.likelihood: the code of likelihood 'mine' .*{reason}"):
        params._check_value("likelihood", {"name": "mine"}, "methods.m.likelihood")


@pytest.mark.parametrize("spec", [{"name": "mine"}, {}, {"name": ["l2"]}, {"name": None}])
def test_a_value_that_no_package_brings_any_more_is_named_before_anything_runs(workspace, spec):
    from vaebench.study.params import load_params
    from vaebench.study.resolve import inputs

    params = load_params(specs=())
    params.methods["ae"].likelihood.clear()
    params.methods["ae"].likelihood.update(spec)
    with pytest.raises(UserError, match=r"params.yaml: likelihood .* is unknown; .*install the package"):
        inputs(params, "train", dataset="digits", method="ae")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("raise ValueError('x')", "ValueError: x"),
        ("def (", "SyntaxError"),
        ("import sys; sys.exit()", "SystemExit"),
        ("model = 3", "is 3; name a model with encode"),
        ("model = 'text'", "is 'text'; name a model with encode"),
        ("other = 3", "no attribute 'model'"),
    ],
)
def test_a_model_of_one_s_own_that_cannot_be_had_is_said(tmp_path, monkeypatch, content, message):
    from vaebench.cli.outside import _load

    module = f"own_{abs(hash(content))}"
    (tmp_path / f"{module}.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=message):
        _load(f"{module}:model")


def test_verify_says_that_the_parameters_are_not_those_recorded(workspace):
    from vaebench.base.files import write_json
    from vaebench.cli.verify import _inputs
    from vaebench.study import paths
    from vaebench.study.params import load_params
    from vaebench.study.provenance import digest
    from vaebench.study.resolve import inputs, inputs_json

    params = load_params(specs=())
    cell = params.study.name, params.study.datasets[0], "ae", 0
    for stage in ("train", "evaluate"):
        now = inputs(params, stage, dataset=cell[1], method="ae")
        write_json(inputs_json(stage, *cell), now)
        digests = {"params": digest([now["parameters"], 0]), "code": digest(now["code"])}
        write_json(paths.provenance_json(stage, *cell), {"digests": digests})
    assert list(_inputs(params, cell, Path())) == []
    before = params.training.epochs
    edited = params.model_copy(update={"training": params.training.model_copy(update={"epochs": before + 1})})
    (line,) = _inputs(edited, cell, Path())
    assert line == (
        f"the parameters of train are not those recorded: training.epochs {before} → {before + 1}"
    )


def test_verify_says_which_of_the_data_are_not_those_recorded(workspace):
    from vaebench.base.files import write_json
    from vaebench.cli.verify import _data
    from vaebench.study.paths import provenance_json

    cell = "quickstart", "digits", "ae", 0

    def lines(recorded: dict, now: dict) -> list[str]:
        for folder, arrays in (("recorded", recorded), ("again", now)):
            write_json(Path(folder) / provenance_json("evaluate", *cell), {"digests": {"data": "m"} | arrays})
        return [*_data(cell, Path("recorded"), Path("again"))]

    now = {"images": "i", "labels": "l", "factors": "f"}
    assert lines(now, now) == []
    assert lines(now | {"labels": "other"}, now) == ["the data's labels are not those recorded"]
    (line,) = lines({}, now)
    assert line == (
        "an older version recorded the cell, without the data's images, labels, factors: they may be others"
    )


def test_verify_keeps_the_caller_s_path(monkeypatch, tmp_path):
    from vaebench.cli.verify import import_path

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["plugins", "/absolute", ""]))
    assert import_path(tmp_path)[1:] == [str(tmp_path), str(tmp_path / "plugins"), "/absolute"]


def test_git_that_cannot_tell_is_no_clean_tree(tmp_path, monkeypatch):
    from vaebench.study.provenance import git_trouble, repository_state

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert repository_state() == {"git_commit": None, "git_dirty": None}
    assert "not a git repository" in git_trouble()
    monkeypatch.setenv("PATH", "")
    assert repository_state() == {"git_commit": None, "git_dirty": None}
    assert "git" in git_trouble()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_clone_of_a_foreign_owner_is_unknown_and_the_remedy_is_said(tmp_path, monkeypatch):
    """As in a container whose folder is mounted: git answers nothing until it is told to trust it."""
    from vaebench.study.provenance import git_trouble, repository_state

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    author = ["-c", "user.name=A", "-c", "user.email=a@b"]
    for command in (["init", "-q"], [*author, "commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", *command], check=True)
    assert git_trouble() == ""
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, 12345, 12345)
    assert repository_state() == {"git_commit": None, "git_dirty": None}
    assert "dubious ownership" in git_trouble()
    assert f"git config --global --add safe.directory {tmp_path}" in git_trouble()


# A shell in which the environment is not active


@pytest.mark.nightly
def test_a_stage_finds_the_environment_or_says_what_to_do(tmp_path):
    shutil.copytree(ROOT / "stages", tmp_path / "stages")
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    command = [bare / "bin/python", "-m", "stages.resolve", "--help"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "check": False}
    lost = subprocess.run(command, **options)
    assert lost.returncode == 1
    assert "activate .venv" in lost.stderr
    assert "Traceback" not in lost.stderr
    (tmp_path / "src").symlink_to(ROOT / "src")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tmp_path / ".venv/bin/python").chmod(0o755)
    found = subprocess.run(command, **options)
    assert found.returncode == 0, found.stderr
    assert "usage:" in found.stdout


LATE = {
    "a library that is broken": (
        "raise ImportError('libtorch.so: cannot open')",
        "libtorch.so",
        "make install",
    ),
    "a library that is missing": ("import nothing_of_this_name", "nothing_of_this_name", "make install"),
    "Ctrl-C": ("raise KeyboardInterrupt", "interrupted", "run again"),
}


@pytest.mark.parametrize("name", LATE)
def test_what_ends_a_stage_while_it_imports_is_a_line(tmp_path, name):
    content, *parts = LATE[name]
    shutil.copytree(ROOT / "stages", tmp_path / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src/vaebench/study").mkdir(parents=True)
    (tmp_path / "src/vaebench/study/stage.py").write_text("def end_with_dvc(): pass\n")
    (tmp_path / "stages/train.py").write_text(content)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-m", "stages.train"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.count("\n") == 1
    assert all(part in done.stderr for part in parts), done.stderr
