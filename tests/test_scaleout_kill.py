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

import pytest
import scaleout_toy as toy
import yaml

pytestmark = pytest.mark.skipif(
    shutil.which("setpriv") is None, reason="setpriv (util-linux) is not installed"
)

PATIENCE = 90.0


def needs(module: str):
    reason = f"{module} is not installed: pip install -e '.[scaleout,slurm]'"
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=reason)


@pytest.fixture
def project(tmp_path) -> Path:
    return toy.make(tmp_path / "project")


def start(folder: Path, engine: str) -> subprocess.Popen:
    command = [*toy.COMMAND_LINE, "--engine", engine, "--slots", "2"]
    log = (folder / "head.log").open("ab")
    return subprocess.Popen(command, cwd=folder, env=toy.shell(folder), stdout=log, stderr=subprocess.STDOUT)


def until(what, reason: str):
    """What ``what()`` returns once it is true."""
    end = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < end, reason
        time.sleep(0.02)
    return found


def hanging(folder: Path, stage: str, attempt: int = 1) -> int:
    """The process of a stage's command, once that attempt of it has begun."""
    notes = folder / "ran" / stage

    def begun() -> list[str]:
        lines = notes.read_text().split() if notes.exists() else []
        return lines if len(lines) >= attempt else []

    return int(until(begun, f"{stage} did not begin: {(folder / 'head.log').read_text()}")[-1])


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize(
    "engine",
    [
        "local",
        pytest.param("ray", marks=[needs("ray"), pytest.mark.nightly]),
        pytest.param("dask", marks=[needs("distributed"), pytest.mark.nightly]),
    ],
)
def test_a_killed_head_leaves_no_command_and_the_next_call_goes_on(engine, project):
    (project / "hang/train-0").touch()
    first = start(project, engine)
    command = hanging(project, "train-0")
    until(lambda: "evaluate-1" in toy.lock(project)["stages"], "the other branch did not end")

    second = subprocess.run(
        [*toy.COMMAND_LINE, "--engine", engine],
        cwd=project,
        env=toy.shell(project),
        capture_output=True,
        text=True,
    )
    assert second.returncode == 1
    assert f"process {first.pid} on " in second.stderr

    first.kill()
    first.wait()
    until(lambda: not alive(command), "the command outlived the head")
    assert "train-0" not in toy.lock(project)["stages"]

    (project / "hang/train-0").unlink()
    assert start(project, engine).wait() == 0, (project / "head.log").read_text()
    assert toy.runs(project) == dict.fromkeys(toy.STAGES, 1) | {"train-0": 2}


def test_ctrl_c_ends_the_commands_at_once(project):
    (project / "hang/prepare").touch()
    head = start(project, "local")
    command = hanging(project, "prepare")
    head.send_signal(signal.SIGINT)
    assert head.wait(PATIENCE) == 130
    until(lambda: not alive(command), "the command outlived the head")


@pytest.mark.nightly
@pytest.mark.parametrize(
    "engine", [pytest.param("ray", marks=needs("ray")), pytest.param("dask", marks=needs("distributed"))]
)
def test_a_killed_workers_stage_runs_again_after_its_command_is_gone(engine, project):
    (project / "hang/train-0").touch()
    (project / "hang/train-1").touch()
    head = start(project, engine)
    for stage in ("train-0", "train-1"):
        command = hanging(project, stage)
        (project / "hang" / stage).unlink()
        os.kill(parent(command), signal.SIGKILL)
        until(lambda command=command: not alive(command), "the command outlived its worker")
    assert head.wait(PATIENCE) == 0, (project / "head.log").read_text()
    counts = toy.runs(project)
    assert counts["train-0"] >= 2
    assert counts["train-1"] >= 2
    assert set(toy.lock(project)["stages"]) == set(toy.STAGES)


@pytest.mark.nightly
@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=needs("ray"))])
def test_ten_kills_at_random_moments_lose_nothing_and_record_nothing_that_did_not_run(engine, tmp_path):
    """Heads, and workers where the engine has them; the lock file names only what ran to its end."""
    expected = toy.make(tmp_path / "sequential")
    slow(expected)
    subprocess.run(["dvc", "repro", "-q"], cwd=expected, env=toy.shell(expected), check=True)
    project = toy.make(tmp_path / "project")
    slow(project)
    moments = random.Random(8)
    for kill in range(10):
        head = start(project, engine)
        time.sleep(moments.uniform(1, 6 if engine == "local" else 16))
        commands = [int(line) for note in (project / "ran").iterdir() for line in note.read_text().split()]
        running = [pid for pid in commands if alive(pid)]
        if kill % 2 and engine == "ray" and running:
            os.kill(parent(moments.choice(running)), signal.SIGKILL)
            time.sleep(moments.uniform(0, 2))
        head.kill()
        head.wait()
        until(lambda running=running: not any(map(alive, running)), "a command outlived its head")
        if (project / "dvc.lock").exists():
            assert set(toy.lock(project)["stages"]) <= ended(project)
    assert start(project, engine).wait() == 0, (project / "head.log").read_text()
    assert toy.recorded(project) == toy.recorded(expected)


def slow(folder: Path) -> None:
    """Each command takes a moment and notes its end too."""
    content = yaml.safe_load((folder / "dvc.yaml").read_text())
    for name, stage in content["stages"].items():
        (line,) = stage["cmd"]
        stage["cmd"] = [line, f"sleep 0.5; echo {name} >> ended"]
    (folder / "dvc.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def ended(folder: Path) -> set[str]:
    notes = folder / "ended"
    return set(notes.read_text().split()) if notes.exists() else set()


@pytest.mark.nightly
def test_a_real_study_gives_the_metrics_of_dvc_repro(tiny_repository, tmp_path):
    """The tiny study again from nothing, two stages at a time; times aside, the lock is the same."""
    from tiny_study import environment

    folder = tmp_path / "parallel"
    subprocess.run(["git", "clone", "-q", tiny_repository, folder], check=True)
    shutil.copytree(
        tiny_repository / ".dvc",
        folder / ".dvc",
        ignore=shutil.ignore_patterns("cache", "tmp"),
        dirs_exist_ok=True,
    )
    engine = "ray" if importlib.util.find_spec("ray") else "local"
    subprocess.run(
        ["vaebench", "repro", "--engine", engine, "--slots", "2"],
        cwd=folder,
        env=environment(folder),
        check=True,
    )
    for path in (tiny_repository / "reports/tiny/metrics").rglob("*.json"):
        assert (folder / path.relative_to(tiny_repository)).read_bytes() == path.read_bytes()
    assert timeless(folder) == timeless(tiny_repository)


def timeless(folder: Path) -> dict:
    """``dvc.lock`` without the hashes of what holds times, and so of ``tabulate``, which shows them."""
    stages = toy.lock(folder)["stages"]
    for name, stage in stages.items():
        for part in ("deps", "outs"):
            stage[part] = [
                item["path"] if "provenance" in item["path"] or name.startswith("tabulate") else item
                for item in stage[part]
            ]
    return stages
