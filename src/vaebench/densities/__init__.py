"""Densities to sample latents from: the model's own prior, or one fitted to the latents after training.

    >>> import numpy as np
    >>> density = DENSITIES.build({"name": "gaussian"})
    >>> density.fit({"train_mean": np.eye(4, 2, dtype="float32"), "prior_scale": 1.0}, seed=0)
    >>> density.sample(3, np.random.default_rng(0)).shape
    (3, 2)

What is fitted: ``gaussian`` and ``gmm`` take the posterior *means* of the training images, also where the
posterior is stochastic, as the published code of Ghosh et al. (2020) does, whose settings Takida et al. use;
``second_stage`` takes samples z ~ q(z|x), as Dai & Wipf (2019) do. Latents are never standardized.

A fitted density is a folder: ``density.json`` ({"name", "options", "fitted"}, or {"name", "absent"} where a
method has no such density) and arrays as ``.npz`` or ``.safetensors``, never a pickle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from vaebench.base.errors import UserError
from vaebench.base.registry import Registry
from vaebench.densities.store import NoDensity, damaged, read_record, save_absent

__all__ = ["DENSITIES", "Density", "NoDensity", "load_density", "save_absent"]

DENSITIES = Registry(
    "density",
    {
        "prior": "vaebench.densities.prior:Prior",
        "gaussian": "vaebench.densities.gaussian:Gaussian",
        "gmm": "vaebench.densities.gmm:GMM",
        "second_stage": "vaebench.densities.second_stage:SecondStage",
    },
)


class Density(Protocol):
    """What every density does; its constructor's keyword-only arguments are its options."""

    def fit(self, latents: dict[str, np.ndarray], seed: int) -> None:
        """Fit to ``latents.npz``: train_mean (N, d), train_std (N, d) if stochastic, prior_scale."""

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, d) float32 latents; ``rng`` is the only source of randomness."""

    def save(self, directory: Path) -> None:
        """Write the fitted density into ``directory``."""

    @classmethod
    def load(cls, directory: Path, options: dict, fitted: dict) -> Density:
        """Read back what :meth:`save` wrote; ``options`` and ``fitted`` are density.json's."""


def load_density(directory: str | Path) -> Density | None:
    """The density that was saved in ``directory``; None where it records that the method has none.

    Raises:
        UserError: a missing, damaged or inconsistent file, named.
    """
    directory = Path(directory)
    record = read_record(directory)
    if "absent" in record:
        return None
    where = str(directory / "density.json")
    try:
        checked = DENSITIES.check({**record["options"], "name": record["name"]}, where)
    except UserError as error:
        raise damaged(directory / "density.json", error) from None
    options = {key: value for key, value in checked.items() if key != "name"}
    try:
        return DENSITIES.load(record["name"]).load(directory, options, record["fitted"])
    except (KeyError, TypeError, ValueError) as error:
        why = f"'fitted' lacks {error}" if isinstance(error, KeyError) else error
        raise damaged(directory / "density.json", why) from None
