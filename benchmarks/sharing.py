"""Two trainings on two cores: ``python -m benchmarks.sharing [--rounds 7] [--case takida_mnist]``.

One after another with both threads each, against both at once with one thread each. Prints images per second
of the two together.
"""

from __future__ import annotations

import argparse
import statistics
import time

from benchmarks.__main__ import Worker
from benchmarks.contestants import CASES


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sharing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--case", choices=CASES, default="takida_mnist")
    options = parser.parse_args()
    images = 2 * CASES[options.case].batch * CASES[options.case].steps
    lone = Worker(options.case, "bf16", threads=2)
    pair = [Worker(options.case, "bf16", threads=1) for _ in range(2)]
    speeds: dict[str, list[float]] = {"one after another, 2 threads": [], "at once, 1 thread each": []}
    for _ in range(options.rounds):
        for name, turns in zip(speeds, ([[lone], [lone]], [pair]), strict=True):
            began = time.perf_counter()
            for workers in turns:
                for worker in workers:
                    worker.start()
                for worker in workers:
                    worker.finish()
            speeds[name].append(images / (time.perf_counter() - began))
    print("| two trainings | images/s |\n| --- | ---: |")
    for name, slices in speeds.items():
        print(f"| {name} | {statistics.median(slices):.0f} |")
    for worker in (lone, *pair):
        worker.end()


if __name__ == "__main__":
    main()
