"""Steps slow down as Adam's moments decay: ``python -m benchmarks.decay [--steps 1600] [--threads 1]``.

Weights that no longer get a gradient keep moments that shrink by a tenth per step, and after some 700 steps
these are below a float's normal range. Takida et al.'s D.1 network, whose dead units do so, on MNIST
(``$VAEBENCH_DATA``): the plain loop, our step, and our step where such numbers are kept.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

CONTESTANTS = {"plain": "plain", "vaebench, subnormal numbers kept": "kept", "vaebench": "flushed"}
PARTS = 16
"""Of a run, each timed as one; the first, which compiles, does not count."""


def main() -> None:
    """Print the table of the module's measurement."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decay", description=__doc__)
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", choices=CONTESTANTS.values(), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.steps < PARTS:
        parser.error(f"--steps: at least {PARTS}, so that each of as many parts has one")
    if options.one:
        print(*measure(options.one, options.steps))
        return
    print("| ms of processor time a step | first half | last quarter |\n| --- | ---: | ---: |")
    for title, name in CONTESTANTS.items():
        command = [sys.executable, "-m", "benchmarks.decay", "--steps", str(options.steps), "--one", name]
        environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
        out = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        first, last = out.stdout.split()[-2:]
        print(f"| {title} | {first} | {last} |", flush=True)


def measure(name: str, steps: int) -> tuple[str, str]:
    """Milliseconds of processor time per step, the medians of the run's first half and last quarter."""
    import torch
    from torchvision.datasets import MNIST

    from benchmarks.contestants import Case, build
    from vaebench.cpu.processor import flush_subnormal
    from vaebench.study.params import Training
    from vaebench.training.step import Step

    if name == "flushed":
        flush_subnormal()
    images = MNIST(os.environ.get("VAEBENCH_DATA", "data/raw"), download=True).data[:, None]
    model = build(Case("D.1", "takida_smooth", (1, 28, 28), 64, 1))
    rows = torch.randint(len(images), (steps, 64), generator=torch.Generator().manual_seed(0))
    if name == "plain":
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

        def step(row: torch.Tensor) -> None:
            optimizer.zero_grad()
            model.loss(images[row].float() / 255).total.backward()
            optimizer.step()
    else:
        model.to(memory_format=torch.channels_last)
        step = Step(model, images, Training(epochs=1, batch_size=64, precision="bf16"), compiled=True)
    times = []
    for part in rows.split(steps // PARTS):
        began = time.process_time()
        for row in part:
            step(row)
        times.append(1000 * (time.process_time() - began) / len(part))
    half, quarter = times[1 : len(times) // 2], times[-(len(times) // 4) :]
    return f"{statistics.median(half):.0f}", f"{statistics.median(quarter):.0f}"


if __name__ == "__main__":
    main()
