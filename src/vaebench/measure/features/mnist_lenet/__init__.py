"""A frozen network for images of digits, trained once on MNIST and shipped with the package.

Inception, which FID is by, was trained on colour photographs, and FID's authors advise against it for images
that are far from these. This network was trained on MNIST's own digits, by
:mod:`vaebench.measure.features.mnist_lenet.train`, and does not change: a distance by it compares between
studies and laboratories, like FID and unlike a classifier that each study trains.

========================= =============================================================================
Weights                   ``weights.safetensors``, float32, 89,802 numbers, SHA-256 in :data:`DIGEST`
Training                  MNIST's 60,000 training images, 5 epochs of Adam, see ``train.py``; seed 0
Test accuracy             :data:`ACCURACY`, of MNIST's 10,000 test images
Features                  64, the inputs of the last rectifier: they may be negative
========================= =============================================================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vaebench.base.errors import UserError
from vaebench.measure.features.base import FeatureNetwork

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["ACCURACY", "DIGEST", "MnistLenet", "layers", "to_input", "weights"]

WEIGHTS = Path(__file__).with_name("weights.safetensors")
DIGEST = "dca4575fd667f8e5d607e4e6934f62a1d91f2a9eae1dbc5dc548a35fc7fad0cd"
"""SHA-256 of the weights' file."""
ACCURACY = 0.9915
"""Share of MNIST's test images that the network with its last layers tells right."""
SIDE = 32
FEATURES = 64


def layers() -> nn.Sequential:
    """The classifier, untrained: images (B, 1, 32, 32) to logits (B, 10); all but two give features."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 16, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, FEATURES),
        nn.ReLU(),
        nn.Linear(FEATURES, 10),
    )


def to_input(images: Tensor) -> Tensor:
    """Images (B, C, H, W) in [0, 1] as the network sees them, (B, 1, 32, 32).

    Colours are averaged. 28 × 28 is padded with zeros, as Saha et al. do; 32 × 32 is taken as it is; any
    other size is resized bilinearly, with antialiasing where that is smaller.
    """
    from torch.nn import functional as F

    grey = images.mean(1, keepdim=True)
    height, width = grey.shape[2:]
    if (height, width) == (SIDE - 4, SIDE - 4):
        return F.pad(grey, (2, 2, 2, 2))
    if (height, width) == (SIDE, SIDE):
        return grey
    return F.interpolate(grey, size=(SIDE, SIDE), mode="bilinear", antialias=True)


def weights() -> dict[str, Tensor]:
    """The published weights of :func:`layers`.

    Raises:
        UserError: the shipped file is not the published one.
    """
    from safetensors.torch import load

    content = WEIGHTS.read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()) != DIGEST:
        raise UserError(
            f"{WEIGHTS} is not the published network: its SHA-256 is {digest}, not {DIGEST}; install "
            "vaebench again."
        )
    return load(content)


class MnistLenet(FeatureNetwork):
    """LeNet's kind of network, trained on MNIST and frozen; see the module."""

    label = "FD MNIST"
    compares = "across studies"
    about = "a network trained on MNIST that ships with vaebench, the same in every study"

    def load(self, folder, device, learned) -> Callable[[Tensor], Tensor]:
        """Features (B, 64) of images (B, C, H, W) in [0, 1]; see :func:`to_input` for sizes."""
        network = layers()
        network.load_state_dict(weights())
        network = network[:-2].to(device).eval()
        return lambda images: network(to_input(images))
