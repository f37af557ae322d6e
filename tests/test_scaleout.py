"""Stages in parallel: what DVC has recorded in the end is what ``dvc repro`` records."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
import scaleout_toy as toy
import yaml
from documents import blocks, run_block

dvc = pytest.importorskip("dvc")

from dvc.repo import Repo  # noqa: E402

from vaebench.base.errors import UserError  # noqa: E402
from vaebench.scaleout import head  # noqa: E402
from vaebench.scaleout.economy import quick_params  # noqa: E402
from vaebench.scaleout.engines import start_engine  # noqa: E402
from vaebench.scaleout.lock import LockFile  # noqa: E402
from vaebench.scaleout.view import View  # noqa: E402
from vaebench.study.resources import Resources, resources, study_resources  # noqa: E402


def needs(module: str):
    return pytest.mark.skipif(
        importlib.util.find_spec(module) is None,
        reason=f"{module} is not installed: pip install -e '.[scaleout,slurm]'",
    )


@pytest.fixture(scope="module")
def sequential(tmp_path_factory) -> Path:
    """The project after ``dvc repro``; not to be changed."""
    folder = toy.make(tmp_path_factory.mktemp("scaleout") / "sequential")
    subprocess.run(["dvc", "repro", "-q"], cwd=folder, env=toy.shell(folder), check=True)
    return folder


@pytest.fixture(scope="module")
def pristine(tmp_path_factory) -> Path:
    """The project before anything has run; not to be changed."""
    return toy.make(tmp_path_factory.mktemp("scaleout") / "pristine")


@pytest.fixture
def project(pristine, tmp_path, monkeypatch) -> Path:
    """A copy of the project, and the current folder."""
    folder = shutil.copytree(pristine, tmp_path / "project", symlinks=True)
    for name, value in toy.shell(folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def done(sequential, tmp_path, monkeypatch) -> Path:
    """A copy of the project after ``dvc repro``, and the current folder."""
    folder = shutil.copytree(sequential, tmp_path / "done", symlinks=True)
    monkeypatch.setenv("SHELL", "/bin/sh")
    monkeypatch.chdir(folder)
    return folder


def repro(*targets: str, engine: str = "local", slots: int = 3) -> bool:
    return head.reproduce(start_engine(engine, None, slots), targets)


def edit(folder: Path, stage: str, command: str) -> None:
    content = yaml.safe_load((folder / "dvc.yaml").read_text())
    content["stages"][stage]["cmd"] = command
    (folder / "dvc.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.mark.parametrize(
    "engine",
    [
        "local",
        pytest.param("ray", marks=[needs("ray"), pytest.mark.nightly]),
        pytest.param("dask", marks=[needs("distributed"), pytest.mark.nightly]),
    ],
)
def test_lock_cache_and_files_are_those_of_dvc_repro(engine, project, sequential):
    assert repro(engine=engine, slots=3)
    assert toy.recorded(project) == toy.recorded(sequential)
    assert toy.runs(project) == dict.fromkeys(toy.STAGES, 1)
    subprocess.run(["dvc", "repro", "-q"], env=toy.shell(project), check=True)
    assert toy.runs(project) == dict.fromkeys(toy.STAGES, 1), "dvc repro ran what was recorded"


def test_nothing_runs_after_dvc_repro_and_no_engine_starts(done, capsys):
    before = toy.recorded(done)
    assert head.reproduce(start_engine("ray") if importlib.util.find_spec("ray") else start_engine("local"))
    assert toy.runs(done) == dict.fromkeys(toy.STAGES, 1)
    assert toy.recorded(done) == before
    assert "8 unchanged" in capsys.readouterr().out


def test_a_target_runs_what_it_needs_and_an_edit_what_it_touches(project):
    assert repro("evaluate-1")
    assert set(toy.runs(project)) == {"prepare", "train-1", "evaluate-1"}
    (project / "params.yaml").write_text("rate: 0.1\none:\n  deep: [1, 3]\n")
    assert repro()
    assert toy.runs(project) == dict.fromkeys(toy.STAGES, 1) | {"train-1": 2}


def test_a_result_is_there_before_what_it_does_not_need_begins(project):
    content = {"stages": {}}
    for part, needs in (("train", []), ("evaluate", ["train"])):
        for name in "abcd":
            stage = {"cmd": f"echo {part}-{name} >> order && touch {part}-{name}", "outs": [f"{part}-{name}"]}
            content["stages"][f"{part}-{name}"] = stage | {"deps": [f"{need}-{name}" for need in needs]}
    (project / "dvc.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    assert repro(slots=1)
    order = (project / "order").read_text().split()
    for name, later in zip("ab", "cd", strict=True):  # one stage more than can run is handed over
        assert order.index(f"evaluate-{name}") < order.index(f"train-{later}")


def test_a_failing_stage_stops_only_what_depends_on_it(project, sequential, capsys):
    (project / "fails").touch()
    command = toy.STAGES["train-0"]["cmd"][0]
    edit(project, "train-0", f"{command}; [ ! -e fails ] || {{ echo out of luck; exit 3; }}")
    assert not repro()
    said = capsys.readouterr().out
    assert "out of luck" in said
    assert "ended with 3" in said
    unaffected = {"prepare", "train-1", "history", "evaluate-1"}
    assert set(toy.lock(project)["stages"]) == unaffected
    assert set(toy.runs(project)) == {*unaffected, "train-0"}

    (project / "fails").unlink()
    assert repro()
    assert {k: v for k, v in toy.runs(project).items() if v > 1} == {"train-0": 2}
    expected, found = toy.recorded(sequential), toy.recorded(project)
    assert found["files"] == expected["files"]


def test_a_command_without_its_output_is_not_recorded(project, capsys):
    edit(project, "history", "true")
    assert not repro("history")
    assert set(toy.lock(project)["stages"]) == {"prepare"}
    assert "h.txt" in capsys.readouterr().out


def test_what_saw_an_edit_halfway_is_not_recorded(project, capsys):
    edit(project, "prepare", "mkdir data; cp code.txt data/a; echo edited >> code.txt; cp code.txt data/b")
    assert not repro("prepare")
    assert not (project / "dvc.lock").exists()
    assert "code.txt changed" in capsys.readouterr().out


def test_a_truncated_lock_file_is_restored_without_running_what_the_run_cache_has(done, sequential):
    whole = (done / "dvc.lock").read_bytes()
    (done / "dvc.lock").write_bytes(whole[:0])
    assert repro()
    again = {name for name, count in toy.runs(done).items() if count > 1}
    assert again == {"history"}, (
        "DVC keeps an uncached output out of its run cache unless it is a metric or a plot"
    )
    assert toy.lock(done) == toy.lock(sequential)


def test_the_lock_file_is_written_as_dvc_writes_it(sequential, tmp_path):
    repo = Repo(os.fspath(sequential))
    stages = {stage.name: stage for stage in repo.index.stages}
    expected = (sequential / "dvc.lock").read_text()
    fresh = LockFile(tmp_path / "dvc.lock", {})
    for name in toy.lock(sequential)["stages"]:
        fresh.record(stages[name])
    assert fresh.path.read_text() == expected

    shutil.copy(sequential / "dvc.lock", fresh.path)
    contents = toy.lock(sequential)
    contents["stages"]["table"]["cmd"] = "something else"  # as if it had been run with another command
    LockFile(fresh.path, contents).record(stages["table"])
    assert fresh.path.read_text() == expected


def test_a_lock_file_in_another_layout_keeps_all_its_stages(sequential, tmp_path):
    contents = toy.lock(sequential)
    path = tmp_path / "dvc.lock"
    path.write_text(yaml.safe_dump(contents, indent=4, sort_keys=True))
    stage = next(s for s in Repo(os.fspath(sequential)).index.stages if s.name == "table")
    entry = contents["stages"].pop("table")
    LockFile(path, contents).record(stage)
    contents["stages"]["table"] = entry
    assert yaml.safe_load(path.read_text()) == contents


def test_a_second_head_is_refused_with_the_process_id_of_the_first(tmp_path):
    with head._only_head(tmp_path), pytest.raises(UserError, match=f"process {os.getpid()} on "):
        head._only_head(tmp_path).__enter__()
    with head._only_head(tmp_path):
        pass


def test_a_dvc_that_runs_a_stage_here_is_not_disturbed(project):
    owner = {"pid": os.getppid(), "cmd": "dvc repro"}
    (project / ".dvc/tmp/rwlock").write_text(
        f'{{"read": {{}}, "write": {{"{project}/data": {{"pid": {owner["pid"]}, "cmd": "dvc repro"}}}}}}'
    )
    with pytest.raises(UserError, match=f"process {owner['pid']} is a dvc"):
        repro()
    assert not toy.runs(project)


def test_outside_a_repository_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="run this in the repository's root"):
        repro()


@pytest.mark.parametrize(
    ("meta", "part"),
    [({"cpus": 0}, "cpus"), ({"gpus": -1}, "gpus"), ({"gpus": 1.5}, "whole"), ({"memory": "much"}, "memory")],
)
def test_resources_that_cannot_be_are_refused(meta, part):
    with pytest.raises(UserError, match=rf"dvc.yaml: train.meta.*{part}"):
        resources("train", meta, Resources())


def test_a_stages_meta_stands_above_the_studys_resources(tmp_path):
    params = tmp_path / "params.yaml"
    assert study_resources(params) == Resources()
    params.write_text("resources: {gpus: 0.5, memory: 8GiB}\n")
    wanted = resources("train", {"gpus": 2, "owner": "somebody else's key"}, study_resources(params))
    assert (wanted.cpus, wanted.gpus, int(wanted.memory)) == (1, 2, 8 * 1024**3)
    params.write_text("resources: {gpu: 1}\n")
    with pytest.raises(UserError, match=r"params.yaml: resources.gpu is unknown.*'gpus'"):
        study_resources(params)


def test_the_pipelines_own_trainings_share_a_gpu():
    stages = yaml.safe_load((toy.ROOT / "dvc.yaml").read_text())["stages"]
    asked = {name: resources(name, stage.get("meta"), Resources()).gpus for name, stage in stages.items()}
    assert 0 < asked["train"] < 1
    assert asked["prepare"] == asked["tabulate"] == 0


def test_params_are_those_that_dvc_reads_and_an_edit_is_seen(tmp_path):
    import dvc.dependency.param as dvc_param
    from dvc.fs import localfs

    path = tmp_path / "params.yaml"
    path.write_text("a: {b: [1, {c: 2}], 3: x}\nd: null\n")
    keys = ["a", "a.b", "a.b.1.c", "a.3", "d", "a.missing", "d.e"]
    slow = dvc_param.read_param_file
    with quick_params():
        assert dvc_param.read_param_file is not slow
        for chosen in (keys, keys[:2], ["d"]):
            read = dvc_param.read_param_file(localfs, str(path), chosen, flatten=True)
            assert read == slow(localfs, str(path), chosen, flatten=True)
        path.write_text("a: {b: [1, {c: 2}], 3: y}\nd: null\n")
        os.utime(path, ns=(1, 1))
        assert dvc_param.read_param_file(localfs, str(path), ["a"], flatten=True)["a"][3] == "y"
    assert dvc_param.read_param_file is slow


def test_the_estimate_is_by_kind_and_by_what_ran_at_a_time(capsys):
    view = View(total=7)
    view.tick({"train@0": 0.0, "train@1": 0.0})
    for name, seconds in (("train@0", 60.0), ("table@0", 20.0)):
        view.handed_over(name)
        view.ran(name, seconds)
    view.handed_over("train@1")
    view.handed_over("other@0")
    view.failed("other@0", "why", dropped=["a", "b"])
    # left: one train of 60 s, and one of unknown kind at the mean of 40 s; two at a time
    view.ran("table@1", 40.0)
    said = capsys.readouterr().out.splitlines()
    assert said[-1].endswith("1 left, about 30.0 s")
    assert "2 that depend on it do not run" in said[2]
    assert (
        view.summary()
        == "7 stages: 3 ran, 0 restored from the run cache, 0 unchanged, 1 failed, 2 not run because of that."
    )


@needs("ray")
@pytest.mark.nightly
def test_our_own_ray_listens_on_this_machine_only(tmp_path):
    code = """
import psutil
from vaebench.scaleout.engines import start_engine
with start_engine("ray", None, 1):
    ours = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = [c.laddr.ip for p in ours for c in p.net_connections("inet") if c.status == "LISTEN"]
print(len(listening), *set(listening))
"""
    environment = toy.shell(tmp_path)
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    count, *addresses = result.stdout.split()
    assert int(count) > 3
    assert {address.removeprefix("::ffff:") for address in addresses} == {"127.0.0.1"}


def test_a_cluster_that_does_not_answer_is_said_at_once():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match=f"no Ray answers at '{address}'"):
            start_engine("ray", address)


@needs("ray")
@pytest.mark.nightly
def test_the_cluster_of_this_node_is_asked_at_once_too(monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        with pytest.raises(UserError, match=f"no Ray answers at '.*:{port}'"):
            start_engine("ray", "auto")


@needs("ray")
@pytest.mark.nightly
def test_a_ray_that_is_up_is_used_and_stays_up(project, sequential):
    """By the guide's commands. It asks for a token, as Ray's own clusters do by themselves."""
    found = [b.text for b in blocks(toy.ROOT / "docs/scaleout.md", "bash") if b.text.startswith("ray start")]
    with tempfile.TemporaryDirectory(prefix="ray-") as short:
        try:
            run_block(project, *found, toy.shell(project) | {"RAY_TMPDIR": short})
            assert toy.recorded(project) == toy.recorded(sequential)
            assert processes(RAY_TMPDIR=short)
        finally:
            for process in processes(RAY_TMPDIR=short):
                process.kill()


def processes(**variables: str) -> list[psutil.Process]:
    """Those that have all of ``variables`` in their environment."""
    found = psutil.process_iter(["environ"])
    return [p for p in found if variables.items() <= (p.info["environ"] or {}).items()]


def test_an_engine_that_is_not_there_is_said(monkeypatch):
    with pytest.raises(UserError, match="there is no engine 'warp'"):
        start_engine("warp")
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "vaebench.scaleout.ray", raising=False)
    with pytest.raises(UserError, match="pip install"):
        start_engine("ray")
