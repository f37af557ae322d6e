"""Interface of a density."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from vaebench.base.errors import UserError

__all__ = ["Density", "NoDensity"]


class NoDensity(UserError):  # noqa: N818
    """These latents have no such density: no prior, or a fit that diverged.

    The message is the reason to record (:func:`vaebench.densities.store.save_absent`).
    """


class Density(Protocol):
    """Interface of a density; its constructor's keyword-only arguments are its options.

    One whose ``fit`` takes long may ask for two more arguments by their names, ``checkpoints``
    (:class:`~vaebench.base.checkpoint.Checkpoints`, entered) and ``progress``, called with a list whose last
    row has ``epoch`` and more numbers. It then has ``epochs``, their number.
    """

    def fit(self, latents: dict[str, np.ndarray], seed: int) -> None:
        """Fit to ``latents.npz``: train_mean (N, d), train_std (N, d) if stochastic, prior_scale."""

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, d) float32 latents; ``rng`` is the only source of randomness."""

    def save(self, directory: Path) -> None:
        """Write the fitted density into ``directory``."""

    @classmethod
    def load(cls, directory: Path, options: dict, fitted: dict) -> Density:
        """Read back what :meth:`save` wrote; ``options`` and ``fitted`` are density.json's.

        Any exception counts as damage: the user is told which folder to delete and which stage to run.
        """
