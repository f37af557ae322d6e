"""The second-stage VAE's networks and training loop, in a module of their own because they import torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from vaebench.base.checkpoint import Checkpoints
from vaebench.base.interrupt import Interrupt, stop_signal
from vaebench.densities.base import NoDensity

__all__ = ["LatentVAE", "train"]


class Skip(nn.Module):
    """Three ReLU layers, then one linear layer on their output concatenated with their input."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
        )
        self.head = nn.Linear(inputs + hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, ``inputs``) to (B, ``outputs``)."""
        return self.head(torch.cat([x, self.trunk(x)], dim=1))


class LatentVAE(nn.Module):
    """q(u|z) Gaussian with a diagonal covariance, p(z|u) = N(f(u), γ²I); u and z have the same dimension."""

    def __init__(self, latent_dim: int, hidden: int):
        super().__init__()
        self.latent_dim = latent_dim
        self.encoder = Skip(latent_dim, hidden, 2 * latent_dim)
        self.decoder = Skip(latent_dim, hidden, latent_dim)
        self.log_gamma = nn.Parameter(torch.zeros(()))

    def loss(self, z: Tensor, generator: torch.Generator) -> Tensor:
        """The negative ELBO of z (B, d) in nats per latent, all constants included."""
        mean, log_std = self.encoder(z).chunk(2, dim=1)
        std = log_std.exp()
        kl = 0.5 * (mean**2 + std**2 - 1) - log_std
        u = mean + std * torch.randn(std.shape, generator=generator, device=std.device)
        residual = (z - self.decoder(u)) * torch.exp(-self.log_gamma)
        reconstruction = 0.5 * (residual**2 + math.log(2 * math.pi)) + self.log_gamma
        return (kl + reconstruction).sum(dim=1).mean()

    @torch.no_grad()
    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """(n, d): f(u) + γε."""
        u, noise = torch.randn((2, n, self.latent_dim), generator=generator)
        return self.decoder(u) + self.log_gamma.exp() * noise


def train(
    vae: LatentVAE,
    mean: Tensor,
    std: Tensor | None,
    *,
    generator: torch.Generator,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[list[dict]], None] | None = None,
) -> float:
    """Train ``vae`` in place on z ~ N(mean, std²), drawn anew each epoch.

    Args:
        vae: on the device of the other arguments.
        mean: (N, d).
        std: (N, d), or None for z = mean.
        generator: the only source of randomness.
        epochs: the learning rate is halved after 3/8 and 6/8 of them.
        batch_size: latents per step.
        learning_rate: of Adam, at the start.
        checkpoints: entered; a fit that was interrupted goes on from there, to the same weights.
        progress: called after each epoch with its row in a list.

    Returns:
        The mean loss of the last epoch, in nats per latent.

    Raises:
        NoDensity: when an epoch's loss is not finite.
        SystemExit: after a signal that ends a process, once the checkpoint is written.
    """
    optimizer = torch.optim.Adam(vae.parameters(), lr=learning_rate, fused=True)
    batch_size = min(batch_size, len(mean))
    halvings = {math.ceil(3 * epochs / 8), math.ceil(6 * epochs / 8)}
    state, line = checkpoints.load() if checkpoints else (None, "")
    if line:
        print(line, flush=True)
    if state:
        vae.load_state_dict(state["vae"])
        optimizer.load_state_dict(state["optimizer"])
        generator.set_state(state["generator"])
    with stop_signal() if checkpoints else nullcontext(Interrupt()) as stop:
        for epoch in range(state["epoch"] if state else 0, epochs):
            if epoch in halvings:
                optimizer.param_groups[0]["lr"] /= 2
            loss = _epoch(vae, optimizer, mean, std, generator, batch_size)
            if not math.isfinite(loss):
                raise NoDensity(
                    f"The second-stage VAE diverged in epoch {epoch + 1} of {epochs}; lower the density's "
                    f"'learning_rate', which is {learning_rate}."
                )
            if progress:
                progress([{"epoch": epoch + 1, "loss": loss}])
            if epoch + 1 < epochs and checkpoints and (stop.requested or checkpoints.due()):
                state = {"vae": vae.state_dict(), "optimizer": optimizer.state_dict()}
                state |= {"generator": generator.get_state(), "epoch": epoch + 1, "batch": 0}
                if failure := checkpoints.save(state):
                    print(failure, flush=True)
                if stop.requested:
                    raise SystemExit(
                        f"stopped by a signal after epoch {epoch + 1}; run again to go on from there"
                    )
    return loss


def _epoch(
    vae: LatentVAE,
    optimizer: torch.optim.Optimizer,
    mean: Tensor,
    std: Tensor | None,
    generator: torch.Generator,
    batch_size: int,
) -> float:
    """One pass over new draws z in random order, an incomplete last batch left out; its mean loss in nats."""
    steps = len(mean) // batch_size
    order = torch.randperm(len(mean), generator=generator, device=mean.device)[: steps * batch_size]
    z = mean[order]
    if std is not None:
        z += std[order] * torch.randn(z.shape, generator=generator, device=z.device)
    total = torch.zeros((), device=mean.device)
    for batch in z.split(batch_size):
        loss = vae.loss(batch, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.detach()
    return total.item() / steps
