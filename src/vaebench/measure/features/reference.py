"""The real test images' features and their moments, and the network that extracts more of them.

Folder: ``reference.json`` (kind, and of a classifier its heads and test accuracy), ``features.npy`` (N, D)
float32, ``moments.npz`` (``mu``, ``sigma``, float64) and, for a classifier, ``classifier.safetensors``. Where
the kind is ``none``, because no metric compares features, ``reference.json`` says so and is alone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from vaebench.base.errors import UserError
from vaebench.base.files import read_json, write_atomically, write_json
from vaebench.base.precision import exact
from vaebench.data.store import Prepared
from vaebench.data.value_range import as_unit
from vaebench.measure.features.frechet import frechet_distance, moments, symmetric_root

__all__ = ["Kind", "Reference", "build_reference", "load_reference"]

Kind = Literal["none", "inception", "classifier"]

NAMES = {"inception": "fid", "classifier": "fd_classifier"}
"""Name of the Fréchet distance in each kind's features."""


@dataclass(frozen=True)
class Reference:
    """Reference for distances between sets of images.

    Attributes:
        kind: the feature network.
        network: images (B, C, H, W) in [0, 1] on ``device`` to features (B, D).
        features: the real test images' features, (N, D) float32.
        mu: their mean (D,), float64.
        sigma: their covariance (D, D), float64.
        device: where ``network`` is.
        accuracy: a classifier's test accuracy; None for Inception.
    """

    kind: Kind
    network: nn.Module
    features: np.ndarray
    mu: np.ndarray
    sigma: np.ndarray
    device: torch.device
    accuracy: float | None = None

    @property
    def name(self) -> str:
        """Name of the Fréchet distance in these features."""
        return NAMES[self.kind]

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
    data: Prepared, kind: Kind, seed: int, folder: Path, device: str | torch.device = "cpu"
) -> Reference | None:
    """Make the reference of a data set and write it to ``folder``; None for the kind ``none``.

    Args:
        data: the prepared data set.
        kind: the feature network.
        seed: of the classifier's weights and batches.
        folder: where it goes.
        device: where the network runs.

    Raises:
        UserError: Inception's weights cannot be had, or there is nothing to train a classifier on.
    """
    device = torch.device(device)
    folder.mkdir(parents=True, exist_ok=True)
    described: dict = {"kind": kind}
    if kind == "none":
        write_json(folder / "reference.json", described)
        return None
    if kind != "classifier":
        network = _inception()
    else:
        from safetensors.torch import save

        from vaebench.measure.features.classifier import train_classifier

        network, accuracy = train_classifier(data, seed, device)
        described |= {
            "accuracy": accuracy,
            "image_shape": list(data.shape),
            "classes": [head.out_features for head in network.heads],
        }
        with write_atomically(folder / "classifier.safetensors") as path:
            path.write_bytes(save({k: v.cpu().contiguous() for k, v in network.state_dict().items()}))
    network.to(device)
    features = _extract(network, _slices(data.split("test")), device)
    mu, sigma = moments(features)
    with write_atomically(folder / "features.npy") as path, path.open("wb") as file:
        np.save(file, features)
    with write_atomically(folder / "moments.npz") as path, path.open("wb") as file:
        np.savez(file, mu=mu, sigma=sigma)
    write_json(folder / "reference.json", described)
    return Reference(kind, network, features, mu, sigma, device, described.get("accuracy"))


def load_reference(folder: str | Path, device: str | torch.device = "cpu") -> Reference | None:
    """The reference in ``folder``; None where it is of the kind ``none``.

    Raises:
        UserError: a file is missing or damaged; says what makes it.
    """
    folder, device = Path(folder), torch.device(device)
    try:
        described = read_json(_present(folder / "reference.json"))
        if described["kind"] == "none":
            return None
        for name in ("features.npy", "moments.npz"):
            _present(folder / name)
        features = np.load(folder / "features.npy", allow_pickle=False)
        with np.load(folder / "moments.npz", allow_pickle=False) as arrays:
            mu, sigma = arrays["mu"], arrays["sigma"]
        network = _network(described, folder)
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{folder} holds a damaged reference ({error}); delete the folder and run `dvc repro`."
        ) from None
    width = features.shape[-1]
    if features.ndim != 2 or mu.shape != (width,) or sigma.shape != (width, width):
        raise UserError(
            f"{folder}: features.npy {features.shape} and moments.npz {mu.shape}, {sigma.shape} do not fit; "
            "delete the folder and run `dvc repro`."
        )
    accuracy = described.get("accuracy")
    return Reference(described["kind"], network.to(device), features, mu, sigma, device, accuracy)


def _network(described: dict, folder: Path) -> nn.Module:
    if described["kind"] != "classifier":
        return _inception()
    from safetensors.torch import load_file

    from vaebench.measure.features.classifier import Classifier

    _present(folder / "classifier.safetensors")
    network = Classifier(tuple(described["image_shape"]), described["classes"])
    network.load_state_dict(load_file(folder / "classifier.safetensors"))
    return network.eval()


def _inception() -> nn.Module:
    from vaebench.measure.features.inception import load_inception

    return load_inception()


def _present(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{path} is missing; run `dvc repro` to make the reference.")
    return path


def _slices(images: np.ndarray | Tensor, size: int = 500) -> Iterable[Tensor]:
    for start in range(0, len(images), size):
        batch = images[start : start + size]
        yield batch if isinstance(batch, Tensor) else torch.from_numpy(np.array(batch))


def _extract(network: nn.Module, batches: Iterable[Tensor], device: torch.device) -> np.ndarray:
    # Inception's first layers need 8 MB an image.
    size = 500 if device.type == "cuda" else 50
    features = []
    for batch in batches:
        for chunk in batch.to(device).split(size):
            with exact():
                features.append(network(as_unit(chunk)))
    return torch.cat(features).float().cpu().numpy()
