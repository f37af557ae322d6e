"""The training loop, the same for every method.

The data set lives on the device as uint8; an epoch is a permutation of its rows, a function of the seed
and the epoch's number alone; losses are read once per epoch. AVAE's KDE set and the adversaries of AAE
and FactorVAE are hooks of the regularizer (see :mod:`vaebench.model.regularizers`).
"""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vaebench.base.checkpoint import Checkpoints
from vaebench.base.errors import UserError
from vaebench.base.interrupt import Interrupt, stop_signal
from vaebench.data.store import Prepared
from vaebench.model.vae import VAE
from vaebench.study.params import Training
from vaebench.study.schedule import check_warm_start
from vaebench.training.passes import encode_means, resident, second_moment, validate
from vaebench.training.precision import Precision, choose_precision
from vaebench.training.state import State, are_finite_weights, copy_of_weights
from vaebench.training.step import Step

__all__ = ["Outcome", "train"]

WORTH_COMPILING = 1e13
"""Arithmetic (FLOP) of a whole run above which compiling saves more time than it takes on two cores."""


@dataclass
class Outcome:
    """Result of a training besides the model.

    Attributes:
        precision: of the networks.
        history: one mapping per epoch, its losses in nats per image.
        diverged_at_epoch: the first epoch (from 1) with a loss that is not finite, or None.
        seconds: wall time of each epoch that this process ran.
    """

    precision: Precision
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
    checkpoints: Checkpoints | None = None,
    on_epoch: Callable[[list[dict]], None] = lambda history: None,
    on_step: Callable[[float], None] = lambda epochs: None,
    say: Callable[[str], None] = print,
) -> Outcome:
    """Train ``model`` in place on the training images of ``data``, and leave it in evaluation mode.

    Args:
        model: newly initialized.
        data: the prepared data set.
        settings: the schedule.
        seed: determines batch order and noise.
        device: where the images and the model live.
        checkpoints: entered; a run that was interrupted goes on from there. Without them Ctrl-C ends a run as
            it ends everything else.
        on_epoch: called with the history after each epoch, whose row is the last.
        on_step: called after each step with the epochs that are done, as 3.25.
        say: called with each decision worth a line.

    Raises:
        UserError: fewer training images than a batch needs, a method that needs a validation set, or a warm
            start that is as long as the training.
        SystemExit: after a signal that ends a process, once the checkpoint is written.
    """
    loop = _Loop(model, data, settings, seed, device, checkpoints, say)
    loop.resume()
    state = loop.state
    outcome = Outcome(loop.precision, state.history)
    with stop_signal() if checkpoints else nullcontext(Interrupt()) as stop:
        while state.epoch < settings.epochs:
            began = time.perf_counter()
            loop.epoch(stop, on_step)
            row = loop.end_epoch()
            if row is None:
                say(f"diverged in epoch {state.epoch + 1}: not all is finite; keeping the weights before it")
                outcome.diverged_at_epoch = state.epoch + 1
                model.eval()
                return outcome
            outcome.seconds.append(time.perf_counter() - began)
            on_epoch(state.history)
            if loop.stops_early(row):
                break
            if loop.due():
                loop.save()
    if state.best["weights"] is not None:
        model.load_state_dict(state.best["weights"])
    if model.likelihood.fits:
        model.likelihood.fit(second_moment(model, loop.images))
    model.eval()
    return outcome


class _Loop:
    """One training between its beginning and its end; the arguments are those of :func:`train`."""

    def __init__(
        self,
        model: VAE,
        data: Prepared,
        settings: Training,
        seed: int,
        device: torch.device,
        checkpoints: Checkpoints | None,
        say: Callable[[str], None],
    ):
        self.model, self.seed = model, seed
        self.checkpoints, self.say = checkpoints, say
        model.to(device, memory_format=torch.channels_last)
        self.images = resident(data.split("train"), device)
        has_validation = "validation" in data.meta["splits"]
        self.validation = resident(data.split("validation"), device) if has_validation else None
        _check_sizes(self.images, self.validation, settings, model.regularizer)
        self.batches = (len(self.images) - model.regularizer.held_out) // settings.batch_size
        check_warm_start(model.likelihood.warmup_steps, self.batches * settings.epochs)

        self._saved, line = checkpoints.load() if checkpoints else (None, "")
        if line:
            say(line)
        if self._saved is None:
            self.precision = choose_precision(model, self.images, settings, say)
        else:
            self.precision = Precision(**self._saved["precision"])
        self.settings = settings = settings.model_copy(update={"precision": self.precision.precision})
        compiled = _worth_compiling(model, self.images, settings, self.batches, say)
        self.step = Step(model, self.images, settings, compiled, say)
        self.plateau = _plateau(self.step.optimizer, settings)
        self.state = State(model, self.step, self.plateau)

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one."""
        if self._saved is not None:
            self.state.load_state_dict(self._saved)
            self._saved = None
        elif self.model.regularizer.starts_from_validation:
            self.model.regularizer.end_epoch(validate(self.model, self.validation, self.settings)[2])

    def due(self) -> bool:
        return self.checkpoints is not None and self.checkpoints.due()

    def save(self) -> None:
        if failure := self.checkpoints.save(  # type: ignore[union-attr]
            self.state.state_dict() | {"precision": self.precision.record()}
        ):
            self.say(failure)

    def epoch(self, stop: Interrupt, on_step: Callable[[float], None]) -> None:
        """The steps of this epoch that are not taken yet."""
        model, regularizer, state = self.model, self.model.regularizer, self.state
        size = self.settings.batch_size
        held_out, rows = _epoch_rows(len(self.images), regularizer, self.seed, state.epoch)
        rows = rows.to(self.images.device)
        model.train()
        if state.batch == 0:
            self.step.sums.zero_()
        while state.batch < self.batches:
            if regularizer.held_out and state.batch % regularizer.refresh_every == 0:
                regularizer.refresh(encode_means(model, self.images, held_out, self.settings))
            self.step(rows[state.batch * size : (state.batch + 1) * size])
            state.batch += 1
            on_step(state.epoch + state.batch / self.batches)
            if (stop.requested or self.due()) and self.step.sums.isfinite().all():
                self.save()
            if stop.requested:
                raise SystemExit(
                    f"stopped by a signal in epoch {state.epoch + 1}; run again to go on from there"
                )

    def end_epoch(self) -> dict | None:
        """The epoch's row of the history; None, and the weights of the epoch before, if it diverged."""
        model, state = self.model, self.state
        row = self._losses()
        if math.isfinite(row["loss"]) and self.validation is not None:
            row |= self._adapt()
        row |= model.regularizer.monitor() | model.likelihood.monitor() | model.posterior.monitor()
        weights = copy_of_weights(model)
        if not all(math.isfinite(value) for value in row.values()) or not are_finite_weights(weights):
            model.load_state_dict(state.finite)
            return None
        state.finite = weights
        state.history.append(row)
        state.epoch, state.batch = state.epoch + 1, 0
        return row

    def _losses(self) -> dict:
        """Mean losses over the epoch's steps."""
        total, reconstruction, regularization, adversary = (self.step.sums / self.batches).tolist()
        row = {
            "epoch": self.state.epoch + 1,
            "loss": total,
            "reconstruction": reconstruction,
            "regularization": regularization,
            "learning_rate": float(self.step.optimizer.param_groups[0]["lr"]),
        }
        if self.model.regularizer.adversary is not None:
            row["adversary"] = adversary
        return row

    def _adapt(self) -> dict:
        """Validate, and let the regularizer and the learning rate follow the result."""
        regularizer = self.model.regularizer
        loss, weighted, errors = validate(self.model, self.validation, self.settings)
        followed = loss + (regularizer.comparable(weighted) - weighted)
        regularizer.end_epoch(errors)
        if self.plateau:
            self.plateau.step(followed)
        return {
            "validation_loss": loss,
            "validation_followed": followed,
            "validation_mse": float(errors.mean()),
        }

    def stops_early(self, row: dict) -> bool:
        """True if the validation loss has not fallen for ``early_stopping`` epochs."""
        best, patience = self.state.best, self.settings.early_stopping
        if not patience:
            return False
        if row["validation_followed"] < best["loss"]:
            self.state.best = {
                "loss": row["validation_followed"],
                "epoch": row["epoch"],
                "weights": self.state.finite,
            }
        elif row["epoch"] - best["epoch"] >= patience:
            self.say(f"stopped early: best validation loss was in epoch {best['epoch']}")
            return True
        return False


def _epoch_rows(size: int, regularizer, seed: int, epoch: int) -> tuple[Tensor, Tensor]:
    """The rows held out of this epoch (AVAE's KDE set), and the others in the order of SGD."""
    held_out = _permutation(size, seed, 1, epoch // regularizer.redraw_every)[: regularizer.held_out]
    others = torch.ones(size, dtype=torch.bool)
    others[held_out] = False
    others = others.nonzero().squeeze(1)
    return held_out, others[_permutation(len(others), seed, 0, epoch)]


def _permutation(size: int, *key: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(key).permutation(size))


def _plateau(optimizer: torch.optim.Optimizer, settings: Training):
    """Keras' ReduceLROnPlateau.

    Torch's cuts one epoch later, and its relative threshold has the wrong sign for a negative loss.
    """
    if settings.plateau is None:
        return None
    return torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        factor=settings.plateau.factor,
        patience=settings.plateau.patience - 1,
        threshold=1e-4,
        threshold_mode="abs",
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
    logging.getLogger("torch.utils.flop_counter").setLevel(logging.ERROR)  # it warns of Triton on import
    from torch.utils.flop_counter import FlopCounterMode

    twin = copy.deepcopy(model)
    with torch.random.fork_rng(), FlopCounterMode(display=False) as counter:
        twin.loss(twin.value_range.to_model(images[: settings.batch_size])).total.backward()
    arithmetic = counter.get_total_flops() * batches * settings.epochs
    compiled = arithmetic >= WORTH_COMPILING
    decision = "compiling the step" if compiled else "not compiling, it would cost more"
    say(
        f"{arithmetic:.1e} FLOP to train: {decision} (training.compile: auto, "
        f"threshold {WORTH_COMPILING:.0e})"
    )
    return compiled
