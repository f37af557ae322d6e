"""Outputs of the stages of one cell, small and written without running them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.torch import save_file

from vaebench.base.files import write_json
from vaebench.data.store import StoreWriter
from vaebench.densities import DENSITIES
from vaebench.densities.saved import save_latents
from vaebench.measure.features.classifier import layers
from vaebench.model.vae import ModelSpec, save_model

SPEC = ModelSpec(
    image_shape=(1, 8, 8),
    train_size=100,
    network={"name": "compact", "latent_dim": 2},
    likelihood={"name": "gaussian", "variance": "mle"},
    regularizer={"name": "kl"},
)


def write_outputs(folder: Path) -> None:
    """Folders ``store``, ``model``, ``latents``, ``density`` and ``reference`` under ``folder``."""
    rng = np.random.default_rng(0)
    with StoreWriter(folder / "store", "example") as store:
        store.append(rng.integers(0, 255, (9, 1, 8, 8)).astype(np.uint8), rng.integers(0, 3, 9))
        store.describe(splits={"train": (0, 6), "test": (6, 9)})
    save_model(folder / "model", SPEC.build())
    latents = {name: rng.normal(size=(40, 2)).astype(np.float32) for name in ("train_mean", "test_mean")}
    latents["prior_scale"] = np.float32(1)
    save_latents(folder / "latents/latents.npz", latents)
    density = DENSITIES.build({"name": "gmm", "components": 2})
    density.fit(latents, 0)
    density.save(folder / "density")
    save_reference(folder / "reference")


def save_reference(folder: Path) -> None:
    """The reference of a classifier that was not trained."""
    folder.mkdir()
    described = {"kind": "classifier", "accuracy": 0.5, "image_shape": [1, 8, 8], "classes": [3]}
    write_json(folder / "reference.json", described)
    save_file(layers((1, 8, 8), [3]).state_dict(), folder / "classifier.safetensors")
    np.save(folder / "features.npy", np.ones((4, 64), np.float32))
    np.savez(folder / "moments.npz", mu=np.ones(64), sigma=np.eye(64))
