"""Several trainings on one machine: ``python -m benchmarks.sharing [--trainings 2] [--rounds 7]``.

One after another, each with all of the machine, against all at once, on CPUs with one thread each. Prints
images per second of all together. On a GPU, start NVIDIA's Multi-Process Service first, or they take turns.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

from benchmarks.__main__ import Worker
from benchmarks.contestants import CASES


def main() -> None:
    """Print the table of the module's measurement."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--case", choices=CASES, default="takida_mnist")
    parser.add_argument("--trainings", type=int, default=2)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    options = parser.parse_args()
    count, case = options.trainings, CASES[options.case]
    images = count * case.batch * case.slice_steps
    lone = Worker(options.case, options.precision, threads=os.cpu_count())
    crowd = [Worker(options.case, options.precision, threads=1) for _ in range(count)]
    for worker in (lone, *crowd):
        _ = worker.about  # waits until it is set up
    speeds: dict[str, list[float]] = {"one after another": [], "at once, one thread each": []}
    for _ in range(options.rounds):
        for name, turns in zip(speeds, ([[lone]] * count, [crowd]), strict=True):
            began = time.perf_counter()
            for workers in turns:
                for worker in workers:
                    worker.start()
                for worker in workers:
                    worker.finish()
            speeds[name].append(images / (time.perf_counter() - began))
    print(f"| {count} trainings | images/s |\n| --- | ---: |")
    for name, slices in speeds.items():
        print(f"| {name} | {statistics.median(slices):.0f} |")
    for worker in (lone, *crowd):
        worker.end()


if __name__ == "__main__":
    main()
