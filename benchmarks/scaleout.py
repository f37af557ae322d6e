"""Cost of a parallel stage besides its work: ``python -m benchmarks.scaleout [--sizes 48:1 300:5]``.

Stages that sleep stand for stages whose work is on a GPU, one matrix of them and one stage that joins them,
on the local engine at 2 and 4 slots; beside them ``dvc repro``. The cost is the wall-clock that a stage adds
to the ideal, (wall − stages × seconds / slots) / stages, and the processor time of all processes, starts
included. Writes ``benchmarks/results/scaleout.json`` and ``.md``. Not part of ``make bench``: it takes long.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

RESULTS = Path(__file__).parent / "results/scaleout"
ROOT = Path(__file__).parent.parent
SLOTS = 2, 4


def project(folder: Path, stages: int, seconds: float) -> None:
    names = [f"s{i}" for i in range(stages)]
    work = {
        "matrix": {"name": "${names}"},
        "cmd": f"sleep {seconds}; mkdir -p out/${{item.name}}; echo 1 > out/${{item.name}}/w",
        "params": ["rate"],
        "deps": ["code.txt"],
        "outs": ["out/${item.name}"],
    }
    join = {"cmd": "ls out > joined", "deps": [f"out/{name}" for name in names], "outs": ["joined"]}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"work": work, "join": join}}))
    (folder / "params.yaml").write_text(yaml.safe_dump({"names": names, "rate": 1}))
    (folder / "code.txt").write_text("code")
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(command, cwd=folder, check=True)


def measure(stages: int, seconds: float, slots: int) -> dict:
    """A fresh project, run by ``dvc repro`` where ``slots`` is 1."""
    code = (
        "from vaebench.scaleout.engines import start_engine; from vaebench.scaleout.head import reproduce; "
        f"raise SystemExit(not reproduce(start_engine('local', None, {slots})))"
    )
    ours = [sys.executable, "-c", code]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "DVC_NO_ANALYTICS": "true"}
    with tempfile.TemporaryDirectory(prefix="scaleout-") as folder:
        project(Path(folder), stages, seconds)
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        command = ours if slots > 1 else ["dvc", "repro", "-q"]
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
        wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "stages": stages,
        "seconds": seconds,
        "slots": slots,
        "wall": wall,
        "cost": (wall - stages * seconds / slots) / stages,
        "processor": processor / stages,
        "load": os.getloadavg()[0],
    }


def text(rows: list[dict], machine: str) -> str:
    lines = [
        "# Stages in parallel\n",
        f"Measured by `python -m benchmarks.scaleout`; {machine}. The load is what ran beside it.\n",
        "| stages | each | with | wall-clock | cost per stage | processor per stage | load |",
        "| ---: | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        by = "`dvc repro`" if row["slots"] == 1 else f"`vaebench repro`, {row['slots']} slots"
        lines.append(
            f"| {row['stages']} | {row['seconds']:g} s | {by} | {row['wall']:.0f} s | {row['cost']:.2f} s | "
            f"{row['processor']:.2f} s | {row['load']:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", nargs="*", default=["48:1", "300:5"], help="stages:seconds")
    parser.add_argument("--slots", nargs="*", type=int, default=[1, *SLOTS])
    options = parser.parse_args()
    rows = []
    for size in options.sizes:
        stages, _, seconds = size.partition(":")
        for slots in options.slots:
            rows.append(measure(int(stages), float(seconds), slots))
            print(rows[-1], flush=True)
    machine = f"{os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}"
    RESULTS.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    RESULTS.with_suffix(".md").write_text(text(rows, machine), encoding="utf-8")


if __name__ == "__main__":
    main()
