"""The training of :mod:`vaebench.measure.features.mnist_lenet`.

    python -m vaebench.measure.features.mnist_lenet.train weights.safetensors

MNIST is looked for below ``$VAEBENCH_DATA`` and ``data/raw``. Five epochs over its 60,000 training images in
batches of 128, Adam from 2e-3, the rate falling to 0 by a cosine, a quarter of the 64 features dropped; no
image is shifted or changed. One thread and a seed determine the result: on one processor and one version of
torch the file is the same to the byte, on another the weights differ by rounding and what follows from it.
So the file that is shipped is the network, not this script.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from vaebench.base.precision import exact
from vaebench.data.preparation import prepare
from vaebench.data.store import Prepared
from vaebench.data.value_range import as_unit
from vaebench.measure.features.mnist_lenet import layers, to_input

__all__ = ["accuracy", "train"]

EPOCHS = 5
BATCH = 128
LEARNING_RATE = 2e-3
DROPOUT = 0.25


def train(data: Prepared, seed: int = 0, epochs: int = EPOCHS) -> nn.Sequential:
    """The network trained on ``data``'s training images, in evaluation mode.

    Args:
        data: digits with labels 0 to 9.
        seed: of weights, batches and dropout.
        epochs: passes over the training images.
    """
    images, labels = _tensors(data, "train")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = layers()
        drop = nn.Dropout(DROPOUT)
        optimizer = torch.optim.Adam(network.parameters(), LEARNING_RATE)
        steps = len(images) // BATCH
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
        for epoch in range(epochs):
            began, total = time.perf_counter(), 0.0
            for rows in torch.randperm(len(images))[: steps * BATCH].view(steps, BATCH):
                features = network[:-1](to_input(as_unit(images[rows])))
                loss = F.cross_entropy(network[-1](drop(features)), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                total += loss.item()
            seconds = time.perf_counter() - began
            print(f"epoch {epoch + 1} of {epochs}: loss {total / steps:.4f}, {seconds:.0f} s", flush=True)
    return network.eval()


def accuracy(network: nn.Module, data: Prepared) -> float:
    """Share of ``data``'s test images that ``network`` tells right."""
    images, labels = _tensors(data, "test")
    with exact():
        found = torch.cat([network(to_input(as_unit(batch))).argmax(1) for batch in images.split(500)])
    return (found == labels).double().mean().item()


def _tensors(data: Prepared, split: str) -> tuple[Tensor, Tensor]:
    labels = torch.from_numpy(np.array(data.labels[data.rows(split)])).long()  # type: ignore[index]
    return torch.from_numpy(np.array(data.split(split))), labels


def main() -> None:
    """Train on MNIST and write the weights."""
    parser = argparse.ArgumentParser(description="Train the network whose weights vaebench ships for MNIST.")
    parser.add_argument("out", type=Path, help="the file to write")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    with tempfile.TemporaryDirectory() as folder:
        data = prepare({"name": "mnist"}, Path(folder, "mnist"))
        network = train(data, arguments.seed)
        print(f"test accuracy {accuracy(network, data):.4f}")
    content = save({name: value.contiguous() for name, value in network.state_dict().items()})
    arguments.out.write_bytes(content)
    print(f"{arguments.out}: {len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
