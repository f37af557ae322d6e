"""A DVC project of eight stages that take no time, heads at work on it, and what DVC recorded of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
import yaml

from support.tiny_study import ROOT, environment

TOY = "toy.yaml"
PATIENCE = 300.0
"""Seconds that anything may take."""

STAGES = yaml.safe_load(r"""
prepare: {cmd: mkdir data && cp code.txt data/a && cp code.txt data/b, deps: [code.txt], outs: [data]}
train-0: {cmd: mkdir -p m/0 && cp data/a m/0/w, deps: [data], outs: [m/0], params: [toy.yaml: [rate]]}
train-1:
  {cmd: mkdir -p m/1 && cp data/b m/1/w, deps: [data], outs: [m/1], params: [toy.yaml: [rate, one.deep]]}
history: {cmd: echo 1 > h.txt, deps: [data], outs: [h.txt: {cache: false}]}
fit-0: {cmd: cp m/0/w f0, deps: [m/0/w], outs: [f0], meta: {cpus: 1, gpus: 0.5, memory: 1MiB}}
evaluate-0: {cmd: "echo '{\"v\": 0}' > e0.json", deps: [m/0, f0], metrics: [e0.json: {cache: false}]}
evaluate-1: {cmd: "echo '{\"v\": 1}' > e1.json", deps: [m/1], metrics: [e1.json: {cache: false}]}
table: {cmd: cat e0.json e1.json > table.txt, deps: [e0.json, e1.json], outs: [table.txt]}
""")
"""Each notes its runs in ``ran/`` with its process, and hangs while ``hang/NAME`` exists."""

for _name, _stage in STAGES.items():
    _note = f"echo $$ >> ran/{_name}; [ ! -e hang/{_name} ] || exec sleep 1000"
    _stage["cmd"] = [f"{_note}; {_stage['cmd']}"]


def needs(module: str):
    reason = f"{module} is not installed: pip install -e '.[scaleout,slurm]'"
    return pytest.mark.skipif(find_spec(module) is None, reason=reason)


RAY = pytest.param("ray", marks=[needs("ray"), pytest.mark.nightly])
DASK = pytest.param("dask", marks=[needs("distributed"), pytest.mark.nightly])


def make(folder: Path) -> Path:
    """The project in ``folder``, nothing run."""
    for name in ("ran", "hang"):
        (folder / name).mkdir(parents=True)
    (folder / "code.txt").write_text("code\n")
    (folder / TOY).write_text("rate: 0.1\none:\n  deep: [1, 2]\n")
    shutil.copy(ROOT / "studies/quickstart.yaml", folder / "params.yaml")  # `vaebench repro` asks for a study
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": STAGES}, sort_keys=False))
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, env=shell(folder), check=True)
    return folder


def edit(folder: Path, stage: str, **changes: object) -> None:
    """Change a stage of ``dvc.yaml``, or add it."""
    content = yaml.safe_load((folder / "dvc.yaml").read_text())
    content["stages"].setdefault(stage, {}).update(changes)
    (folder / "dvc.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def shell(folder: Path) -> dict[str, str]:
    """Of a user who works in ``folder`` with this tree's package; without what a Ray here set for itself."""
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    inherited = {k: v for k, v in environment(folder).items() if not k.startswith("RAY_")}
    return inherited | {"PYTHONPATH": path, "SHELL": "/bin/sh"}


def lock(folder: Path) -> dict:
    """``dvc.lock`` as data; without stages where a DVC is just writing it, which it does in place."""
    with suppress(OSError, yaml.YAMLError):
        content = yaml.safe_load((folder / "dvc.lock").read_text())
        if content and content.get("stages"):
            return content
    return {"stages": {}}


def recorded(folder: Path) -> dict:
    """All that DVC leaves behind, with the files' contents."""

    def files(*places: str) -> dict[str, Path]:
        found = (path for place in places for path in [folder / place, *(folder / place).rglob("*")])
        return {str(path.relative_to(folder)): path for path in found if path.is_file()}

    outputs = files("data", "m", "h.txt", "f0", "e0.json", "e1.json", "table.txt", ".gitignore")
    texts = {name: path.read_text() for name, path in outputs.items()}
    texts |= {name: sorted(text.split()) for name, text in texts.items() if ".gitignore" in name}
    return {"lock": lock(folder), "cache": sorted(files(".dvc/cache")), "files": texts}


def runs(folder: Path) -> dict[str, int]:
    """Number of times that each stage's command has begun."""
    return {path.name: len(path.read_text().splitlines()) for path in (folder / "ran").iterdir()}


def start(folder: Path, engine: str, *slots: str, **variables: str) -> subprocess.Popen:
    """``vaebench repro`` with two slots or as ``slots`` say, which prints into ``head.log``."""
    command = ["vaebench", "repro", "--engine", engine, *(slots or ("--slots", "2"))]
    with (folder / "head.log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, env=shell(folder) | variables, stdout=log, stderr=log)


def until(what, reason: str):
    """Return value of ``what()`` once it is true."""
    end = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < end, reason
        time.sleep(0.02)
    return found


def hang(folder: Path, stage: str, engine: str, **variables: str) -> tuple[subprocess.Popen, int]:
    """A head at work whose ``stage`` hangs, and the process of that command."""
    (folder / "hang" / stage).touch()
    return start(folder, engine, **variables), begun(folder, stage)


def begun(folder: Path, stage: str) -> int:
    """The process of a stage's command, once there is one."""
    note = folder / "ran" / stage
    lines = until(lambda: note.exists() and note.read_text().split(), f"{stage} did not begin")
    return int(lines[-1])


def alive(pid: int) -> bool:
    """True if the process runs; a zombie does not."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    return False


def running(folder: Path) -> list[int]:
    """The processes of the commands that run; an id that another process has by now is not among them."""
    noted = {int(line) for note in (folder / "ran").iterdir() for line in note.read_text().split()}
    found = psutil.process_iter(["cwd"])  # of a zombie it is None
    return [process.pid for process in found if process.pid in noted and process.info["cwd"] == str(folder)]


def worker(pid: int) -> int:
    """The process that runs it for an engine: above it are its DVC, and the shell that guards that."""
    return psutil.Process(pid).parents()[2].pid


def said(folder: Path) -> str:
    """Output of the heads so far."""
    return (folder / "head.log").read_text()
