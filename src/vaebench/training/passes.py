"""Passes over a whole data set: its encodings and errors, without gradients."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from torch import Tensor

from vaebench.base.precision import exact
from vaebench.model.vae import VAE
from vaebench.study.params import Training
from vaebench.training.state import random_state, set_random_state

__all__ = ["encode_means", "resident", "second_moment", "validate"]

BATCH = 1000


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
    for part in rows.to(images.device).split(BATCH):
        x = model.value_range.to_model(images[part]).contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            means.append(model.encode(x).mean.float())
    model.train(was_training)
    return torch.cat(means)


@torch.no_grad()
def validate(model: VAE, images: Tensor, settings: Training) -> tuple[float, float, Tensor]:
    """The mean objective, its regularization, and each image's ‖x̂ − x‖² from the posterior mean (N,)."""
    model.eval()
    random = random_state(images.device)
    losses, errors = [], []
    for part in images.split(BATCH):
        x = model.value_range.to_model(part).contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=settings.precision == "bf16"):
            result = model.loss(x)
            decoded = model.decode(result.latent.mean)
        losses.append(torch.stack([result.total, result.regularization]).double() * len(x))
        errors.append((decoded.float() - x).square().sum(dim=(1, 2, 3)))
    set_random_state(random, images.device)
    model.train()
    loss, regularization = (torch.stack(losses).sum(0) / len(images)).tolist()
    return loss, regularization, torch.cat(errors)


@exact()
def second_moment(model: VAE, images: Tensor) -> Tensor:
    """The mean of r² over the training set, (C, H, W), z ~ q(z|x), as in Takida et al., (G.4) and (G.11).

    In exact float32, as what is measured: the variance that a likelihood keeps is made of it.
    """
    model.eval()
    total = torch.zeros(images.shape[1:], dtype=torch.float64, device=images.device)
    for part in images.split(BATCH):
        x = model.value_range.to_model(part)
        total += (model.decode(model.encode(x).z) - x).double().square().sum(0)
    return total / len(images)
