"""`dvc repro` with nothing to do: ``python -m benchmarks.unchanged [--methods 15] [--seeds 5] [--rounds 3]``.

In a clone of HEAD the quickstart's methods become as many as are asked for, every output but those of
`resolve` a placeholder, and `dvc commit` calls that its result. Prints the stages and the median seconds.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Print the number of stages and the median seconds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unchanged", description=__doc__)
    parser.add_argument("--methods", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "vaebench"
        subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
        _enlarge(clone / "params.yaml", options.methods, options.seeds)
        subprocess.run([sys.executable, "-m", "stages.resolve"], cwd=clone, check=True)
        stages = _pretend(clone)
        subprocess.run(["dvc", "commit", "-f", "-q"], cwd=clone, check=True)
        seconds = []
        for _ in range(options.rounds):
            began = time.perf_counter()
            out = subprocess.run(["dvc", "repro"], cwd=clone, check=True, capture_output=True, text=True)
            seconds.append(time.perf_counter() - began)
            ran = {line for line in out.stdout.splitlines() if line.startswith("Running stage")}
            if any("resolve@" not in line for line in ran):
                raise SystemExit(f"dvc repro had something to do:\n{out.stdout[-2000:]}")
    print(f"{stages} stages unchanged: {statistics.median(seconds):.1f} s")


def _enlarge(path: Path, methods: int, seeds: int) -> None:
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    given = itertools.cycle(params["study"]["methods"])
    names = [f"{next(given)}_{index}" for index in range(methods)]
    params["methods"] |= {name: params["methods"][name.rpartition("_")[0]] for name in names}
    params["study"] |= {"methods": names, "seeds": list(range(seeds))}
    path.write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


def _pretend(clone: Path) -> int:
    """Write a placeholder for every output of every stage; returns how many stages there are."""
    from dvc.repo import Repo

    stages = Repo(str(clone)).index.stages
    for output in (Path(out.fs_path) for stage in stages for out in stage.outs):
        if output.exists():  # what `resolve` wrote
            continue
        inside = "latents.npz" if "models" in output.parts else "placeholder"
        file = output if output.suffix else output / inside
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(file.relative_to(clone)), encoding="utf-8")
    return len(stages)


if __name__ == "__main__":
    main()
