"""Cost of a training, measured on a few of its steps."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from vaebench.base.device import select_device
from vaebench.data.store import Meta
from vaebench.model.vae import VAE, ModelSpec
from vaebench.study.forecast import Cost
from vaebench.study.params import Params, Training
from vaebench.training.passes import encode_means, validate
from vaebench.training.precision import choose_precision
from vaebench.training.step import Step

__all__ = ["measure_cost", "seconds_of"]

STEPS, PASSED = 3, 200
"""Steps that are timed after the first, and images of a pass over the validation or the KDE set."""

COPIES = 5
"""Copies of the weights on disk: the model's and, in its checkpoint, weights, last weights, two moments."""


def measure_cost(
    params: Params, dataset: str, method: str, meta: Meta, slots: int, say: Callable[[str], None]
) -> Cost:
    """Time steps of ``method`` on random images of the data set's kind, not compiled.

    Args:
        params: the study.
        dataset: one of its data sets.
        method: one of its methods.
        meta: the data set's.
        slots: number of trainings at a time; each has that part of the cores.
        say: called with each decision on the way.
    """
    device = select_device(meta.shape)
    if device.type == "cpu":
        torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) // slots)))
    settings = params.training_of(method)
    sizes = {name: last - first for name, (first, last) in meta.splits.model_dump(exclude_none=True).items()}
    torch.manual_seed(0)
    spec = ModelSpec(
        image_shape=meta.shape,
        value_range=meta.value_range,
        train_size=sizes["train"],
        **params.axes(dataset, method),
    )
    model = spec.build().to(device, memory_format=torch.channels_last)
    shape = max(PASSED, settings.batch_size), *meta.shape
    images = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
    precision = choose_precision(model, images, settings, say).precision
    settings = settings.model_copy(update={"precision": precision})
    seconds, share = _of_a_step(model, images, settings)
    return Cost(
        step=seconds,
        epoch=_of_an_epoch(model, images, settings, sizes, seconds),
        cell_bytes=_on_disk(model, sizes),
        precision=precision,
        share=round(share, 3),
        latents=(sizes["train"], model.latent_dim),
    )


def _of_a_step(model: VAE, images: Tensor, settings: Training) -> tuple[float, float]:
    """Median seconds of a step, and the share of its threads' time that this process had."""
    device, regularizer = images.device, model.regularizer
    if regularizer.held_out:
        regularizer.refresh(torch.randn(regularizer.held_out, model.latent_dim, device=device))
    step = Step(model, images, settings, compiled=False)
    batch = torch.arange(settings.batch_size, device=device)
    step(batch)
    cpu, began = time.process_time(), time.perf_counter()
    seconds = statistics.median(seconds_of(lambda: step(batch), device) for _ in range(STEPS))
    share = (time.process_time() - cpu) / (time.perf_counter() - began) / torch.get_num_threads()
    return seconds, 1.0 if device.type == "cuda" else min(1.0, share)


def _of_an_epoch(
    model: VAE, images: Tensor, settings: Training, sizes: Mapping[str, int], step: float
) -> float:
    """Seconds of the steps, the validation and the refreshes of a KDE set, for splits of ``sizes``."""
    regularizer, count = model.regularizer, len(images)
    steps = (sizes["train"] - regularizer.held_out) // settings.batch_size
    epoch = step * steps
    if regularizer.held_out:
        refresh = seconds_of(lambda: encode_means(model, images, None, settings), images.device) / count
        epoch += refresh * regularizer.held_out * -(-steps // regularizer.refresh_every)
    if "validation" in sizes:
        validation = seconds_of(lambda: validate(model, images, settings), images.device) / count
        epoch += validation * sizes["validation"]
    return epoch


def _on_disk(model: VAE, sizes: Mapping[str, int]) -> int:
    """Bytes of the weights, their copies in a checkpoint, and the latents."""
    weights = sum(value.nbytes for value in model.state_dict().values())
    arrays = 1 + model.posterior.stochastic
    return (1 + COPIES) * weights + 4 * arrays * model.latent_dim * (sizes["train"] + sizes["test"])


def seconds_of(work: Callable[[], object], device: torch.device) -> float:
    """Seconds by the clock that ``work`` alone takes on ``device``, to its last kernel."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began
