"""Stages in parallel: what DVC has recorded in the end is what ``dvc repro`` records."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest.mock import Mock

import networkx as nx
import psutil
import pytest
import yaml
from support import scaleout_toy as toy
from support.documents import blocks, run_block

from vaebench.base.errors import UserError
from vaebench.scaleout import head
from vaebench.scaleout.engines import start_engine
from vaebench.scaleout.plan import Plan, read_graph
from vaebench.study.resources import Resources, resources, study_resources


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
    return enter(pristine, tmp_path / "project", monkeypatch)


def enter(source: Path, folder: Path, monkeypatch) -> Path:
    """A copy of ``source``, and the current folder."""
    shutil.copytree(source, folder, symlinks=True)
    for name, value in toy.shell(folder).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    return folder


def repro(*targets: str, engine: str = "local", slots: int = 3) -> bool:
    return head.reproduce(start_engine(engine, None, slots), targets)


@pytest.mark.parametrize("engine", ["local", toy.RAY, toy.DASK])
def test_lock_cache_and_files_are_those_of_dvc_repro(engine, project, sequential):
    assert repro(engine=engine, slots=3)
    assert toy.recorded(project) == toy.recorded(sequential)
    assert toy.runs(project) == dict.fromkeys(toy.STAGES, 1)
    subprocess.run(["dvc", "repro", "-q"], env=toy.shell(project), check=True)
    assert toy.runs(project) == dict.fromkeys(toy.STAGES, 1), "dvc repro ran what was recorded"


def test_nothing_runs_after_dvc_repro_and_no_engine_starts(sequential, tmp_path, monkeypatch, capsys):
    done = enter(sequential, tmp_path / "done", monkeypatch)
    assert head.reproduce(None)
    assert toy.runs(done) == dict.fromkeys(toy.STAGES, 1)
    assert toy.recorded(done) == toy.recorded(sequential)
    assert "Everything is up to date." in capsys.readouterr().out
    (done / toy.TOY).write_text("rate: 0.1\none:\n  deep: [1, 3]\n")
    assert head.preview() == ["runs     train-1", "may run  evaluate-1", "may run  table"]


def test_a_stage_that_always_runs_goes_first_and_once_and_only_what_it_changes_runs(project):
    resolve = "echo $$ >> ran/resolve; cp code.txt resolved"
    toy.edit(project, "resolve", cmd=resolve, always_changed=True, outs=["resolved"])
    toy.edit(project, "prepare", deps=["resolved"])
    assert repro()
    assert toy.runs(project) == dict.fromkeys([*toy.STAGES, "resolve"], 1)
    assert repro()
    assert toy.runs(project) == dict.fromkeys(toy.STAGES, 1) | {"resolve": 2}
    (project / "code.txt").write_text("edited\n")
    assert [line.split()[-1] for line in head.preview(["evaluate-1"])] == ["prepare", "train-1", "evaluate-1"]
    assert toy.runs(project)["prepare"] == 1


def test_a_grid_is_every_combination_and_a_list_is_one_value():
    assert head.grid(["a.b=1,2", "c=[0,1],[2]"]) == {
        f"a.b={a} c={c}": (f"a.b={a}", f"c={c}") for a in "12" for c in ("[0,1]", "[2]")
    }
    with pytest.raises(UserError, match=r"-S a has no value"):
        head.grid(["a"])


@pytest.mark.nightly
def test_a_sweep_runs_an_experiment_for_each_point_in_parallel(project):
    """DVC makes one copy after another under its lock, and what has been recorded is in no other's way."""
    commit = "git add -A && git commit -qm"
    shell = {"shell": True, "env": toy.shell(project)}
    subprocess.run(f"{commit} toy && dvc repro -q && {commit} done", check=True, **shell)
    grid = head.grid([f"{toy.TOY}:rate=0.5,0.7,0.9", f"{toy.TOY}:one.deep=[1],[2]"])
    assert head.sweep(start_engine("local", None, 3), grid)
    rates = re.findall(rb'"rate": ([0-9.]+)', subprocess.check_output("dvc exp show --json", **shell))
    assert {float(rate) for rate in rates} == {0.1, 0.5, 0.7, 0.9}
    assert len(subprocess.check_output("dvc exp list --name-only", **shell).split()) == 6


def test_the_graph_holds_dvcs_stages_and_no_edge_as_one(monkeypatch):
    text = 'strict digraph {\n"resolve@s";\n"train@s-0";\n"resolve@s" -> "train@s-0";\n}\n'
    monkeypatch.setattr("vaebench.scaleout.plan.ask_dvc", lambda *_: text)
    graph = read_graph(Path())
    assert set(graph) == {"resolve@s", "train@s-0"}
    assert list(graph.edges) == [("train@s-0", "resolve@s")]


def test_a_plan_goes_on_to_the_next_result_when_the_first_is_done():
    graph = nx.DiGraph([("b1", "a1"), ("b2", "a2"), ("c", "b1"), ("c", "b2")])
    plan, order = Plan(graph), []
    while name := plan.next():
        order.append(name)
        plan.done(name)
    assert order == ["a1", "b1", "a2", "b2", "c"]
    plan = Plan(graph)
    assert {plan.next(), plan.next()} == {"a1", "a2"}
    assert plan.drop("a1") == ["b1", "c"]
    assert plan.drop("a2") == ["b2"]


def test_a_target_runs_what_it_needs_as_it_was_said_and_an_edit_what_it_touches(project):
    needed = ["prepare", "train-1", "evaluate-1"]
    assert [line.split() for line in head.preview(["evaluate-1"])] == [["runs", name] for name in needed]
    assert toy.runs(project) == {}
    assert repro("evaluate-1")
    assert set(toy.runs(project)) == set(needed)
    (project / toy.TOY).write_text("rate: 0.1\none:\n  deep: [1, 3]\n")
    assert repro()
    assert toy.runs(project) == dict.fromkeys(toy.STAGES, 1) | {"train-1": 2}


def test_a_failing_stage_stops_only_what_depends_on_it(project, sequential, capsys):
    (project / "fails").touch()
    command = toy.STAGES["train-0"]["cmd"][0]
    toy.edit(project, "train-0", cmd=f"{command}; [ ! -e fails ] || {{ echo out of luck; exit 3; }}")
    assert not repro()
    assert "out of luck" in capsys.readouterr().out
    unaffected = {"prepare", "train-1", "history", "evaluate-1"}
    assert set(toy.lock(project)["stages"]) == unaffected
    assert set(toy.runs(project)) == {*unaffected, "train-0"}

    (project / "fails").unlink()
    assert repro()
    assert {k: v for k, v in toy.runs(project).items() if v > 1} == {"train-0": 2}
    assert toy.recorded(project)["files"] == toy.recorded(sequential)["files"]


def test_a_command_without_its_output_is_not_recorded(project, capsys):
    toy.edit(project, "history", cmd="true")
    assert not repro("history")
    assert set(toy.lock(project)["stages"]) == {"prepare"}
    assert "h.txt" in capsys.readouterr().out


@pytest.mark.nightly
def test_a_lock_file_cut_to_nothing_is_restored_from_the_run_cache(sequential, tmp_path, monkeypatch):
    """But for an uncached output, which DVC keeps there only if it is a metric or a plot."""
    done = enter(sequential, tmp_path / "done", monkeypatch)
    (done / "dvc.lock").write_bytes(b"")
    assert repro()
    assert {name for name, count in toy.runs(done).items() if count > 1} == {"history"}
    assert toy.lock(done) == toy.lock(sequential)


def test_a_second_head_no_stage_and_no_repository_are_refused(project, tmp_path, monkeypatch):
    with head.only_head(), pytest.raises(UserError, match=f"process {os.getpid()} on "):
        head.preview()
    head.preview(["prepare"])
    with pytest.raises(UserError, match="there is no stage 'trian'"):
        repro("trian")
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


@toy.needs("ray")
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
    said = subprocess.check_output([sys.executable, "-c", code], env=toy.shell(tmp_path), text=True)
    count, *addresses = said.split()
    assert int(count) > 3
    assert {address.removeprefix("::ffff:") for address in addresses} == {"127.0.0.1"}


def test_a_cluster_that_does_not_answer_is_said_at_once(monkeypatch):
    """By its address, or as the one that the environment names."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match=f"no Ray answers at '{address}'"):
            start_engine("ray", address)
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(UserError, match=f"no Ray answers at '{address}'"):
            start_engine("ray", "auto")


@toy.needs("ray")
@pytest.mark.nightly
def test_a_ray_that_is_up_is_used_and_stays_up(project, sequential):
    """By the guide's commands. It asks for a token, as Ray's own clusters do by themselves."""
    found = [b.text for b in blocks(toy.ROOT / "docs/scaleout.md", "bash") if "ray start --head" in b.text]
    with tempfile.TemporaryDirectory(prefix="ray-") as short:
        try:
            run_block(project, *found, toy.shell(project) | {"RAY_TMPDIR": short})
            assert toy.recorded(project) == toy.recorded(sequential)
        finally:
            found = psutil.process_iter(["environ"])
            up = [p for p in found if (p.info["environ"] or {}).get("RAY_TMPDIR") == short]
            for process in up:
                process.kill()
        assert up


@toy.needs("ray")
@pytest.mark.nightly
def test_a_ray_that_does_not_start_in_time_is_said(monkeypatch):
    monkeypatch.setattr("ray.init", Mock(side_effect=Exception("The current node timed out during startup.")))
    with pytest.raises(UserError, match=r"Ray did not start.*timed out"), start_engine("ray", slots=1):
        pass


def test_an_engine_that_is_not_there_is_said(monkeypatch):
    with pytest.raises(UserError, match="there is no engine 'warp'"):
        start_engine("warp")
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "vaebench.scaleout.ray", raising=False)
    with pytest.raises(UserError, match="pip install"):
        start_engine("ray")
