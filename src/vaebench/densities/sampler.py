"""A trained model and its densities in one object.

sampler = Sampler.load("data/models/quickstart/digits/avae/0", {"gmm10": "data/densities/…/gmm10"})
images = sampler.sample(64, "gmm10")                  # (64, C, H, W) in [0, 1]
restored = sampler.decode(sampler.encode(images).mean)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vaebench.base.errors import UserError
from vaebench.densities.base import Density
from vaebench.densities.store import load_density
from vaebench.model.posteriors.base import Latent
from vaebench.model.vae import VAE, load_model

__all__ = ["Sampler"]

BATCH = 500


class Sampler(nn.Module):
    """A model whose images are in [0, 1] whatever range it was trained in.

    Args:
        model: a trained model.
        densities: sources of latents by name; the model's own prior, where it has one, is ``prior``
            unless one of them is.
    """

    def __init__(self, model: VAE, densities: Mapping[str, Density]):
        super().__init__()
        self.model = model.eval()
        self.densities = dict(densities)
        self.prior_scale = model.prior_scale

    @classmethod
    def load(
        cls,
        folder: str | Path,
        densities: Mapping[str, str | Path] | None = None,
        device: str | torch.device = "cpu",
    ) -> Sampler:
        """Read what *train* and *posthoc* wrote; a density that the method does not have is left out.

        Raises:
            UserError: a file is missing or damaged.
        """
        model = load_model(folder, device)
        loaded = {name: load_density(path) for name, path in (densities or {}).items()}
        present = {name: density for name, density in loaded.items() if density is not None}
        return cls(model, present)

    @property
    def names(self) -> list[str]:
        """The densities that :meth:`sample` takes."""
        own = [] if self.prior_scale is None or "prior" in self.densities else ["prior"]
        return [*own, *self.densities]

    @torch.no_grad()
    def encode(self, images: Tensor) -> Latent:
        """q(z|x) of ``images`` (B, C, H, W), float in [0, 1] or uint8."""
        return self.model.encode(self.model.value_range.to_model(images.to(self._device)))

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Mean images (B, C, H, W) in [0, 1] of latents ``z`` (B, d)."""
        return self.model.value_range.to_unit(self.model.decode(z.to(self._device)))

    def forward(self, images: Tensor) -> Tensor:
        """Reconstructions from the posterior means, (B, C, H, W) in [0, 1]."""
        return self.decode(self.encode(images).mean)

    def sample(self, n: int, density: str = "prior", seed: int = 0) -> Tensor:
        """``n`` new images, (n, C, H, W) in [0, 1].

        Raises:
            UserError: the model has no density of that name; lists those that it has.
        """
        rng = np.random.default_rng(seed)
        if density in self.densities:
            z = self.densities[density].sample(n, rng)
        elif density == "prior" and self.prior_scale is not None:
            z = self.prior_scale * rng.standard_normal((n, self.model.latent_dim))
        else:
            known = ", ".join(self.names) or "none; fit one with the posthoc stage"
            raise UserError(f"the model has no density {density!r} to sample from; it has: {known}.")
        latents = torch.from_numpy(np.asarray(z, dtype=np.float32))
        return torch.cat([self.decode(part) for part in latents.split(BATCH)])

    @property
    def _device(self) -> torch.device:
        return next(self.model.parameters()).device
