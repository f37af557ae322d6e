"""The share of AVAE's KDE refresh in its training: ``python -m benchmarks.refresh [--rounds 7]``.

AVAE encodes 10,000 held-out images anew every ten steps of 100 images. A round is ten steps, then a refresh.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from benchmarks.contestants import CASES, build, images_of
from vaebench.study.params import Training
from vaebench.training.passes import encode_means
from vaebench.training.step import Step

CASE, HELD_OUT, STEPS = CASES["avae_mnist"], 10_000, 10


def measure(precision: str, rounds: int) -> tuple[float, float]:
    """Median seconds of processor time of ten steps, and of a refresh."""
    model = build(CASE, {"name": "kde_kl", "samples": HELD_OUT}, "deterministic")
    model.to(memory_format=torch.channels_last)
    images = images_of(CASE, HELD_OUT + STEPS * CASE.batch)
    settings = Training(epochs=1, batch_size=CASE.batch, precision=precision)
    step = Step(model, images, settings, compiled=True)
    held_out, others = torch.arange(len(images)).split([HELD_OUT, STEPS * CASE.batch])
    model.regularizer.refresh(encode_means(model, images, held_out, settings))
    step(others[: CASE.batch])
    steps, refreshes = [], []
    for _ in range(rounds):
        began = time.process_time()
        for rows in others.split(CASE.batch):
            step(rows)
        between = time.process_time()
        model.regularizer.refresh(encode_means(model, images, held_out, settings))
        steps.append(between - began)
        refreshes.append(time.process_time() - between)
    return statistics.median(steps), statistics.median(refreshes)


def main() -> None:
    """Print the table of the module's measurement."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refresh", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print("| | ten steps, CPU s | refresh, CPU s | share of the refresh |\n| --- | ---: | ---: | ---: |")
    for precision in ("fp32", "bf16"):
        steps, refresh = measure(precision, rounds)
        print(
            f"| {precision} | {steps:.2f} | {refresh:.2f} | {refresh / (steps + refresh):.0%} |", flush=True
        )


if __name__ == "__main__":
    main()
