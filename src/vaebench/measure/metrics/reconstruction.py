"""Reconstruction error, KL divergence and active units."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from pydantic import PositiveInt

from vaebench.base.described import Described, describes
from vaebench.measure.metrics.similarity import psnr, ssim
from vaebench.measure.metrics.spread import with_error
from vaebench.measure.run import Run

__all__ = ["ACTIVE", "reconstruction"]

ACTIVE = 0.01
"""The variance over images of a dimension's posterior mean from which the dimension counts as in use (Burda
et al., 2016, Section 4)."""


@describes(
    {
        "mse": Described(
            "MSE",
            "lower",
            "likelihood",
            help="Squared error of the reconstruction from the posterior mean: a sum over the image's "
            "pixels, not their average, and a mean over the test images.",
        ),
        "mse_sampled": Described(
            "MSE, z sampled",
            "lower",
            "likelihood",
            help="Squared error with z drawn from q(z|x), summed over the image's pixels.",
        ),
        "kl": Described(
            "KL",
            group="likelihood",
            help="KL(q(z|x) ‖ p(z)) in nats per image: what an encoding says of its image. Near 0 the "
            "posterior has collapsed.",
        ),
        "mse_pixel": Described(
            "MSE per pixel", "lower", "units", help="Squared error per pixel and channel."
        ),
        "psnr": Described(
            "PSNR",
            "higher",
            "units",
            unit="dB",
            help="Peak signal-to-noise ratio of the reconstruction in decibels.",
        ),
        "ssim": Described(
            "SSIM",
            "higher",
            "units",
            help="Structural similarity of reconstruction and image, 1 where they are equal.",
        ),
        "active_units": Described(
            "active units",
            group="units",
            help="Latent dimensions whose posterior mean varies over the images by more than 0.01.",
        ),
        "mse_mean_image": Described("MSE of the mean image", group="units", measures=False),
    }
)
def reconstruction(
    run: Run, *, split: Literal["train", "test"] = "test", images: PositiveInt | None = None
) -> dict:
    """E‖x̂ − x‖², summed over an image in the model's value range, and E KL(q(z|x) ‖ N(0, I)) in nats.

    Args:
        run: the model.
        split: of the images; Takida et al.'s Table 1 is on the training set.
        images: the most images, drawn at random.

    Returns:
        ``mse`` from the posterior mean, the same per pixel and channel as ``mse_pixel``, ``psnr`` in dB and
        ``ssim`` of images in [0, 1], and ``active_units``, the latent dimensions whose posterior mean varies
        over the split's images. With a stochastic posterior also ``mse_sampled`` from z ~ q(z|x), which is
        how Takida et al. define x̂, and ``kl``. ``mse_se``, ``mse_sampled_se`` and ``kl_se`` are standard
        errors over the images.
        ``mse_mean_image`` is the error of answering with the mean image whatever x is: the sum of the
        pixels' variances, which a decoder that ignores z cannot beat.
    """
    import torch

    from vaebench.base.precision import exact

    rows = run.subset(len(run.data.split(split)), images, f"reconstruction {split}")
    generator = run.torch_generator("reconstruction")
    found: dict[str, list] = {}
    total: Any = 0.0
    squares = 0.0

    def keep(**values) -> None:
        for name, value in values.items():
            found.setdefault(name, []).append(value.double().cpu())

    for x in run.images(split, rows):
        total, squares = total + x.double().sum(0), squares + x.double().square().sum().item()
        with exact():
            latent = run.model.encode(x)
            mean, log_var = latent.mean, latent.log_var
            decoded = run.model.render(mean, generator)
            unit = run.data.value_range.to_unit(decoded), run.data.value_range.to_unit(x)
            keep(mse=_squared(decoded - x), psnr=psnr(*unit), ssim=ssim(*unit))
            if run.stochastic:
                noise = torch.randn(mean.shape, generator=generator, device=mean.device)
                decoded = run.model.render(mean + (log_var / 2).exp() * noise, generator)
                kl = (mean.double().square() + log_var.double().exp() - log_var.double() - 1) / 2
                keep(mse_sampled=_squared(decoded - x), kl=kl.sum(1))
    values = {name: torch.cat(parts) for name, parts in found.items()}
    result = {name: values.pop(name).mean().item() for name in ("psnr", "ssim")}
    for name, each in values.items():
        result |= with_error(name, each)
    result["mse_pixel"] = result["mse"] / x[0].numel()
    result["mse_mean_image"] = squares / len(rows) - (total / len(rows)).square().sum().item()
    spread = run.latents[f"{split}_mean"].var(axis=0, dtype=np.float64)
    return result | {"active_units": int((spread > ACTIVE).sum())}


def _squared(difference):
    return difference.flatten(1).square().sum(1)
