"""Kills: of workers, of the head, at any moment; nothing is lost, and nothing recorded that did not run."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import yaml
from support import scaleout_toy as toy
from support import tiny_study

from vaebench.study.lockfile import set_damaged_aside

pytestmark = pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv (util-linux) is not installed")


@pytest.fixture
def project(tmp_path) -> Path:
    return toy.make(tmp_path / "project")


@pytest.mark.parametrize("engine", ["local", toy.RAY, toy.DASK])
@pytest.mark.pipeline
def test_a_killed_head_leaves_no_command_and_the_next_call_goes_on(engine, project):
    first, command = toy.hang(project, "train-0", engine)
    toy.until(lambda: "evaluate-1" in toy.lock(project)["stages"], "the other branch did not end")

    command_line = ["vaebench", "repro", "--engine", engine]
    second = subprocess.run(command_line, cwd=project, env=toy.shell(project), capture_output=True, text=True)
    assert second.returncode == 1
    assert f"process {first.pid} on " in second.stderr

    first.kill()
    first.wait()
    toy.until(lambda: not toy.alive(command), "the command outlived the head")
    assert "train-0" not in toy.lock(project)["stages"]

    (project / "hang/train-0").unlink()
    assert toy.start(project, engine).wait() == 0, toy.said(project)
    assert toy.runs(project) == dict.fromkeys(toy.STAGES, 1) | {"train-0": 2}


@pytest.mark.pipeline
def test_ctrl_c_ends_the_commands_at_once(project):
    head, command = toy.hang(project, "prepare", "local")
    head.send_signal(signal.SIGINT)
    assert head.wait(toy.PATIENCE) == 130
    toy.until(lambda: not toy.alive(command), "the command outlived the head")


@pytest.mark.parametrize("engine", [toy.RAY, toy.DASK])
def test_a_killed_workers_stage_runs_again_after_its_command_is_gone(engine, project):
    (project / "hang/train-0").touch()
    (project / "hang/train-1").touch()
    head = toy.start(project, engine)
    for stage in ("train-0", "train-1"):
        command = toy.begun(project, stage)
        (project / "hang" / stage).unlink()
        os.kill(toy.worker(command), signal.SIGKILL)
        toy.until(lambda command=command: not toy.alive(command), "the command outlived its worker")
    assert head.wait(toy.PATIENCE) == 0, toy.said(project)
    assert min(toy.runs(project)["train-0"], toy.runs(project)["train-1"]) >= 2
    assert set(toy.lock(project)["stages"]) == set(toy.STAGES)


@pytest.mark.nightly
@pytest.mark.parametrize("engine", ["local", toy.RAY])
def test_ten_kills_at_random_moments_lose_nothing_and_record_nothing_that_did_not_run(engine, project):
    """Heads, and workers where the engine has them; what is recorded ran to its end, and only once."""
    (project / "ended").touch()
    for name, stage in toy.STAGES.items():
        toy.edit(project, name, cmd=[*stage["cmd"], f"sleep 0.5; echo {name} >> ended"])
    expected = shutil.copytree(project, project.with_name("sequential"))
    subprocess.run(["dvc", "repro", "-q"], cwd=expected, env=toy.shell(expected), check=True)
    moments = random.Random(8)
    kept: dict[str, int] = {}
    for kill in range(10):
        head = toy.start(project, engine)
        time.sleep(moments.uniform(1, 6 if engine == "local" else 16))
        if kill % 2 and engine == "ray" and (running := toy.running(project)):
            os.kill(toy.worker(moments.choice(running)), signal.SIGKILL)
            time.sleep(moments.uniform(0, 2))
        head.kill()
        head.wait()
        toy.until(lambda: not toy.running(project), "a command outlived its head")
        set_damaged_aside(project / "dvc.lock")  # as the next head would; results are in DVC's run cache
        recorded = set(toy.lock(project)["stages"])
        assert recorded <= set((project / "ended").read_text().split())
        runs = toy.runs(project)
        kept = {name: kept.get(name, runs[name]) for name in recorded | kept.keys()}
    for _ in range(5):  # a machine under load gives Ray no node within its 30 s
        if (code := toy.start(project, engine).wait()) == 0 or "Ray did not start" not in toy.said(project):
            break
    assert code == 0, toy.said(project)
    assert toy.recorded(project) == toy.recorded(expected)
    runs = toy.runs(project)
    again = {name for name, count in kept.items() if runs[name] != count}
    assert again <= {"history"}, "what was recorded ran again"  # DVC's run cache leaves out its output


@pytest.fixture
def study(tiny_repository, tmp_path) -> Path:
    """The tiny study in a clone, nothing run."""
    folder = tmp_path / "study"
    subprocess.run(["git", "clone", "-q", tiny_repository, folder], check=True)
    without = shutil.ignore_patterns("cache", "tmp")
    shutil.copytree(tiny_repository / ".dvc", folder / ".dvc", ignore=without, dirs_exist_ok=True)
    return folder


@pytest.mark.nightly
def test_a_real_study_gives_the_metrics_of_dvc_repro(study, tiny_repository):
    """Two stages at a time; times aside, the lock is the same."""
    engine = "ray" if importlib.util.find_spec("ray") else "local"
    tiny_study.run(study, "vaebench", "repro", "--engine", engine, "--slots", "2")
    for path in (tiny_repository / "reports/tiny/metrics").rglob("*.json"):
        assert (study / path.relative_to(tiny_repository)).read_bytes() == path.read_bytes()
    assert timeless(study) == timeless(tiny_repository)


@toy.needs("ray")
@pytest.mark.nightly
def test_a_killed_workers_training_goes_on_from_its_checkpoint(study):
    content = yaml.safe_load((study / "params.yaml").read_text())
    content["training"] |= {"epochs": 10, "checkpoint_seconds": 0.05}
    (study / "params.yaml").write_text(yaml.safe_dump(content))
    stage = "train@tiny-digits-ae-0"
    command = ["vaebench", "repro", "--engine", "ray", "--slots", "1", stage]
    head = subprocess.Popen(command, cwd=study, env=tiny_study.environment(study))
    checkpoint = study / ".vaebench/checkpoints/tiny/digits/ae/0/checkpoint.pt"
    toy.until(checkpoint.exists, "there is no checkpoint")
    below = psutil.Process(head.pid).children(recursive=True)
    (training,) = (process for process in below if "stages.train" in process.cmdline())
    os.kill(toy.worker(training.pid), signal.SIGKILL)
    assert head.wait() == 0
    said = (study / f".dvc/tmp/scaleout/{stage}.log").read_text()
    assert "going on from epoch" in said
    assert stage in toy.lock(study)["stages"]


def timeless(folder: Path) -> dict:
    """``dvc.lock`` without the hashes of what holds times, and so of ``tabulate``, which shows them."""
    stages = toy.lock(folder)["stages"]
    for name, stage in stages.items():
        for item in [*stage.get("deps", []), *stage.get("outs", [])]:
            if "provenance" in item["path"] or name.startswith("tabulate"):
                item.update(md5="", size=0)
    return stages
