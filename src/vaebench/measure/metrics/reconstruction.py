"""Reconstruction error and KL divergence per image."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from vaebench.measure.run import Run

__all__ = ["reconstruction"]


def reconstruction(
    run: Run, *, split: Literal["train", "test"] = "test", images: PositiveInt | None = None
) -> dict:
    """E‖x̂ − x‖², summed over an image in the model's value range, and E KL(q(z|x) ‖ N(0, I)) in nats.

    Args:
        run: the model.
        split: which images; Takida et al.'s Table 1 is on the training set.
        images: the most images, drawn at random.

    Returns:
        ``mse`` from the posterior mean; with a stochastic posterior also ``mse_sampled`` from z ~ q(z|x),
        which is how Takida et al. define x̂, and ``kl``.
    """
    import torch

    from vaebench.measure.features.exact import exact

    rows = run.subset(len(run.data.split(split)), images, f"reconstruction {split}")
    generator = run.torch_generator("reconstruction")
    sums = {"mse": 0.0, "mse_sampled": 0.0, "kl": 0.0} if run.stochastic else {"mse": 0.0}
    for x in run.images(split, rows):
        with exact():
            latent = run.model.encode(x)
            mean, log_var = latent.mean, latent.log_var
            sums["mse"] += _squared(run.model.decode(mean) - x)
            if run.stochastic:
                noise = torch.randn(mean.shape, generator=generator, device=mean.device)
                sums["mse_sampled"] += _squared(run.model.decode(mean + (log_var / 2).exp() * noise) - x)
                kl = (mean.double().square() + log_var.double().exp() - log_var.double() - 1) / 2
                sums["kl"] += kl.sum().item()
    return {name: value / len(rows) for name, value in sums.items()}


def _squared(difference) -> float:
    return difference.flatten(1).square().sum(1).double().sum().item()
