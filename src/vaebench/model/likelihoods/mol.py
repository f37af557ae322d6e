r"""Discretized mixture of logistics on 256 levels (Salimans et al., 2017, PixelCNN++).

With x scaled to [−1, 1], a level's probability under one component is the logistic distribution's mass on the
level's bin, of width 2/255, the two outermost bins reaching to ±∞:

    P(x) = F((x + 1/255 − μ)/s) − F((x − 1/255 − μ)/s).

A pixel's three channels share the mixture's weights; the means of green and blue are shifted linearly by the
channels before them:  μ_g + c₀ r,  μ_b + c₁ r + c₂ g  with c in (−1, 1).

Channels of the raw output, with K components and C = 1 or 3 colours: K weights, then K·C means, K·C
log-scales, and K·C(C − 1)/2 coefficients.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from vaebench.base.errors import UserError
from vaebench.base.precision import full
from vaebench.model.likelihoods.base import Activation, Likelihood

__all__ = ["MixtureOfLogistics"]

LEVELS = 255
LOG_SCALE_RANGE = (-7.0, 7.0)
"""PixelCNN++'s lower bound; the upper one keeps a bin's mass above 0 in float32."""


class MixtureOfLogistics(Likelihood):
    """A discretized mixture of K logistics per pixel, on 256 levels; see the module.

    Args:
        image_shape: (C, H, W) with C of 1 or 3.
        activation: gives the value range, [−1, 1] for tanh and [0, 1] otherwise; pixels are rounded to its
            256 levels.
        components: K.
        render: image that is shown and measured: the mixture's mean, or a sample of it.

    Raises:
        UserError: another number of channels.
    """

    formula = "E[-sum ln p(x)], p a mixture of discretized logistics"
    citation = "Salimans, Karpathy, Chen, Kingma: PixelCNN++. ICLR 2017."
    discrete = True

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        activation: Activation,
        *,
        components: PositiveInt = 10,
        render: Literal["mean", "sample"] = "mean",
    ):
        super().__init__(image_shape, activation)
        self.colors, self.components, self.samples = image_shape[0], components, render == "sample"
        if self.colors not in (1, 3):
            raise UserError(
                f"likelihood mol is for images with 1 or 3 channels, and these have {self.colors}; "
                "choose the gaussian likelihood."
            )
        self.pairs = self.colors * (self.colors - 1) // 2
        self.channels = components * (1 + 2 * self.colors + self.pairs)
        self.value_range = (-1.0, 1.0) if activation == "tanh" else (0.0, 1.0)

    def mean(self, raw: Tensor) -> Tensor:
        """The expectation of the mixture cut to the value range, (B, C, H, W).

        In the first channel it differs from the discretized distribution's by less than half a level. The
        shift of a later one is computed from the mean of those before it, which is not the mean of the shifts
        where values are cut, near the ends of the range: of wide components by up to a twentieth of it.
        """
        weights, means, log_scales, shifts = self._split(raw)
        expected: list[Tensor] = []
        for color in range(self.colors):
            mean = means[:, color] + _shift(shifts, expected, color)
            scale = torch.exp(log_scales[:, color])
            expected.append(scale * (softplus((mean + 1) / scale) - softplus((mean - 1) / scale)) - 1)
        weighted = (torch.softmax(weights, 1)[:, None] * torch.stack(expected, 1)).sum(2)
        return weighted if self.value_range[0] < 0 else (weighted + 1) / 2

    def render(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The mean, or with ``render: sample`` a draw, rounded to its 256 levels, (B, C, H, W)."""
        return self._draw(raw, generator) if self.samples else self.mean(raw)

    def _draw(self, raw: Tensor, generator: torch.Generator | None) -> Tensor:
        weights, means, log_scales, shifts = self._split(raw)

        def uniform(like: Tensor) -> Tensor:
            tiny = torch.finfo(like.dtype).eps
            drawn = torch.rand(like.shape, generator=generator, device=like.device, dtype=like.dtype)
            return drawn.clamp(tiny, 1 - tiny)

        chosen = (weights - torch.log(-torch.log(uniform(weights)))).argmax(1, keepdim=True)[:, None]

        def of_chosen(parameter: Tensor) -> Tensor:
            return parameter.gather(2, chosen.expand(-1, parameter.shape[1], -1, -1, -1)).squeeze(2)

        means, log_scales = of_chosen(means), of_chosen(log_scales)
        shifts = of_chosen(shifts) if self.pairs else shifts
        drawn: list[Tensor] = []
        for color in range(self.colors):
            mean = means[:, color] + _shift(shifts, drawn, color)
            value = mean + log_scales[:, color].exp() * torch.logit(uniform(mean))
            drawn.append(((value + 1) * (LEVELS / 2)).round().clamp(0, LEVELS) / LEVELS * 2 - 1)
        image = torch.stack(drawn, 1)
        return image if self.value_range[0] < 0 else (image + 1) / 2

    def loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """−ln P(x|z), mean over the batch."""
        return -self.log_prob(raw, x).mean()

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """ln P(x|z), a probability of the 256-level image, (B,)."""
        weights, means, log_scales, shifts = self._split(raw)
        low, high = self.value_range
        level = torch.round((full(x) - low) / (high - low) * LEVELS).clamp(0, LEVELS).to(means.dtype)
        value = (level / LEVELS * 2 - 1)[:, :, None]
        terms = torch.log_softmax(weights, 1)
        for color in range(self.colors):
            before = [value[:, c] for c in range(color)]
            mean = means[:, color] + _shift(shifts, before, color)
            terms = terms + _log_mass(level[:, color, None], value[:, color], mean, log_scales[:, color])
        return torch.logsumexp(terms, 1).flatten(1).sum(1)

    def _split(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights (B, K, H, W); means and log-scales (B, C, K, H, W); coefficients (B, pairs, K, H, W)."""
        k, colors = self.components, self.colors
        weights, means, log_scales, shifts = full(raw).split([k, k * colors, k * colors, k * self.pairs], 1)
        return (
            weights,
            means.unflatten(1, (colors, k)),
            log_scales.unflatten(1, (colors, k)).clamp(*LOG_SCALE_RANGE),
            torch.tanh(shifts.unflatten(1, (self.pairs, k))) if self.pairs else shifts,
        )


def _shift(shifts: Tensor, before: list[Tensor], color: int) -> Tensor | float:
    """Shift of a component's mean by the earlier channels; pair (i, j < i) is coefficient i(i − 1)/2 + j."""
    first = color * (color - 1) // 2
    return sum((shifts[:, first + j] * value for j, value in enumerate(before)), 0.0)


def _log_mass(level: Tensor, value: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """ln of a bin's mass; F(a) − F(b) = F(a) F(−b) (1 − e^{b − a}), which loses no digits in the tails."""
    inverse = torch.exp(-log_scale)
    above = (value + 1 / LEVELS - mean) * inverse
    below = (value - 1 / LEVELS - mean) * inverse
    inner = logsigmoid(above) + logsigmoid(-below) + torch.log(-torch.expm1(-2 / LEVELS * inverse))
    return torch.where(level == 0, logsigmoid(above), torch.where(level == LEVELS, logsigmoid(-below), inner))
