"""``latents.npz``: encodings of the data set by a trained model, for the densities and the metrics.

Arrays, float32: ``train_mean``, ``test_mean`` (N, d); ``train_std``, ``test_std`` (N, d) where the posterior
is stochastic; ``prior_scale`` (), the standard deviation of the model's own prior, NaN where it has none;
``diverged`` (), the epoch in which the training did, and then nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vaebench.base.files import write_atomically
from vaebench.base.reading import reading

__all__ = ["load_latents", "save_latents"]


def save_latents(path: Path, latents: dict[str, np.ndarray]) -> None:
    """Write the arrays, in the order of their names."""
    with write_atomically(path) as temporary, temporary.open("wb") as file:
        ordered: dict[str, Any] = {name: latents[name] for name in sorted(latents)}
        np.savez(file, **ordered)


def load_latents(path: str | Path) -> dict[str, np.ndarray]:
    """Read the arrays; nothing is unpickled.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = Path(path)
    with reading(path, "train"):
        with np.load(path, allow_pickle=False) as file:
            latents = dict(file)
        if "diverged" not in latents:
            for name in ("train_mean", "test_mean", "prior_scale"):
                _ = latents[name]
    return latents
