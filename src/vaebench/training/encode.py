"""A trained encoder's view of the whole data set."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vaebench.base.precision import exact
from vaebench.data.store import Prepared
from vaebench.model.posteriors.base import Latent

__all__ = ["are_finite", "encode_data"]

BATCH = 1000


class Encoding(Protocol):
    """A model that :func:`encode_data` takes; a :class:`~vaebench.model.vae.VAE` is one."""

    prior_scale: float | None

    def encode(self, x: Tensor) -> Latent:
        """q(z|x) of images (B, C, H, W) in the data set's value range."""


@exact()
def encode_data(model: Encoding, data: Prepared, device: torch.device) -> dict[str, np.ndarray]:
    """The arrays of ``latents.npz`` (see :mod:`vaebench.densities.saved`), exact.

    Args:
        model: in evaluation mode, on ``device``.
        data: the prepared data set.
        device: where the model is.
    """
    scale = model.prior_scale
    latents = {"prior_scale": np.array(math.nan if scale is None else scale, np.float32)}
    for split in ("train", "test"):
        means, deviations = [], []
        images = data.split(split)
        for start in range(0, len(images), BATCH):
            part = torch.from_numpy(np.array(images[start : start + BATCH])).to(device)
            latent = model.encode(data.value_range.to_model(part))
            means.append(latent.mean.float().cpu())
            if latent.log_var is not None:
                deviations.append((latent.log_var.float() / 2).exp().cpu())
        latents[f"{split}_mean"] = torch.cat(means).numpy()
        if deviations:
            latents[f"{split}_std"] = torch.cat(deviations).numpy()
    return latents


def are_finite(latents: dict[str, np.ndarray]) -> bool:
    """True if all codes are finite; finite weights may be so large that codes are not."""
    return all(np.isfinite(array).all() for name, array in latents.items() if name != "prior_scale")
