"""Cost of fitting a density, measured on a part of it."""

from __future__ import annotations

import time

import numpy as np

from vaebench.densities import DENSITIES

__all__ = ["fit_seconds"]

SAMPLE = 5_000
"""Latents that are fitted to, at most."""


def fit_seconds(spec: dict, rows: int, latent_dim: int) -> float:
    """Forecast of a fit to ``rows`` latents, from one to normal noise; the first call of a density loads it.

    A fit is taken to be linear in the rows and, where the density has ``epochs``, in these.
    Of a mixture, whose iterations depend on the data, this is the order of magnitude.

    Args:
        spec: the density's entry in ``params.yaml``.
        rows: training latents.
        latent_dim: their dimension.
    """
    options = DENSITIES.options(spec["name"])
    epochs = spec.get("epochs", options["epochs"].default) if "epochs" in options else 1
    short = spec | ({"epochs": 1} if "epochs" in options else {})
    noise = np.random.default_rng(0).standard_normal((min(rows, SAMPLE), latent_dim)).astype(np.float32)
    latents = {"train_mean": noise, "prior_scale": np.float32(1.0)}
    began = time.perf_counter()
    DENSITIES.build(short).fit(latents, seed=0)
    return (time.perf_counter() - began) * epochs * rows / len(noise)
