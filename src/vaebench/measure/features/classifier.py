"""A small classifier of the data set's own labels or factors, whose 64 penultimate units are features.

For the places and data sets that the Inception network does not reach: a distance in its feature space
compares methods on one data set and is named ``fd_classifier``. Convolutions of stride 2 halve the image
to 4 × 4, then 64 units, then one head per label or factor.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaebench.base.errors import UserError
from vaebench.base.precision import exact
from vaebench.data.store import Prepared
from vaebench.data.value_range import as_unit

__all__ = ["FEATURES", "Classifier", "targets", "train_classifier"]

FEATURES = 64
STEPS = 1000
BATCH = 128
LEARNING_RATE = 2e-3


class Classifier(nn.Module):
    """Images (B, C, H, W) in [0, 1] to 64 features.

    Args:
        image_shape: (C, H, W).
        classes: the number of classes of each head.
    """

    def __init__(self, image_shape: tuple[int, int, int], classes: list[int]):
        super().__init__()
        channels, size = image_shape[0], max(image_shape[1:])
        layers = []
        while size > 4:
            size = (size + 1) // 2
            width = 32 if size > 4 else 64
            layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(FEATURES), nn.ReLU())
        with torch.no_grad():
            self.body.eval()(torch.zeros(1, *image_shape))
        self.heads = nn.ModuleList(nn.Linear(FEATURES, n) for n in classes)

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, 64), each at least 0."""
        return self.body(2 * x - 1)


def targets(data: Prepared) -> np.ndarray:
    """Targets of the classifier: labels (N, 1) or, without labels, factors (N, F).

    Raises:
        UserError: the data set has neither.
    """
    if data.labels is not None:
        return np.asarray(data.labels)[:, None]
    if data.factors is not None:
        return np.asarray(data.factors)
    raise UserError(
        f"evaluation.features is 'classifier', but data set {data.meta['dataset']!r} has neither labels nor "
        "factors to train one on; set `features: inception`."
    )


def train_classifier(data: Prepared, seed: int, device: torch.device) -> tuple[Classifier, float]:
    """Train on the training images: 1,000 Adam steps of 128 images, the rate falling to 0 by a cosine.

    Returns:
        The classifier in evaluation mode, and its test accuracy in [0, 1], the mean over heads.
    """
    classes = targets(data)
    classes = classes[:, classes.max(axis=0) > classes.min(axis=0)]
    rows = data.rows("train")
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(data.shape, [int(n) + 1 for n in classes.max(axis=0)])
    network.to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    order = np.empty(0, np.int64)
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        for _ in range(STEPS):
            while len(order) < BATCH:
                order = np.concatenate([order, rng.permutation(np.arange(rows.start, rows.stop))])
            batch, order = np.sort(order[:BATCH]), order[BATCH:]
            x, y = _unit(data.images[batch], device), torch.from_numpy(classes[batch]).to(device)
            features = network(x)
            loss = sum(F.cross_entropy(head(features), y[:, i]) for i, head in enumerate(network.heads))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    return network, _accuracy(network, data, classes, device)


def _accuracy(network: Classifier, data: Prepared, classes: np.ndarray, device: torch.device) -> float:
    rows = data.rows("test")
    correct = 0
    with exact():
        for start in range(rows.start, rows.stop, 1000):
            batch = slice(start, min(start + 1000, rows.stop))
            features = network(_unit(data.images[batch], device))
            y = torch.from_numpy(classes[batch]).to(device)
            for i, head in enumerate(network.heads):
                correct += int((head(features).argmax(1) == y[:, i]).sum())
    return correct / ((rows.stop - rows.start) * classes.shape[1])


def _unit(images: np.ndarray, device: torch.device) -> Tensor:
    return as_unit(torch.from_numpy(np.array(images)).to(device))
