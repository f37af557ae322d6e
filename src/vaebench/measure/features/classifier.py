"""A small classifier of the data set's own labels or factors, whose 64 penultimate units are features.

For the places and data sets that the Inception network does not reach: a distance in its feature space
compares methods on one data set and is named ``fd_classifier``. Convolutions of stride 2 halve the image
to 4 × 4, then 64 units, then one head per label or factor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vaebench.base.errors import UserError
from vaebench.base.files import write_atomically
from vaebench.base.reading import reading
from vaebench.measure.features.base import FeatureNetwork

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn

    from vaebench.data.store import Prepared

__all__ = ["Classifier", "layers", "targets", "train_classifier"]

FEATURES = 64
STEPS = 1000
BATCH = 128
LEARNING_RATE = 2e-3


class Classifier(FeatureNetwork):
    """A small classifier of the data set's own labels or factors; see the module."""

    label = "FD"
    compares = "within a study"
    about = "a classifier of this data set"

    def learn(self, data, seed, device, folder, say) -> dict[str, Any]:
        """Train it and write ``classifier.safetensors``: its test accuracy, the images' shape, the heads."""
        from safetensors.torch import save

        network, accuracy = train_classifier(data, seed, device, say)
        with write_atomically(folder / "classifier.safetensors") as path:
            path.write_bytes(save({k: v.cpu().contiguous() for k, v in network.state_dict().items()}))
        return {
            "accuracy": accuracy,
            "image_shape": list(data.shape),
            "classes": [head.out_features for head in network["heads"]],
        }

    def load(self, folder, device, learned) -> Callable[[Tensor], Tensor]:
        """Features (B, 64), each at least 0, of images (B, C, H, W) in [0, 1]."""
        from safetensors.torch import load_file

        path = folder / "classifier.safetensors"
        with reading(path, "reference"):
            network = layers(learned["image_shape"], learned["classes"])
            network.load_state_dict(load_file(path))
        body = network["body"].to(device).eval()
        return lambda images: body(2 * images - 1)


def layers(image_shape: Sequence[int], classes: Sequence[int]) -> nn.ModuleDict:
    """The network, untrained: ``body``, images (B, C, H, W) in [−1, 1] to features, and ``heads``.

    Args:
        image_shape: (C, H, W).
        classes: the number of classes of each head.
    """
    import torch
    from torch import nn

    channels, size = image_shape[0], max(image_shape[1:])
    body: list[nn.Module] = []
    while size > 4:
        size = (size + 1) // 2
        width = 32 if size > 4 else 64
        body += [nn.Conv2d(channels, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        channels = width
    network = nn.Sequential(*body, nn.Flatten(), nn.LazyLinear(FEATURES), nn.ReLU())
    with torch.no_grad():
        network.eval()(torch.zeros(1, *image_shape))
    heads = nn.ModuleList(nn.Linear(FEATURES, n) for n in classes)
    return nn.ModuleDict({"body": network, "heads": heads})


def targets(data: Prepared) -> np.ndarray:
    """Targets of the classifier: labels (N, 1) or, without labels, factors (N, F).

    Raises:
        UserError: the data set has neither, or all its images are of one class.
    """
    import numpy as np

    found = data.factors if data.labels is None else data.labels[:, None]
    if found is not None and (np.ptp(found, axis=0) > 0).any():
        return np.asarray(found)
    lacks = "neither labels nor factors to train one on" if found is None else "one class and no other"
    raise UserError(
        f"evaluation.features is 'classifier', but data set {data.meta['dataset']!r} has {lacks}; set "
        "`features: inception`, or `features: none` without the metrics that compare by features."
    )


def train_classifier(
    data: Prepared, seed: int, device: torch.device, say: Callable[[str], None] = lambda line: None
) -> tuple[nn.ModuleDict, float]:
    """Train on the training images: 1,000 Adam steps of 128 images, the rate falling to 0 by a cosine.

    Args:
        data: the prepared data set.
        seed: of the weights and of the order of images.
        device: where to train.
        say: called with a line every 100 steps, and with the accuracy.

    Returns:
        The network in evaluation mode (see :func:`layers`) and its test accuracy in [0, 1], the mean over
        heads.
    """
    import numpy as np
    import torch
    from torch.nn import functional as F

    classes = targets(data)
    classes = classes[:, classes.max(axis=0) > classes.min(axis=0)]
    rows = data.rows("train")
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = layers(data.shape, [int(n) + 1 for n in classes.max(axis=0)])
    network.to(device).train()
    optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    order = np.empty(0, np.int64)
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        for step in range(1, STEPS + 1):
            while len(order) < BATCH:
                order = np.concatenate([order, rng.permutation(np.arange(rows.start, rows.stop))])
            batch, order = np.sort(order[:BATCH]), order[BATCH:]
            x, y = _input(data.images[batch], device), torch.from_numpy(classes[batch]).to(device)
            features = network["body"](x)
            loss = sum(F.cross_entropy(head(features), y[:, i]) for i, head in enumerate(network["heads"]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if step % 100 == 0:
                say(f"classifier: step {step} of {STEPS}, loss {loss.item():.4g}")
    network.eval()
    accuracy = _accuracy(network, data, classes, device)
    say(f"classifier: test accuracy {accuracy:.4f}")
    return network, accuracy


def _accuracy(network: nn.ModuleDict, data: Prepared, classes: np.ndarray, device: torch.device) -> float:
    import torch

    from vaebench.base.precision import exact

    rows = data.rows("test")
    correct = 0
    with exact():
        for start in range(rows.start, rows.stop, 1000):
            batch = slice(start, min(start + 1000, rows.stop))
            features = network["body"](_input(data.images[batch], device))
            y = torch.from_numpy(classes[batch]).to(device)
            for i, head in enumerate(network["heads"]):
                correct += int((head(features).argmax(1) == y[:, i]).sum())
    return correct / ((rows.stop - rows.start) * classes.shape[1])


def _input(images: np.ndarray, device: torch.device) -> Tensor:
    import numpy as np
    import torch

    from vaebench.data.value_range import as_unit

    return 2 * as_unit(torch.from_numpy(np.array(images)).to(device)) - 1
