"""State from which an interrupted training resumes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from vaebench.model.vae import VAE
from vaebench.training.step import Step

__all__ = ["State", "are_finite_weights", "copy_of_weights", "random_state", "set_random_state"]


class State:
    """Everything that the next step depends on.

    Args:
        model: newly initialized, on its device.
        step: that trains it.
        plateau: the scheduler of the learning rate, or None.

    Attributes:
        epoch: finished epochs.
        batch: steps taken in the epoch after these.
        history: one mapping per finished epoch.
        best: least validation loss, its epoch and its weights; filled where training may stop early.
        finite: weights at the end of the last epoch, every number finite.
    """

    def __init__(self, model: VAE, step: Step, plateau: ReduceLROnPlateau | None):
        self.model, self.step, self.plateau = model, step, plateau
        self.epoch, self.batch = 0, 0
        self.history: list[dict] = []
        self.best: dict = {"loss": math.inf, "epoch": 0, "weights": None}
        self.finite = copy_of_weights(model)

    def state_dict(self) -> dict:
        """Tensors, numbers, strings, and lists and mappings of them."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "history": self.history,
            "best": self.best,
            "finite": self.finite,
            "model": self.model.state_dict(),
            "step": self.step.state_dict(),
            "plateau": self.plateau.state_dict() if self.plateau else {},
            "random": random_state(self.step.images.device),
        }

    def load_state_dict(self, saved: dict) -> None:
        """Restore the result of :meth:`state_dict`."""
        self.epoch, self.batch = saved["epoch"], saved["batch"]
        self.history, self.best, self.finite = saved["history"], saved["best"], saved["finite"]
        self.model.load_state_dict(saved["model"])
        self.step.load_state_dict(saved["step"])
        if self.plateau:
            self.plateau.load_state_dict(saved["plateau"])
        set_random_state(saved["random"], self.step.images.device)


def copy_of_weights(model: VAE) -> dict[str, Tensor]:
    """The model's state, detached and copied."""
    return {k: v.detach().clone() for k, v in model.state_dict().items()}


def are_finite_weights(weights: dict[str, Tensor]) -> bool:
    """True if all weights are finite.

    A last step may overflow weights whose loss was finite; without a validation set it would go unnoticed.
    """
    return bool(torch.stack([v.isfinite().all() for v in weights.values()]).all())


def random_state(device: torch.device) -> list[Tensor]:
    """State of torch's default generators: the CPU's, and that of ``device`` where it is another."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def set_random_state(states: list[Tensor], device: torch.device) -> None:
    """Restore the result of :func:`random_state`."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
