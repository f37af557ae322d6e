"""The faster precision for a model on this machine, measured once and kept."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from filelock import FileLock
from torch import Tensor

from vaebench.base.device import describe_device
from vaebench.base.files import write_json
from vaebench.base.processor import processor
from vaebench.base.reading import mapping_or_empty
from vaebench.model.vae import VAE
from vaebench.study.params import Training
from vaebench.study.provenance import digest
from vaebench.training.step import Step

__all__ = ["Precision", "choose_precision"]

CLEARLY = 1.15
"""Least speed-up for which bf16 is chosen: two measurements of a ratio near 1 may disagree."""

ROUNDS, SECONDS = 7, 2.0
"""Pairs of steps, and the time after which three pairs are enough."""

MEASURED = Path(".vaebench/precision.json")


@dataclass(frozen=True)
class Precision:
    """Precision that a training computes in.

    Attributes:
        precision: ``bf16`` or ``fp32``.
        bf16_speedup: an fp32 step's time over a bf16 step's; None where the study names its precision.
    """

    precision: str
    bf16_speedup: float | None = None

    def record(self) -> dict:
        """As it stands in a checkpoint and in the provenance."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def choose_precision(model: VAE, images: Tensor, settings: Training, say: Callable[[str], None]) -> Precision:
    """The study's precision, or for ``auto`` bf16 where this machine's steps are clearly faster in it.

    Steps of copies of ``model`` take turns in both precisions, not compiled and on one thread, for some
    seconds; the ratio is the pairs' median. It is kept in ``.vaebench``, so that each later training of this
    model on this machine decides the same. Neither the model nor any random number is touched.

    Args:
        model: on the device of ``images``, (N, C, H, W) as stored.
        images: of the training set.
        settings: the schedule.
        say: called with the outcome.
    """
    if settings.precision != "auto":
        return Precision(settings.precision)
    key = _key(model, images, settings)
    MEASURED.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(MEASURED.with_suffix(".lock")):
        known = mapping_or_empty(MEASURED)
        speedup, when = known.get(key), "measured before"
        if not isinstance(speedup, float):
            speedup, when = round(_speedup(model, images, settings), 3), "measured now"
            write_json(MEASURED, known | {key: speedup})
    chosen = Precision("bf16" if speedup > CLEARLY else "fp32", speedup)
    say(
        f"training.precision: auto is {chosen.precision}: a step in bf16 is {speedup:.2f} times as fast as "
        f"in fp32 here ({when}; bf16 above {CLEARLY})"
    )
    return chosen


def _key(model: VAE, images: Tensor, settings: Training) -> str:
    """Digest of all that the ratio depends on: the machine, torch and the step."""
    device = images.device
    machine = processor(), device.type if device.type == "cpu" else describe_device(device), torch.__version__
    shapes = [[name, *value.shape] for name, value in model.state_dict().items()]
    return digest([*machine, repr(model), shapes, images.shape[1:], settings.batch_size])


def _speedup(model: VAE, images: Tensor, settings: Training) -> float:
    device = images.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), _one_thread():
        steps = [
            Step(copy.deepcopy(model), images, settings.model_copy(update={"precision": precision}), False)
            for precision in ("fp32", "bf16")
        ]
        rows = torch.arange(settings.batch_size, device=device)
        for step in steps:
            regularizer = step.model.regularizer
            if regularizer.held_out:
                regularizer.refresh(torch.randn(regularizer.held_out, model.latent_dim, device=device))
            _seconds(step, rows)
        began = time.perf_counter()
        ratios: list[float] = []
        while len(ratios) < 3 or (len(ratios) < ROUNDS and time.perf_counter() - began < SECONDS):
            single, half = (_seconds(step, rows) for step in steps)
            ratios.append(single / half)
    return statistics.median(ratios)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine measure the others."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _seconds(step: Step, rows: Tensor) -> float:
    """Seconds of a step; on a CPU the processor's own, where other processes count less."""
    cuda = rows.device.type == "cuda"
    clock = time.perf_counter if cuda else time.process_time
    if cuda:
        torch.cuda.synchronize()
    began = clock()
    step(rows)
    if cuda:
        torch.cuda.synchronize()
    return clock() - began
