"""Contestants: functions that do one slice of work each and return its number of images.

All train the same variational autoencoder, with a Gaussian likelihood of σ² = 1, from the same random images,
on the first CUDA device if there is one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import torch

from vaebench.base.device import select_device

__all__ = [
    "CASES",
    "Case",
    "Slice",
    "build",
    "contestant",
    "images_of",
    "inception_weights",
    "pytorch_fid_network",
    "write_png",
]

Slice = Callable[[], int]


@dataclass(frozen=True)
class Case:
    """A network and its protocol's batch; ``steps`` of it are one slice."""

    title: str
    network: str
    image_shape: tuple[int, int, int]
    batch: int
    steps: int
    contestants: tuple[str, ...] = ("plain", "compiled", "pythae", "fp32", "bf16")

    @property
    def slice_steps(self) -> int:
        """``steps``, and as many more as make a slice on a GPU long enough to time."""
        return self.steps * (20 if torch.cuda.is_available() else 1)


CASES = {
    "takida_mnist": Case("Takida's MNIST VAE", "takida_mnist", (1, 28, 28), 64, 10),
    "avae_mnist": Case("AVAE's MNIST network", "avae_mnist", (1, 32, 32), 100, 10),
    "takida_celeba": Case("Takida's CelebA network", "takida_celeba", (3, 64, 64), 64, 1),
    "inception": Case("Inception features", "inception", (3, 64, 64), 50, 1, ("pytorch-fid", "fp32")),
}


def images_of(case: Case, count: int) -> torch.Tensor:
    """Random images, (count, C, H, W) uint8."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, *case.image_shape), dtype=torch.uint8, generator=generator)


def build(case: Case, regularizer: dict | None = None, posterior: str = "gaussian"):
    """The model, newly initialized; by default a VAE."""
    from vaebench.model.vae import ModelSpec

    torch.manual_seed(0)
    return ModelSpec(
        image_shape=case.image_shape,
        train_size=60_000,
        network={"name": case.network},
        likelihood={"name": "gaussian"},
        regularizer=regularizer or {"name": "kl"},
        posterior={"name": posterior},
    ).build()


def ours(case: Case, precision: str) -> Slice:
    """The engine's step, compiled."""
    from vaebench.study.params import Training
    from vaebench.training.step import Step

    device = select_device()
    model = build(case).to(device, memory_format=torch.channels_last)
    images = images_of(case, case.batch * case.slice_steps).to(device)
    step = Step(model, images, Training(epochs=1, batch_size=case.batch, precision=precision), compiled=True)

    def epoch() -> int:
        for rows in torch.randperm(len(images)).to(device).split(case.batch):
            step(rows)
        return len(images)

    return epoch


def plain(case: Case, compiled: bool = False) -> Slice:
    """A loop as in PyTorch's tutorials, float32, the images on the device.

    ``compiled``: with what they advise besides, torch.compile and fused Adam.
    """
    device = select_device()
    model = build(case).to(device)
    images = images_of(case, case.batch * case.slice_steps).to(device).float() / 255
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=compiled or None)

    def loss(x: torch.Tensor) -> torch.Tensor:
        return model.loss(x).total

    if compiled:
        loss = torch.compile(loss)

    def epoch() -> int:
        for rows in torch.randperm(len(images)).to(device).split(case.batch):
            optimizer.zero_grad()
            loss(images[rows]).backward()
            optimizer.step()
        return len(images)

    return epoch


def pythae(case: Case) -> Slice:
    """An epoch of pythae's trainer, with its own model, loader and optimizer around our networks."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    ours = build(case)

    class Encoder(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.network = ours.encoder

        def forward(self, x):
            mean, log_var = self.network(x).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=log_var)

    class Decoder(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.network = ours.decoder

        def forward(self, z):
            return ModelOutput(reconstruction=torch.sigmoid(self.network(z)))

    images = images_of(case, case.batch * case.slice_steps).float() / 255
    config = VAEConfig(input_dim=case.image_shape, latent_dim=ours.latent_dim)
    trainer = BaseTrainer(
        VAE(config, Encoder(), Decoder()),
        BaseDataset(images, torch.zeros(len(images))),
        None,
        BaseTrainerConfig(
            output_dir=tempfile.mkdtemp(),
            per_device_train_batch_size=case.batch,
            num_epochs=1,
            learning_rate=1e-3,
            no_cuda=select_device().type == "cpu",
        ),
    )
    trainer.prepare_training()

    def epoch() -> int:
        trainer.train_step(1)
        return len(images)

    return epoch


def inception_weights() -> dict[str, torch.Tensor]:
    """Random weights of FID's Inception that keep the scale of what passes through."""
    import torchvision

    torch.manual_seed(0)
    network = torchvision.models.inception_v3(num_classes=1008, aux_logits=False, init_weights=False)
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return network.state_dict()


def pytorch_fid_network(weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    """pytorch-fid's own network with ``weights``."""
    from pytorch_fid import inception

    with mock.patch.object(inception, "load_state_dict_from_url", return_value=weights):
        return inception.InceptionV3([inception.InceptionV3.BLOCK_INDEX_BY_DIM[2048]])


def write_png(images: torch.Tensor, folder: Path) -> list[Path]:
    """Write each of ``images`` (n, 3, H, W) uint8 to a file."""
    from PIL import Image

    folder.mkdir(exist_ok=True)
    files = [folder / f"{i}.png" for i in range(len(images))]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(file)
    return files


def features(case: Case, kind: str) -> Slice:
    """Features of PNG files by pytorch-fid, or of the same pictures in memory by ours; random weights."""
    import numpy as np
    from pytorch_fid.fid_score import get_activations

    from vaebench.measure.features.inception import inception
    from vaebench.measure.features.reference import Reference

    weights, images = inception_weights(), images_of(case, case.batch * case.steps)
    if kind == "pytorch-fid":
        network, files = pytorch_fid_network(weights), write_png(images, Path(tempfile.mkdtemp()))
        return lambda: len(get_activations(files, network, batch_size=case.batch, num_workers=1))
    reference = Reference(
        "inception", inception(weights, torch.device("cpu")), *[np.empty(0)] * 3, torch.device("cpu")
    )
    return lambda: len(reference.encode(images))


def contestant(case: Case, name: str) -> Slice:
    """Set up ``name``.

    Raises:
        ImportError: its library is not installed.
    """
    if case.network == "inception":
        return features(case, name)
    if name in ("plain", "compiled"):
        return plain(case, name == "compiled")
    return pythae(case) if name == "pythae" else ours(case, name)
