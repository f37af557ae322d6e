r"""torch's convolutions, as one matrix product where they are wide and small and on the CPU.

A convolution is a product of its images' patches, (positions, taps · channels), and its weights. At many
channels and few positions that product is all there is to do, and oneDNN's convolution is far from it: the
weight gradient of a 4 × 4 filter from 256 to 512 channels at 4 × 4 pixels runs at a fortieth of the speed
of the matrix product that it is (benchmarks/README.md). Where no gradient is asked for, oneDNN is left more.
At one pixel, oneDNN's weight gradient in bfloat16 holds memory that nothing was written to (torch 2.15).

Parameters, their names and their initialization are torch's; results differ in rounding alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Conv2d", "ConvTranspose2d"]

CHANNELS_PER_POSITION, WITHOUT_GRADIENTS = 8, 16
"""Channels, the geometric mean of input's and output's, for each position of the smaller image, from which
making patches pays: measured at 2 to 64 positions and 64 to 1,024 channels, forward and backward, and
forward alone."""


class Conv2d(nn.Conv2d):
    """``nn.Conv2d`` with numeric padding, no dilation and no groups."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H', W')."""
        (kh, kw), (sh, sw), (ph, pw) = self.kernel_size, self.stride, self.padding
        height, width = (x.shape[2] + 2 * ph - kh) // sh + 1, (x.shape[3] + 2 * pw - kw) // sw + 1
        if not _as_product(self, x, height * width):
            return super().forward(x)
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, pw, pw, ph, ph))
        taps = [
            padded[:, i : i + sh * (height - 1) + 1 : sh, j : j + sw * (width - 1) + 1 : sw]
            for i, j in product(range(kh), range(kw))
        ]
        patches = torch.stack(taps, dim=3).reshape(len(x) * height * width, -1)
        weight = self.weight.permute(2, 3, 1, 0).reshape(-1, self.out_channels)
        y = _plus(patches @ weight, self.bias)
        return y.view(len(x), height, width, -1).permute(0, 3, 1, 2)


class ConvTranspose2d(nn.ConvTranspose2d):
    """``nn.ConvTranspose2d`` with no dilation and no groups."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H', W')."""
        count, channels, height, width = x.shape
        if not _as_product(self, x, height * width):
            return super().forward(x)
        (kh, kw), (sh, sw) = self.kernel_size, self.stride
        (ph, pw), (oh, ow) = self.padding, self.output_padding
        weight = self.weight.permute(0, 2, 3, 1).reshape(channels, -1)
        taps = x.permute(0, 2, 3, 1).reshape(-1, channels) @ weight
        taps = taps.view(count, height, width, kh, kw, self.out_channels)
        rows = _overlap(taps.unbind(3), 1, sh, ph, (height - 1) * sh - 2 * ph + kh + oh)
        y = _overlap(rows.unbind(3), 2, sw, pw, (width - 1) * sw - 2 * pw + kw + ow)
        return _plus(y, self.bias).permute(0, 3, 1, 2)


def _as_product(layer: nn.Conv2d | nn.ConvTranspose2d, x: Tensor, positions: int) -> bool:
    channels = math.sqrt(layer.in_channels * layer.out_channels)
    threshold = CHANNELS_PER_POSITION if torch.is_grad_enabled() else WITHOUT_GRADIENTS
    return x.device.type == "cpu" and channels >= threshold * positions


def _plus(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else x + bias.to(x.dtype)


def _overlap(taps: Sequence[Tensor], dim: int, stride: int, padding: int, size: int) -> Tensor:
    """Add up where the filters of neighbouring positions overlap, along ``dim``.

    Args:
        taps: contribution of each filter tap; position n of tap k is for output n · stride + k − padding.
        dim: the positions'.
        stride: between positions.
        padding: positions cut off the beginning of the full result.
        size: of the output along ``dim``.
    """
    positions, inner = taps[0].shape[dim], taps[0].ndim - 1 - dim
    length = -(-size // stride)
    phases = []
    for phase in range(stride):
        total = taps[0].new_zeros([length if d == dim else n for d, n in enumerate(taps[0].shape)])
        for tap, values in enumerate(taps):
            first, rest = divmod(phase + padding - tap, stride)
            if rest == 0:
                total = total + F.pad(values, (0, 0) * inner + (-first, length + first - positions))
        phases.append(total)
    return torch.stack(phases, dim + 1).flatten(dim, dim + 1).narrow(dim, 0, size)
