"""A DVC project of eight stages that take no time, heads at work on it, and what DVC recorded of it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import yaml

from support.documents import blocks
from support.tiny_study import environment

ROOT = Path(__file__).parents[2]

COMMAND_LINE = [sys.executable, "-c", "from vaebench.cli.app import app; app()", "repro"]

TOY = "toy.yaml"
"""The file of the stages' parameters."""

PATIENCE = 300.0
"""Seconds that anything may take."""


def _stage(name: str, does: str, deps: list, outs: list, **more) -> dict:
    """A stage that notes each run in ``ran/`` with its process, and hangs while ``hang/NAME`` exists."""
    note = f"echo $$ >> ran/{name}; [ ! -e hang/{name} ] || exec sleep 1000"
    return {"cmd": [f"{note}; {does}"], "deps": deps, "outs": outs, **more}


STAGES = {
    "prepare": _stage(
        "prepare", "mkdir data && cp code.txt data/a && cp code.txt data/b", ["code.txt"], ["data"]
    ),
    "train-0": _stage(
        "train-0", "mkdir -p m/0 && cp data/a m/0/w", ["data"], ["m/0"], params=[{TOY: ["rate"]}]
    ),
    "train-1": _stage(
        "train-1", "mkdir -p m/1 && cp data/b m/1/w", ["data"], ["m/1"], params=[{TOY: ["rate", "one.deep"]}]
    ),
    "history": _stage("history", "echo 1 > h.txt", ["data"], [{"h.txt": {"cache": False}}]),
    "fit-0": _stage(
        "fit-0", "cp m/0/w f0", ["m/0/w"], ["f0"], meta={"cpus": 1, "gpus": 0.5, "memory": "1MiB"}
    ),
    "evaluate-0": _stage("evaluate-0", "echo '{\"v\": 0}' > e0.json", ["m/0", "f0"], []),
    "evaluate-1": _stage("evaluate-1", "echo '{\"v\": 1}' > e1.json", ["m/1"], []),
    "table": _stage("table", "cat e0.json e1.json > table.txt", ["e0.json", "e1.json"], ["table.txt"]),
}
for _seed in (0, 1):
    STAGES[f"evaluate-{_seed}"]["metrics"] = [{f"e{_seed}.json": {"cache": False}}]


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


def shell(folder: Path) -> dict[str, str]:
    """The environment of a user who works in ``folder`` with this tree's package.

    Without what a Ray in this process has set for itself.
    """
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
    cache = sorted(
        str(path.relative_to(folder)) for path in (folder / ".dvc/cache").rglob("*") if path.is_file()
    )
    paths = ("data", "m", "h.txt", "f0", "e0.json", "e1.json", "table.txt")
    files = [
        file for name in paths for file in [folder / name, *(folder / name).rglob("*")] if file.is_file()
    ]
    contents = {
        str(file.relative_to(folder)): file.read_text() for file in files if file.name != ".gitignore"
    }
    ignored = {
        str(file): sorted(file.read_text().split())
        for file in (folder / ".gitignore", folder / "m/.gitignore")
    }
    ignored = {str(Path(file).relative_to(folder)): lines for file, lines in ignored.items()}
    return {"lock": lock(folder), "cache": cache, "files": contents, "ignored": ignored}


def runs(folder: Path) -> dict[str, int]:
    """Number of times that each stage's command has begun."""
    return {path.name: len(path.read_text().splitlines()) for path in (folder / "ran").iterdir()}


def start(folder: Path, engine: str, **variables: str) -> subprocess.Popen:
    """A head with two slots, which prints into ``head.log``."""
    return launch(folder, ["--engine", engine, "--slots", "2"], **variables)


def launch(folder: Path, arguments: list[str], **variables: str) -> subprocess.Popen:
    """``vaebench repro`` with ``arguments``, which prints into ``head.log``."""
    command = [*COMMAND_LINE, *arguments]
    environment = shell(folder) | variables
    with (folder / "head.log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)


def documented(*beginning: str) -> list[str]:
    """The rest of the guide's only command for a cluster that starts with ``beginning``."""
    cluster = [b.text for b in blocks(ROOT / "docs/scaleout.md", "bash") if b.when == "cluster"]
    commands = [shlex.split(line, comments=True) for text in cluster for line in text.splitlines()]
    (found,) = (c for c in commands if c[: len(beginning)] == list(beginning))
    return found[len(beginning) :]


def until(what, reason: str):
    """Return value of ``what()`` once it is true."""
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

    return int(until(begun, f"{stage} did not begin: {said(folder)}")[-1])


def alive(pid: int) -> bool:
    """True if the process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def running(folder: Path) -> list[int]:
    """The processes of the commands that run; an id that another process has by now is not among them."""

    def here(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/cwd").readlink() == folder
        except OSError:
            return False

    noted = [int(line) for note in (folder / "ran").iterdir() for line in note.read_text().split()]
    return [pid for pid in noted if here(pid) and alive(pid)]


def worker(pid: int) -> int:
    """The process that runs it for an engine: above it are its DVC, and the shell that guards that."""
    for _ in range(3):
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid


def said(folder: Path) -> str:
    """Output of the heads so far."""
    return (folder / "head.log").read_text()
