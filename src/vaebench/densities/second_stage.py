"""The second-stage VAE of Dai & Wipf (2019): a VAE on the latents, of their own dimension.

    minimize  E_z [ KL(q(u|z) ‖ N(0, I)) − E_q(u|z) ln N(z; f(u), γ²I) ],   z ~ q(z|x) drawn anew each epoch
    sample    z = f(u) + γε,   u, ε ~ N(0, I)

Encoder and decoder are three ReLU layers each, whose last output is concatenated with the network's input
before the linear head; γ is one trainable scalar. The learning rate is halved after 3/8 and after 6/8 of the
epochs, which are the 300 and 600 of 800 in the authors' code.

    >>> import numpy as np
    >>> density = SecondStage(epochs=1, hidden=16)
    >>> density.fit({"train_mean": np.zeros((64, 2), "float32"), "prior_scale": 1.0}, seed=0)
    >>> density.sample(3, np.random.default_rng(0)).shape
    (3, 2)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from vaebench.base.files import write_atomically
from vaebench.base.reading import reading
from vaebench.densities.latents import posterior_means, posterior_stds
from vaebench.densities.store import write_record

if TYPE_CHECKING:
    from vaebench.base.checkpoint import Checkpoints

__all__ = ["SecondStage"]

_WEIGHTS = "second_stage.safetensors"


class SecondStage:
    """A VAE fitted to z ~ q(z|x); the defaults are those of the authors' code.

    Args:
        epochs: passes over the training latents.
        batch_size: latents per step; an incomplete last batch is left to the next epoch's permutation.
        learning_rate: of Adam, at the start.
        hidden: units in each of the three layers.
    """

    def __init__(
        self,
        *,
        epochs: PositiveInt = 800,
        batch_size: PositiveInt = 64,
        learning_rate: PositiveFloat = 1e-4,
        hidden: PositiveInt = 1024,
    ):
        self._schedule: dict = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
        self._hidden = hidden
        self.epochs = epochs

    def fit(
        self,
        latents: dict[str, np.ndarray],
        seed: int,
        checkpoints: Checkpoints | None = None,
        progress: Callable[[list[dict]], None] | None = None,
    ) -> None:
        """Train on ``train_mean`` (N, d) and ``train_std`` (N, d), if any; on the GPU, if any.

        Args:
            latents: see :class:`~vaebench.densities.base.Density`.
            seed: of weights and noise.
            checkpoints: entered; a fit that was interrupted goes on from there, to the same weights.
            progress: called after each epoch with its row, ``epoch`` and ``loss``, in a list.

        Raises:
            UserError: latents that are not finite.
            NoDensity: it diverged.
            SystemExit: after a signal that ends a process, once the checkpoint is written.
        """
        import torch

        from vaebench.base.device import select_device
        from vaebench.densities.latent_vae import LatentVAE, train

        means, stds = posterior_means(latents), posterior_stds(latents)
        weight_seed, noise_seed = map(int, np.random.SeedSequence(seed).generate_state(2, np.uint64))
        device = select_device()
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(weight_seed)
            vae = LatentVAE(means.shape[1], self._hidden)
        loss = train(
            vae.to(device),
            torch.as_tensor(means, dtype=torch.float32, device=device),
            None if stds is None else torch.as_tensor(stds, dtype=torch.float32, device=device),
            generator=torch.Generator(device).manual_seed(noise_seed),
            checkpoints=checkpoints,
            progress=progress,
            **self._schedule,
        )
        self._vae = vae.cpu()
        self._fitted = {"latent_dim": means.shape[1], "loss": loss, "gamma": vae.log_gamma.exp().item()}

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, d) float32; always on the CPU, so that one saved density gives the same samples everywhere."""
        import torch

        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        return self._vae.sample(n, generator).numpy()

    def save(self, directory: Path) -> None:
        """Write ``density.json``, with the last epoch's mean loss in nats and γ, and the weights."""
        from safetensors.torch import save

        with write_atomically(directory / _WEIGHTS) as temporary:
            temporary.write_bytes(save(self._vae.state_dict()))
        write_record(directory, "second_stage", {**self._schedule, "hidden": self._hidden}, self._fitted)

    @classmethod
    def load(cls, directory: Path, options: dict, fitted: dict) -> SecondStage:
        """Read back what :meth:`save` wrote."""
        from safetensors.torch import load_file

        from vaebench.densities.latent_vae import LatentVAE

        density = cls(**options)
        density._fitted = fitted
        density._vae = LatentVAE(fitted["latent_dim"], density._hidden)
        path = directory / _WEIGHTS
        with reading(path, "posthoc"):
            density._vae.load_state_dict(load_file(path))
        return density
