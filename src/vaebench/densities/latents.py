"""The training latents that a density is fitted to, checked."""

from __future__ import annotations

import numpy as np

from vaebench.base.errors import UserError

__all__ = ["posterior_means", "posterior_stds"]


def posterior_means(latents: dict[str, np.ndarray]) -> np.ndarray:
    """``train_mean``, (N, d), N ≥ 2, finite.

    Raises:
        UserError: otherwise, with what to do.
    """
    means = np.asarray(latents["train_mean"])
    if means.ndim != 2 or len(means) < 2:
        raise UserError(
            f"The latents' train_mean must have 2 or more rows and 2 dimensions; its shape is {means.shape}. "
            "Train the model again."
        )
    return _finite("train_mean", means)


def posterior_stds(latents: dict[str, np.ndarray]) -> np.ndarray | None:
    """``train_std``, (N, d), finite, or None for a deterministic posterior.

    Raises:
        UserError: a shape that is not train_mean's, or a value that is not finite.
    """
    if "train_std" not in latents:
        return None
    stds = np.asarray(latents["train_std"])
    if stds.shape != np.shape(latents["train_mean"]):
        raise UserError(
            f"The latents' train_std has shape {stds.shape}, train_mean {np.shape(latents['train_mean'])}; "
            "train the model again."
        )
    return _finite("train_std", stds)


def _finite(name: str, values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise UserError(
            f"The latents' {name} holds values that are not finite, so the model's training diverged; "
            "lower its learning rate and train it again."
        )
    return values
