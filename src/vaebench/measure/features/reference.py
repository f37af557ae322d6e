"""The real test images' features and their moments, and the network that extracts more of them.

Folder: ``reference.json`` (the network's name and options, and what it learned), ``features.npy`` (N, D)
float32, ``moments.npz`` (``mu``, ``sigma``, float64) and the weights of a network that learned from the data
set. Where the network is ``none``, because no metric compares features, ``reference.json`` says so and is
alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vaebench.base.files import read_json, write_atomically, write_json
from vaebench.base.precision import exact
from vaebench.base.reading import reading
from vaebench.data.store import Prepared
from vaebench.data.value_range import as_unit
from vaebench.measure.features import FEATURES, distance_key, family_key
from vaebench.measure.features.frechet import frechet_distance, moments, symmetric_root

__all__ = ["Reference", "build_reference", "load_reference"]

BATCH = 500


@dataclass(frozen=True)
class Reference:
    """Reference for distances between sets of images.

    Attributes:
        kind: the feature network's name.
        network: images (B, C, H, W) in [0, 1] on ``device`` to features (B, D).
        features: the real test images' features, (N, D) float32.
        mu: their mean (D,), float64.
        sigma: their covariance (D, D), float64.
        device: where ``network`` is.
        accuracy: test accuracy of a classifier that was trained on the data set; None for a frozen network.
    """

    kind: str
    network: Callable[[Tensor], Tensor]
    features: np.ndarray
    mu: np.ndarray
    sigma: np.ndarray
    device: torch.device
    accuracy: float | None = None

    @property
    def name(self) -> str:
        """Key of the Fréchet distance in these features."""
        return distance_key(self.kind)

    def key(self, family: str) -> str:
        """Key of another number of these features: ``family`` for Inception's, ``family_network`` else."""
        return family_key(family, self.kind)

    def encode(self, images: np.ndarray | Tensor) -> np.ndarray:
        """Features (n, D) float32 of ``images`` (n, C, H, W), uint8 or float in [0, 1]."""
        return _extract(self.network, _slices(images), self.device)

    def stream(self, batches: Iterable[Tensor]) -> np.ndarray:
        """Features of images that come batch by batch and are never held together."""
        return _extract(self.network, batches, self.device)

    def distance(self, features: np.ndarray) -> float:
        """The Fréchet distance of ``features`` (n, D) to the real ones; NaN where either are of one image."""
        if min(len(features), len(self.features)) < 2:
            return float("nan")
        return frechet_distance(self.mu, self.sigma, *moments(features), root1=self._root)

    @functools.cached_property
    def _root(self) -> np.ndarray:
        return symmetric_root(self.sigma)


def build_reference(
    data: Prepared,
    features: str | Mapping,
    seed: int,
    folder: Path,
    device: str | torch.device = "cpu",
    say: Callable[[str], None] = lambda line: None,
) -> Reference | None:
    """Make the reference of a data set and write it to ``folder``; None for the network ``none``.

    Args:
        data: the prepared data set.
        features: the feature network, a name or ``{"name": …, option: …}``.
        seed: of the draws of a network that learns from the data set.
        folder: destination.
        device: where the network runs.
        say: called with a line before each part, and now and then during the longer ones.

    Raises:
        UserError: there is no such network, its weights cannot be had, or it finds nothing to learn from.
    """
    spec = {"name": features} if isinstance(features, str) else features
    described = FEATURES.check(spec, "evaluation.features")
    built, device = FEATURES.build(spec), torch.device(device)
    folder.mkdir(parents=True, exist_ok=True)
    learned = built.learn(data, seed, device, folder, say)
    network = built.load(folder, device, learned)
    described = {"kind": described.pop("name"), "options": described, **learned}
    if network is None:
        write_json(folder / "reference.json", described)
        return None
    say(f"features of {len(data.split('test')):,} test images")
    found = _extract(network, _slices(data.split("test")), device)
    mu, sigma = moments(found)
    with write_atomically(folder / "features.npy") as path, path.open("wb") as file:
        np.save(file, found)
    with write_atomically(folder / "moments.npz") as path, path.open("wb") as file:
        np.savez(file, mu=mu, sigma=sigma)
    write_json(folder / "reference.json", described)
    return Reference(described["kind"], network, found, mu, sigma, device, described.get("accuracy"))


def load_reference(folder: str | Path, device: str | torch.device = "cpu") -> Reference | None:
    """The reference in ``folder``; None where its network is ``none``.

    Raises:
        UserError: a file is missing or damaged; says what makes it.
    """
    folder, device = Path(folder), torch.device(device)
    with reading(folder / "reference.json", "reference"):
        learned = read_json(folder / "reference.json")
        spec = {"name": learned.pop("kind"), **learned.pop("options", {})}
        features_of = FEATURES.build(spec)
    network = features_of.load(folder, device, learned)
    if network is None:
        return None
    with reading(folder, "reference"):
        features = np.load(folder / "features.npy", allow_pickle=False)
        with np.load(folder / "moments.npz", allow_pickle=False) as arrays:
            mu, sigma = arrays["mu"], arrays["sigma"]
        width = features.shape[-1]
        if features.ndim != 2 or mu.shape != (width,) or sigma.shape != (width, width):
            shapes = f"features.npy {features.shape}, moments.npz {mu.shape} and {sigma.shape}"
            raise ValueError(f"the shapes do not fit: {shapes}")
    return Reference(spec["name"], network, features, mu, sigma, device, learned.get("accuracy"))


def _slices(images: np.ndarray | Tensor) -> Iterable[Tensor]:
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        yield batch if isinstance(batch, Tensor) else torch.from_numpy(np.array(batch))


def _extract(
    network: Callable[[Tensor], Tensor], batches: Iterable[Tensor], device: torch.device
) -> np.ndarray:
    # Inception's first layers need 8 MB per image.
    size = 500 if device.type == "cuda" else 50
    features = []
    for batch in batches:
        for chunk in batch.to(device).split(size):
            with exact():
                features.append(network(as_unit(chunk)))
    return torch.cat(features).float().cpu().numpy()
