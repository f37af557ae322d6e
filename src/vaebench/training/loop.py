"""The training loop, the same for every method.

The data set lives on the device as uint8; an epoch is a permutation of its rows, a function of the seed
and the epoch's number alone; losses are read once an epoch. AVAE's KDE set and the adversaries of AAE
and FactorVAE are hooks of the regularizer (see :mod:`vaebench.model.regularizers`).
"""

from __future__ import annotations

import copy
import math
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vaebench.base.errors import UserError
from vaebench.data import Prepared
from vaebench.model.vae import VAE
from vaebench.study.params import Training
from vaebench.training.checkpoint import Checkpoints
from vaebench.training.step import Step

__all__ = ["Outcome", "train"]

ENCODE_BATCH = 1000
WORTH_COMPILING = 1e13
"""Arithmetic (FLOP) of a whole run above which compiling saves more time than it takes on two cores."""


@dataclass
class Outcome:
    """What a training leaves besides the model.

    Attributes:
        history: one mapping an epoch, its losses in nats per image.
        diverged_at_epoch: the first epoch (from 1) with a loss that is not finite, or None.
        seconds: wall time of each epoch that this process ran.
    """

    history: list[dict] = field(default_factory=list)
    diverged_at_epoch: int | None = None
    seconds: list[float] = field(default_factory=list)


def train(
    model: VAE,
    data: Prepared,
    settings: Training,
    *,
    seed: int,
    device: torch.device,
    checkpoints: Checkpoints,
    on_epoch: Callable[[dict], None] = lambda row: None,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Train ``model`` in place on the training images of ``data``.

    Args:
        model: newly initialized.
        data: the prepared data set.
        settings: the schedule.
        seed: determines batch order and noise.
        device: where the images and the model live.
        checkpoints: entered; a run that was interrupted goes on from there.
        on_epoch: called with each new row of the history.
        say: called with each decision worth a line.

    Raises:
        UserError: fewer training images than a batch needs, or a method that needs a validation set.
        SystemExit: after SIGTERM or Ctrl-C, once the checkpoint is written.
    """
    regularizer, likelihood = model.regularizer, model.likelihood
    model.to(device, memory_format=torch.channels_last)
    images = resident(data.split("train"), device)
    validation = resident(data.split("validation"), device) if "validation" in data.meta["splits"] else None
    _check_sizes(images, validation, settings, regularizer)

    batches = (len(images) - regularizer.held_out) // settings.batch_size
    compiled = _worth_compiling(model, images, settings, batches, say)
    step = Step(model, images, settings, compiled)
    plateau = _plateau(step.optimizer, settings)
    outcome, first_epoch, first_batch = Outcome(), 0, 0
    best = {"loss": math.inf, "epoch": 0, "weights": None}

    state, line = checkpoints.load()
    if line:
        say(line)
    if state is not None:
        first_epoch, first_batch = state["epoch"], state["batch"]
        outcome.history, best = state["history"], state["best"]
        model.load_state_dict(state["model"])
        step.load_state_dict(state["step"])
        if plateau:
            plateau.load_state_dict(state["plateau"])
        _set_random_state(state["random"], device)
    elif regularizer.starts_from_validation:
        regularizer.end_epoch(_validate(model, validation, settings)[1])

    finite = _copy_of_weights(model) if state is None else state["finite"]

    def save(epoch: int, batch: int) -> None:
        state = {
            "epoch": epoch,
            "batch": batch,
            "history": outcome.history,
            "best": best,
            "finite": finite,
            "model": model.state_dict(),
            "step": step.state_dict(),
            "plateau": plateau.state_dict() if plateau else {},
            "random": _random_state(device),
        }
        if failure := checkpoints.save(state):
            say(failure)

    with _stop_signal() as stop:
        for epoch in range(first_epoch, settings.epochs):
            began = time.perf_counter()
            held_out, rows = _epoch_rows(len(images), regularizer, seed, epoch)
            rows = rows.to(device)
            model.train()
            if first_batch == 0:
                step.sums.zero_()
            for batch in range(first_batch, batches):
                if regularizer.held_out and batch % regularizer.refresh_every == 0:
                    regularizer.refresh(encode_means(model, images, held_out, settings))
                step(rows[batch * settings.batch_size : (batch + 1) * settings.batch_size])
                if (stop.requested or checkpoints.due()) and step.sums.isfinite().all():
                    save(epoch, batch + 1)
                if stop.requested:
                    raise SystemExit(
                        f"stopped by a signal in epoch {epoch + 1}; run again to go on from there"
                    )
            first_batch = 0

            total, reconstruction, regularization, adversary = (step.sums / batches).tolist()
            row = {
                "epoch": epoch + 1,
                "loss": total,
                "reconstruction": reconstruction,
                "regularization": regularization,
                "learning_rate": float(step.optimizer.param_groups[0]["lr"]),
            }
            if regularizer.adversary is not None:
                row["adversary"] = adversary
            if math.isfinite(total) and validation is not None:
                row["validation_loss"], errors = _validate(model, validation, settings)
                row["validation_mse"] = float(errors.mean())
                regularizer.end_epoch(errors)
                if plateau:
                    plateau.step(row["validation_loss"])
            row |= regularizer.monitor() | likelihood.monitor()
            weights = _copy_of_weights(model)
            if not all(math.isfinite(v) for v in row.values()) or not _are_finite(weights):
                outcome.diverged_at_epoch = epoch + 1
                say(f"diverged in epoch {epoch + 1}: not all is finite; keeping the weights before it")
                model.load_state_dict(finite)
                return outcome
            finite = weights
            outcome.history.append(row)
            outcome.seconds.append(time.perf_counter() - began)
            on_epoch(row)
            if settings.early_stopping:
                if row["validation_loss"] < best["loss"]:
                    best = {"loss": row["validation_loss"], "epoch": epoch + 1, "weights": finite}
                elif epoch + 1 - best["epoch"] >= settings.early_stopping:
                    say(f"stopped early: best validation loss was in epoch {best['epoch']}")
                    break
            if checkpoints.due():
                save(epoch + 1, 0)
    if best["weights"] is not None:
        model.load_state_dict(best["weights"])
    if likelihood.fits:
        likelihood.fit(_second_moment(model, images))
    return outcome


def resident(images: np.ndarray, device: torch.device) -> Tensor:
    """A data set on ``device`` as it is stored; on the CPU the file's own pages, not a copy."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(images).to(device)


@torch.no_grad()
def encode_means(model: VAE, images: Tensor, rows: Tensor | None, settings: Training) -> Tensor:
    """Posterior means (n, d), float32, of ``images[rows]``, encoded in evaluation mode."""
    was_training = model.training
    model.eval()
    rows = torch.arange(len(images)) if rows is None else rows
    means = []
    for part in rows.to(images.device).split(ENCODE_BATCH):
        x = model.to_model(images[part]).contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            means.append(model.encode(x).mean.float())
    model.train(was_training)
    return torch.cat(means)


@torch.no_grad()
def _validate(model: VAE, images: Tensor, settings: Training) -> tuple[float, Tensor]:
    """The mean objective, and each image's squared error ‖x̂ − x‖² from the posterior mean (N,)."""
    model.eval()
    random = _random_state(images.device)
    losses, errors = [], []
    for part in images.split(ENCODE_BATCH):
        x = model.to_model(part).contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            result = model.loss(x)
            decoded = model.decode(result.latent.mean)
        losses.append(result.total.float() * len(x))
        errors.append((decoded.float() - x).square().sum(dim=(1, 2, 3)))
    _set_random_state(random, images.device)
    model.train()
    return float(torch.stack(losses).sum()) / len(images), torch.cat(errors)


@torch.no_grad()
def _second_moment(model: VAE, images: Tensor) -> Tensor:
    """The mean of r² over the training set, (C, H, W), z ~ q(z|x), as in Takida et al., (G.4) and (G.11)."""
    model.eval()
    total = torch.zeros(images.shape[1:], dtype=torch.float64, device=images.device)
    for part in images.split(ENCODE_BATCH):
        x = model.to_model(part)
        total += (model.decode(model.encode(x).z) - x).double().square().sum(0)
    return total / len(images)


def _epoch_rows(size: int, regularizer, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
    """The rows held out of this epoch (AVAE's KDE set), and the others in the order of SGD."""
    held_out = _permutation(size, seed, 1, epoch // regularizer.redraw_every)[: regularizer.held_out]
    others = torch.ones(size, dtype=torch.bool)
    others[held_out] = False
    others = others.nonzero().squeeze(1)
    return held_out, others[_permutation(len(others), seed, 0, epoch)]


def _copy_of_weights(model: VAE) -> dict[str, Tensor]:
    return {k: v.detach().clone() for k, v in model.state_dict().items()}


def _are_finite(weights: dict[str, Tensor]) -> bool:
    """A last step may overflow weights whose loss was finite, and without a validation set nobody sees it."""
    return bool(torch.stack([v.isfinite().all() for v in weights.values()]).all())


def _permutation(size: int, *key: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(key).permutation(size))


def _plateau(optimizer: torch.optim.Optimizer, settings: Training):
    if settings.plateau is None:
        return None
    return torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=settings.plateau.factor, patience=settings.plateau.patience
    )


def _check_sizes(images: Tensor, validation: Tensor | None, settings: Training, regularizer) -> None:
    left = len(images) - regularizer.held_out
    if left < settings.batch_size:
        raise UserError(
            f"the data set has {len(images):,} training images, of which the method sets "
            f"{regularizer.held_out:,} aside: {max(left, 0):,} are left, fewer than "
            f"training.batch_size = {settings.batch_size}. "
            "Lower the method's KDE `samples` or the batch size."
        )
    for name, wanted in (
        ("training.early_stopping", settings.early_stopping),
        ("training.plateau", settings.plateau),
        ("the method's KDE-KL regularizer (its β follows the validation error)", regularizer.held_out),
    ):
        if wanted and validation is None:
            raise UserError(
                f"{name} needs a validation set and the data set has none: set `validation` in its source, "
                "e.g. validation: 10000 for MNIST."
            )


def _worth_compiling(model: VAE, images: Tensor, settings: Training, batches: int, say) -> bool:
    """Decided by the run's arithmetic, not by a clock, so that equal runs decide equally."""
    if settings.compile != "auto":
        return settings.compile == "always"
    from torch.utils.flop_counter import FlopCounterMode

    twin = copy.deepcopy(model)
    with torch.random.fork_rng(), FlopCounterMode(display=False) as counter:
        twin.loss(twin.to_model(images[: settings.batch_size])).total.backward()
    arithmetic = counter.get_total_flops() * batches * settings.epochs
    compiled = arithmetic >= WORTH_COMPILING
    decision = "compiling the step" if compiled else "not compiling, it would cost more"
    say(
        f"{arithmetic:.1e} FLOP to train: {decision} (training.compile: auto, "
        f"threshold {WORTH_COMPILING:.0e})"
    )
    return compiled


def _random_state(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _set_random_state(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


class _Stop:
    requested = False


@contextmanager
def _stop_signal() -> Iterator[_Stop]:
    """SIGTERM and Ctrl-C ask the loop to save and stop, instead of ending the process at once."""
    stop = _Stop()

    def request(signum, frame) -> None:
        stop.requested = True

    before = {s: signal.signal(s, request) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
