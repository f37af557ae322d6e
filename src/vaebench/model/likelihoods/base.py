"""Interface of a likelihood to the model, the training engine and the metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from vaebench.base.precision import full

__all__ = ["Activation", "Likelihood"]

Activation = Literal["sigmoid", "tanh", "identity"]

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "identity": lambda raw: raw,
}


class Likelihood(nn.Module):
    """p(x|z) given the decoder's raw output.

    Args:
        image_shape: (C, H, W).
        activation: function that the decoder's mean goes through.

    Attributes:
        channels: channels that the decoder must put out.
        value_range: the only range of pixel values that it accepts; None accepts any.
        fits: True if :meth:`fit` is to be called when training has ended.
        plug_in: True if Σx is estimated from the image that it is to explain, so that p(x|z) is no density
            of x; :meth:`log_prob` then takes the variance to use.
        discrete: True if p(x|z) is a probability and not a density; logarithms of the two do not compare.
        normalized: True if p(x|z) adds up to 1 over the values that images have.
        warmup_steps: training steps with a simpler objective at the start.
        synchronizes: True if :meth:`loss` waits for the device, which rules out capturing a CUDA graph.
        formula: the objective in one line for ``explain`` and the page, or one per value of an option, see
            :meth:`Registry.words <vaebench.base.registry.Registry.words>`; with m = E[x|z] the decoder's
            mean, r = x − m and d the number of pixels.
        citation: the publication, in the same form.
    """

    formula: ClassVar[str | dict] = ""
    citation: ClassVar[str | dict] = ""
    value_range: tuple[float, float] | None = None
    fits: bool = False
    plug_in: bool = False
    discrete: ClassVar[bool] = False
    normalized: ClassVar[bool] = True
    warmup_steps: int = 0
    synchronizes: bool = False

    def __init__(self, image_shape: tuple[int, int, int], activation: Activation):
        super().__init__()
        self.image_shape = tuple(image_shape)
        self.channels = image_shape[0]
        self.activate = _ACTIVATIONS[activation]

    def mean(self, raw: Tensor) -> Tensor:
        """E[x|z]: (B, channels, H, W) raw output to (B, C, H, W) in the model's value range."""
        return self.activate(full(raw[:, : self.image_shape[0]]))

    def render(self, raw: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The image that a latent is shown and measured as, (B, C, H, W): the mean, or a draw from p(x|z)."""
        return self.mean(raw)

    def residual(self, raw: Tensor, x: Tensor) -> Tensor:
        """x − E[x|z], (B, C, H, W)."""
        return full(x) - self.mean(raw)

    def loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """The minibatch's objective, a scalar in nats per image."""
        raise NotImplementedError

    def log_prob(self, raw: Tensor, x: Tensor) -> Tensor:
        """ln p(x|z) in nats with all constants, (B,)."""
        raise NotImplementedError

    def variance(self, raw: Tensor, x: Tensor) -> Tensor | None:
        """The estimated diagonal of Σx, (B, C, H, W); None where no Gaussian variance is estimated."""
        return None

    def fit(self, second_moment: Tensor) -> None:
        """Set the parameters that are estimated once, after training.

        Args:
            second_moment: (C, H, W), the training set's mean of (x − E[x|z])².
        """

    def monitor(self) -> dict[str, float]:
        """Numbers for the history's row of this epoch; waits for the device."""
        return {}
