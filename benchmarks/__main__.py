"""Measure everything in one run: ``python -m benchmarks [--rounds 7] [--only takida_mnist …] [--name cpu]``.

Contestants are set up, each in a process of its own, then take turns, one slice each a
round, so that whatever else the machine does falls on all of them. Speeds are medians over the rounds, ratios
are of medians. On a machine that others load, where threads wait for their turn, set ``OMP_NUM_THREADS=1``
and read images per second of processor time. Writes ``benchmarks/results/<name>.md`` and ``.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from functools import cached_property
from pathlib import Path

import torch

from benchmarks import machine
from benchmarks.contestants import CASES, Case

RESULTS = Path(__file__).parent / "results"
MEASURED = ("images_per_second", "images_per_cpu_second", "peak_mb")
LABELS = {
    "plain": "plain loop, fp32",
    "compiled": "the same, compiled",
    "fp32": "vaebench, fp32",
    "bf16": "vaebench, bf16",
}
ADAM_BYTES = 28
"""Traffic per weight: gradient (2) and weight and two moments (12) read, those and the copy (14) written."""


class Worker:
    """A contestant's process."""

    def __init__(self, case: str, name: str, threads: int | None = None):
        command = [sys.executable, "-m", "benchmarks.worker", case, name]
        environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
        log = subprocess.DEVNULL if "BENCH_QUIET" in os.environ else None
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
        self.slices: list[dict] = []

    @cached_property
    def about(self) -> dict:
        """What it says once it is set up."""
        return self._read()

    def start(self) -> None:
        """Let it begin one slice of work."""
        print(file=self.process.stdin, flush=True)

    def finish(self) -> None:
        """Wait for the slice that it has begun."""
        self.slices.append(self._read())

    def median(self, key: str) -> float:
        """Over the slices."""
        return statistics.median(s[key] for s in self.slices)

    def end(self) -> None:
        """Close its input and wait for it."""
        self.process.stdin.close()
        self.process.wait()

    def _read(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(self.process.args)} ended with code {self.process.wait()}")
        return json.loads(line)


def set_up(name: str) -> dict[str, Worker]:
    """The processes of one case's contestants, and of the machine's limits."""
    return {contestant: Worker(name, contestant) for contestant in ("machine", *CASES[name].contestants)}


def measure(name: str, workers: dict[str, Worker], rounds: int) -> dict:
    """The medians of one case's contestants and of the machine's limits in the same rounds."""
    case = CASES[name]
    for contestant, worker in list(workers.items()):
        if "absent" in worker.about:
            print(f"{name}: no row for {contestant}: {worker.about['absent']}", flush=True)
            worker.end()
            del workers[contestant]
    for _ in range(rounds):
        for worker in workers.values():
            worker.start()
            worker.finish()
    limits = workers.pop("machine")
    # The fastest round: what a busy machine takes away is no limit.
    rates = {key: max(s[key] for s in limits.slices) for key in limits.slices[0]}
    rows = {
        contestant: {key: worker.median(key) for key in MEASURED}
        | {"slices": [round(s["images_per_second"], 2) for s in worker.slices]}
        for contestant, worker in workers.items()
    }
    for worker in (limits, *workers.values()):
        worker.end()
    if limits.about:
        for precision in ("fp32", "bf16"):
            rows[f"limit, {precision}"] = {
                f"images_per_{unit}second": bound(case, limits.about, rates, precision, clock)
                for unit, clock in (("", "wall"), ("cpu_", "cpu"))
            }
    return {"machine": rates, "rows": rows, "auto": limits.about.get("auto", "")}


def bound(case: Case, about: dict, rates: dict, precision: str, clock: str) -> float:
    """Images per second if a step were its arithmetic, then the optimizer's memory traffic.

    The arithmetic takes the speed of the fastest matrix product in ``precision``, in bf16 that in fp32 where
    it is faster; the traffic that of a copy.
    """
    product = rates[f"fp32_{clock}"]
    if precision == "bf16":
        product = max(product, rates[f"bf16_{clock}"])
    traffic = about["weights"] * ADAM_BYTES / case.batch
    return 1 / (about["flop"] / product + traffic / rates[f"bandwidth_{clock}"])


def table(name: str, result: dict) -> str:
    """One case as markdown."""
    rows = result["rows"]
    base = next(key for key in ("pythae", "pytorch-fid", "plain", "fp32") if key in rows)
    rates = result["machine"]
    lines = [
        f"## {CASES[name].title} (`{name}`)",
        "",
        "Machine, the fastest of the same rounds, by wall and by processor time: matrix product "
        f"{rates['fp32_wall'] / 1e12:.3f} and {rates['fp32_cpu'] / 1e12:.3f} TFLOP/s in fp32, "
        f"{rates['bf16_wall'] / 1e12:.3f} and {rates['bf16_cpu'] / 1e12:.3f} in bf16; copy "
        f"{rates['bandwidth_wall'] / 1e9:.0f} and {rates['bandwidth_cpu'] / 1e9:.0f} GB/s.",
        *(["", f"{result['auto']}."] if result["auto"] else []),
        "",
        f"| | images/s | × {base} | images/CPU s | × {base} | peak memory, MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for key, row in rows.items():
        cells = []
        for speed in MEASURED[:2]:
            ratio = row[speed] / rows[base][speed] if speed in row else None
            cells += [f"{row[speed]:.1f}", f"{ratio:.2f}"] if ratio else ["", ""]
        cells.append(f"{row['peak_mb']:.0f}" if "peak_mb" in row else "")
        label = LABELS.get(key, key)
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the cases that the command line names, and write their tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), metavar="CASE")
    parser.add_argument("--name", default="this-machine", help="of the files in benchmarks/results")
    options = parser.parse_args()

    about = machine.describe()
    text = [
        "# Measured by `python -m benchmarks`",
        "",
        ", ".join(f"{k} {v}" for k, v in about.items()) + ".",
        "",
    ]
    results = {"machine": about, "rounds": options.rounds, "cases": {}}
    at_once = {name: set_up(name) for name in options.only} if torch.cuda.is_available() else {}
    for name in options.only:
        results["cases"][name] = measure(name, at_once.get(name) or set_up(name), options.rounds)
        text.append(table(name, results["cases"][name]))
        print(text[-1], flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{options.name}.md").write_text("\n".join(text), encoding="utf-8")
    (RESULTS / f"{options.name}.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
