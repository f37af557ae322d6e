"""Models and data whose metrics are known in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vaebench.data.store import Prepared
from vaebench.measure.features.frechet import moments
from vaebench.measure.features.reference import Reference
from vaebench.measure.run import Run
from vaebench.model.likelihoods.gaussian import GaussianLikelihood
from vaebench.model.posteriors.base import Latent


class Linear(nn.Module):
    """x | z ~ N(Wz, σ² I), q(z|x) = N(Ax, diag std²); std None is a deterministic posterior."""

    def __init__(
        self,
        weight: Tensor,
        encoder: Tensor,
        std: Tensor | None,
        sigma2: float = 1.0,
        prior_scale: float | None = 1.0,
    ):
        super().__init__()
        self.weight, self.to_mean, self.std = weight, encoder, std
        self.shape = (1, 1, len(weight))
        self.likelihood = GaussianLikelihood(self.shape, "identity", variance="fixed", sigma2=sigma2)
        self.prior_scale = prior_scale

    def encode(self, x: Tensor) -> Latent:
        mean = x.flatten(1) @ self.to_mean.T
        if self.std is None:
            return Latent(mean, None, mean)
        log_var = (2 * self.std.log()).expand_as(mean)
        return Latent(mean, log_var, mean + self.std * torch.randn_like(mean))

    def decoder(self, z: Tensor) -> Tensor:
        return (z @ self.weight.T).reshape(-1, *self.shape)

    def render(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.decode(z)

    def decode(self, z: Tensor) -> Tensor:
        return self.likelihood.mean(self.decoder(z))


class Normal:
    """A density: N(shift, 1)."""

    def __init__(self, dim: int, shift: float = 0.0):
        self.dim, self.shift = dim, shift

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return (rng.standard_normal((n, self.dim)) + self.shift).astype(np.float32)


def prepared(images: np.ndarray, labels=None, factors=None, **meta) -> Prepared:
    """A data set in memory whose training and test sets are both all of ``images``."""
    rows = [0, len(images)]
    meta = {
        "dataset": "made_up",
        "shape": list(images.shape[1:]),
        "splits": {"train": rows, "test": rows},
        "value_range": [0, 1],
    } | meta
    return Prepared(Path("made_up"), images, labels, factors, meta)


def pixels(images: np.ndarray) -> Reference:
    """A reference whose features are the pixels themselves."""
    flat = images.reshape(len(images), -1).astype(np.float32)
    return Reference("classifier", nn.Flatten(), flat, *moments(flat), torch.device("cpu"))


def run_of(model: nn.Module, data: Prepared, **more) -> Run:
    """A run with the latents that the training stage would have written."""
    with torch.no_grad():
        latent = model.encode(data.value_range.to_model(torch.from_numpy(np.array(data.images))))
    latents = {f"{split}_mean": latent.mean.numpy() for split in ("train", "test")}
    if latent.log_var is not None:
        latents |= {f"{split}_std": (latent.log_var / 2).exp().numpy() for split in ("train", "test")}
    settings = {
        "densities": {},
        "reference": None,
        "device": torch.device("cpu"),
        "seed": 0,
        "batch_size": 64,
    }
    return Run(model=model, data=data, latents=latents, **settings | more)


def linear_data(count: int, weight: Tensor, sigma2: float, seed: int = 0) -> np.ndarray:
    """Images (count, 1, 1, p) drawn from the linear model."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(count, weight.shape[1], generator=generator)
    noise = torch.randn(count, len(weight), generator=generator) * sigma2**0.5
    return (z @ weight.T + noise).reshape(count, 1, 1, -1).numpy()


def orthogonal(rows: int, columns: int, scales: tuple[float, ...], seed: int = 0) -> Tensor:
    """A matrix (rows, columns) with orthogonal columns of the given lengths."""
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(rows, columns, generator=generator))[0] * torch.tensor(scales)
