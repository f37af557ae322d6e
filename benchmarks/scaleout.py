"""Stages in parallel against ``dvc repro``: ``python -m benchmarks.scaleout [--engine ray] [--only head …]``.

- ``speed-up``: 16 stages that sleep, then one that joins them: ideal is the number of slots.
- ``head``: seconds of the head's own for each of n trivial stages, start and end of the process included,
with
  the folders of code, the parameters and the outputs of a real study, at 4 slots; wall-clock and processor.

Writes ``benchmarks/results/scaleout.md``. Not part of ``make bench``: it takes a quarter of an hour.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

RESULTS = Path(__file__).parent / "results/scaleout.md"
ROOT = Path(__file__).parent.parent
SLEEPERS = 16


def sleepers(seconds: float) -> dict:
    stages = {
        f"sleep-{i}": {"cmd": f"sleep {seconds}; echo {i} > out{i}", "deps": ["code"], "outs": [f"out{i}"]}
        for i in range(SLEEPERS)
    }
    outs = [f"out{i}" for i in range(SLEEPERS)]
    return stages | {"join": {"cmd": "cat out? > joined", "deps": outs, "outs": ["joined"]}}


def trivial(n: int) -> dict:
    """Chains of train, posthoc and evaluate, each of which depends on ten folders of ten files."""
    code = [f"code/{d}" for d in range(10)]
    stages = {}
    for i in range(n // 3):
        stages[f"train-{i}"] = {
            "cmd": f"mkdir -p m/{i}; echo {i} > m/{i}/w; echo {i} > m/{i}/l; echo 1 > h{i}.csv",
            "deps": code,
            "params": [f"methods.m{i}", "training"],
            "outs": [f"m/{i}"],
            "plots": [{f"h{i}.csv": {"cache": False}}],
        }
        stages[f"posthoc-{i}"] = {"cmd": f"cp m/{i}/l d{i}", "deps": [*code, f"m/{i}/l"], "outs": [f"d{i}"]}
        stages[f"evaluate-{i}"] = {
            "cmd": f"echo '{{}}' > e{i}.json",
            "deps": [*code, f"m/{i}", f"d{i}"],
            "metrics": [{f"e{i}.json": {"cache": False}}],
        }
    return stages


def project(folder: Path, stages: dict) -> Path:
    for d in range(10):
        (folder / f"code/{d}").mkdir(parents=True)
        for f in range(10):
            (folder / f"code/{d}/{f}.py").write_text(f"{d} {f}\n")
    methods = {f"m{i}": {"likelihood": {"name": "gaussian"}, "label": str(i)} for i in range(len(stages))}
    params = {"methods": methods, "training": {"epochs": 1}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)
    return folder


def timed(stages: dict, command: list[str]) -> tuple[float, float]:
    """Wall-clock and processor seconds of ``command``, its children included, in a fresh project."""
    folder = Path(tempfile.mkdtemp(prefix="scaleout-"))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PATH": path, "DVC_NO_ANALYTICS": "true"}
    try:
        project(folder, stages)
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
        wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    finally:
        shutil.rmtree(folder)


def parallel(engine: str, slots: int) -> list[str]:
    code = "from vaebench.cli import app; app()"
    return [sys.executable, "-c", code, "repro", "--engine", engine, "--slots", str(slots)]


def speed_up(engine: str, lengths: list[float]) -> list[str]:
    rows = ["| stages of | `dvc repro` | 2 slots | 4 slots |", "| --- | --- | --- | --- |"]
    for seconds in lengths:
        one, _ = timed(sleepers(seconds), ["dvc", "repro", "-q"])
        cells = [timed(sleepers(seconds), parallel(engine, slots))[0] for slots in (2, 4)]
        text = " | ".join(f"{cell:.0f} s, {one / cell:.2f} times" for cell in cells)
        rows.append(f"| {seconds:g} s | {one:.0f} s | {text} |")
        print(rows[-1], flush=True)
    return rows


def head(sizes: list[int]) -> list[str]:
    """With the local engine: what it adds is one process for each command."""
    rows = [
        "| stages | `dvc repro` | head | head, a stage | processor, a stage |",
        "| --- | --- | --- | --- | --- |",
    ]
    for n in sizes:
        stages = trivial(n)
        sequential = f"{timed(stages, ['dvc', 'repro', '-q'])[0]:.0f} s" if n <= 100 else "not run"
        wall, processor = timed(stages, parallel("local", 4))
        each = f"{wall / len(stages):.3f} s | {processor / len(stages):.3f} s"
        rows.append(f"| {len(stages)} | {sequential} | {wall:.0f} s | {each} |")
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", default="ray")
    parser.add_argument("--only", nargs="*", choices=["speed-up", "head"], default=["speed-up", "head"])
    parser.add_argument("--lengths", nargs="*", type=float, default=[5, 30])
    parser.add_argument("--sizes", nargs="*", type=int, default=[50, 300, 1000])
    options = parser.parse_args()
    parts = [f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at first, {time.strftime('%Y-%m-%d')}."]
    if "head" in options.only:
        parts.append("\n".join(head(options.sizes)))
    if "speed-up" in options.only:
        parts.append(
            f"{SLEEPERS} stages and a join, {options.engine}:\n\n"
            + "\n".join(speed_up(options.engine, options.lengths))
        )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text("# Stages in parallel\n\n" + "\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
