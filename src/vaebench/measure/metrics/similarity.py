"""Similarity of two images: peak signal-to-noise ratio, and structural similarity (Wang et al., 2004)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["psnr", "ssim"]

WINDOW, SIGMA = 11, 1.5
"""The Gaussian window's side and standard deviation in pixels, as published."""


def psnr(first: Tensor, second: Tensor) -> Tensor:
    """−10 log10 of the mean squared difference of images (B, C, H, W) in [0, 1]: (B,), in dB."""
    return -10 * (first - second).flatten(1).square().mean(1).log10()


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """The structural similarity of images (B, C, H, W) in [0, 1], mean over channels and windows: (B,).

    Windows lie wholly inside the image; NaN where it is smaller than one.
    """
    import torch
    from torch.nn.functional import conv2d

    channels = first.shape[1]
    if min(first.shape[2:]) < WINDOW:
        return first.new_full((len(first),), torch.nan)
    at = torch.arange(WINDOW, dtype=first.dtype, device=first.device) - (WINDOW - 1) / 2
    line = torch.exp(-at.square() / (2 * SIGMA**2))
    window = torch.outer(line, line) / line.sum() ** 2
    kernel = window.expand(channels, 1, WINDOW, WINDOW)

    def blurred(image: Tensor) -> Tensor:
        return conv2d(image, kernel, groups=channels)

    mean1, mean2 = blurred(first), blurred(second)
    var1, var2 = blurred(first.square()) - mean1.square(), blurred(second.square()) - mean2.square()
    covariance = blurred(first * second) - mean1 * mean2
    first_constant, second_constant = 0.01**2, 0.03**2
    ratio = (2 * mean1 * mean2 + first_constant) * (2 * covariance + second_constant)
    ratio = ratio / ((mean1.square() + mean2.square() + first_constant) * (var1 + var2 + second_constant))
    return ratio.flatten(1).mean(1)
