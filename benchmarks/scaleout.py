"""Stages in parallel against ``dvc repro``: ``python -m benchmarks.scaleout [--engines ray …] [--only …]``.

- ``speed_up``: 16 stages that sleep, as a processor does whose GPU works, then one that joins them; the
  ideal is the number of slots.
- ``head``: seconds of the head's own for each of n trivial stages, start and end of the process included,
  with the folders of code, the parameters and the outputs of a real study, at 4 slots; wall-clock and
  processor, the commands' own included; beside it ``dvc repro`` on the fewest.

Writes ``benchmarks/results/scaleout.json``, ``.md`` and ``.png``; a part that is not measured stays as it
was. Not part of ``make bench``: it takes an hour.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from vaebench.base.palette import colour
from vaebench.base.style import drawing, save_png

RESULTS = Path(__file__).parent / "results/scaleout"
ROOT = Path(__file__).parent.parent
SLEEPERS = 16
SLOTS = 1, 2, 4


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
    code = "from vaebench.cli.app import app; app()"
    return [sys.executable, "-c", code, "repro", "--engine", engine, "--slots", str(slots)]


def speed_up(engines: list[str], lengths: list[float]) -> list[dict]:
    rows = []
    for seconds in lengths:
        stages = sleepers(seconds)
        one = least(stages, ["dvc", "repro", "-q"])
        for engine in engines:
            several = {str(n): least(stages, parallel(engine, n)) for n in SLOTS[1:]}
            rows.append({"engine": engine, "length": seconds, "dvc": one, "slots": several})
            print(rows[-1], flush=True)
    return rows


def least(stages: dict, command: list[str]) -> float:
    """Wall-clock seconds of the faster of two runs: what else the machine does only adds."""
    return min(timed(stages, command)[0] for _ in range(2))


def head(sizes: list[int]) -> list[dict]:
    """With the local engine: what it adds is one process for each command."""
    rows = []
    for size in sizes:
        stages = trivial(size)
        commands = {"vaebench": parallel("local", 4)}
        if size == min(sizes):
            commands["dvc"] = ["dvc", "repro", "-q"]
        for name, command in commands.items():
            wall, processor = timed(stages, command)
            rows.append({"stages": len(stages), "with": name, "wall": wall, "processor": processor})
            print(rows[-1], flush=True)
    return rows


def text(results: dict) -> str:
    """The results as markdown."""
    parts = ["# Stages in parallel", "Measured by `python -m benchmarks.scaleout`."]
    if "head" in results:
        lines = [
            f"Stages of no work, 4 slots; {results['head']['machine']}.\n",
            "| stages | with | wall-clock | a stage | processor, a stage |",
            "| ---: | --- | ---: | ---: | ---: |",
        ]
        for row in results["head"]["rows"]:
            n, wall = row["stages"], row["wall"]
            each = f"{wall / n:.3f} s | {row['processor'] / n:.3f} s"
            lines.append(f"| {n} | `{row['with']} repro` | {wall:.0f} s | {each} |")
        parts.append("\n".join(lines))
    if "speed_up" in results:
        lines = [
            f"{SLEEPERS} stages that sleep and one that joins them, the faster of two runs; "
            f"{results['speed_up']['machine']}.\n",
            "| stages of | engine | `dvc repro` | 2 slots | 4 slots |",
            "| ---: | --- | ---: | ---: | ---: |",
        ]
        for row in results["speed_up"]["rows"]:
            one = row["dvc"]
            cells = [f"{wall:.0f} s, × {one / wall:.2f}" for wall in row["slots"].values()]
            lines.append(f"| {row['length']:g} s | {row['engine']} | {one:.0f} s | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def draw(results: dict, path: Path) -> None:
    """Speed-up over slots, and seconds a stage over the number of stages."""
    with drawing(7.2, 2.7) as figure:
        left, right = figure.subplots(1, 2)
        left.plot(SLOTS, SLOTS, color="#9aa3ad", linestyle=":", label="ideal")
        lengths = sorted({row["length"] for row in results["speed_up"]["rows"]})
        for row in results["speed_up"]["rows"]:
            ratios = [1] + [row["dvc"] / wall for wall in row["slots"].values()]
            style = {"linestyle": "-" if row["engine"] == "ray" else "--", "marker": "o"}
            label = f"{row['length']:g} s stages, {row['engine']}"
            left.plot(SLOTS, ratios, color=colour(lengths.index(row["length"])), label=label, **style)
        left.set(xlabel="slots", ylabel="times faster than dvc repro", xticks=SLOTS, ylim=(0, None))
        left.legend(loc="upper left", handlelength=3)
        for i, name in enumerate(("vaebench", "dvc")):
            rows = [row for row in results["head"]["rows"] if row["with"] == name]
            sizes, each = [r["stages"] for r in rows], [r["processor"] / r["stages"] for r in rows]
            right.plot(sizes, each, "os"[i], linestyle="-", color=colour(i), label=f"{name} repro")
        sizes = sorted({row["stages"] for row in results["head"]["rows"]})
        right.set(
            xlabel="stages of no work", ylabel="processor seconds a stage", xscale="log", ylim=(0, None)
        )
        right.set_xticks(sizes, list(map(str, sizes)))
        right.minorticks_off()
        right.legend()
        save_png(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engines", nargs="*", default=["ray", "local"])
    parser.add_argument("--only", nargs="*", choices=["head", "speed_up"], default=["head", "speed_up"])
    parser.add_argument("--lengths", nargs="*", type=float, default=[5, 30])
    parser.add_argument("--sizes", nargs="*", type=int, default=[50, 300, 1000])
    options = parser.parse_args()
    path = RESULTS.with_suffix(".json")
    results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for part in options.only:
        shared = f"load {os.getloadavg()[0]:.1f} at first, niceness {os.nice(0)}"
        machine = f"{os.cpu_count()} cores, {shared}, {time.strftime('%Y-%m-%d')}"
        rows = head(options.sizes) if part == "head" else speed_up(options.engines, options.lengths)
        results[part] = {"machine": machine, "rows": rows}
        path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    RESULTS.with_suffix(".md").write_text(text(results), encoding="utf-8")
    if {"head", "speed_up"} <= results.keys():
        draw(results, RESULTS.with_suffix(".png"))


if __name__ == "__main__":
    main()
