r"""RAE-GP (Ghosh et al., 2020): small latents and a decoder of small gradient.

    embedding · ½ E‖z‖²  +  gradient · E‖∂μ(z)/∂z‖²_F

with μ the decoder's mean image. ‖J‖²_F = Σ_j ‖J e_j‖², or E‖J v‖² over random signs v (Hutchinson); both by
forward-mode differentiation, all directions over one evaluation of the decoder. Where the decoder normalizes
over the batch, J v is the derivative with every image of the batch moving at once, and a common shift along
e_j moves nothing at all. So each image has a random sign on each e_j: exact without batch normalization, and
with it unbiased for the derivatives by the image's own z plus the small ones by the other images'.

The authors' code penalizes another quantity, the mean over batch and dimensions of (∂ Σ μ²/∂z)²; their
published weights, 5e-8 for MNIST and 1e-7 for CelebA, are of that one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from vaebench.base.precision import full
from vaebench.model.posteriors.base import Latent
from vaebench.model.regularizers.base import Context, Decoder, Regularizer

__all__ = ["RaeGP", "gradient_penalty", "published_penalty"]


class RaeGP(Regularizer):
    """½ ‖z‖² and the decoder's squared Jacobian, each with a weight of its own; see the module.

    Args:
        context: gives d.
        embedding: weight of ½ ‖z‖².
        gradient: weight of ‖∂μ/∂z‖²_F, or of what ``published`` puts there.
        estimator: of ‖∂μ/∂z‖²_F ``exact``, which costs d forward derivatives, or ``hutchinson``, one along
            a random direction per image; ``published`` is the quantity of the authors' code in its place, by
            one direction too.
    """

    formula: ClassVar = {
        "estimator": {
            "exact": "embedding * 1/2 E[|z|^2] + gradient * E[|dm/dz|^2]",
            "hutchinson": "embedding * 1/2 E[|z|^2] + gradient * E[|dm/dz|^2]",
            "published": "embedding * 1/2 E[|z|^2] + gradient * E[mean_j (d sum m^2 / dz_j)^2]",
        }
    }
    citation = (
        "Ghosh, Sajjadi, Vergari, Black, Schölkopf: From Variational to Deterministic Autoencoders. "
        "ICLR 2020."
    )
    prior_scale = None

    def __init__(
        self,
        context: Context,
        *,
        embedding: NonNegativeFloat = 1e-4,
        gradient: NonNegativeFloat = 5e-8,
        estimator: Literal["exact", "hutchinson", "published"] = "exact",
    ):
        super().__init__(context)
        self.embedding, self.gradient, self.estimator = embedding, gradient, estimator

    def forward(self, latent: Latent, decoder: Decoder) -> Tensor:
        """Mean over the batch."""
        z = full(latent.z)
        small = self.embedding * 0.5 * z.square().sum(1).mean()
        return small + self.gradient * self._penalty(z, decoder)

    def _penalty(self, z: Tensor, decoder: Decoder) -> Tensor:
        if self.estimator == "exact":
            units = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)[:, None]
            return gradient_penalty(decoder, z, units * _signs((z.shape[1], len(z), 1), z))
        directions = _signs((1, *z.shape), z)
        if self.estimator == "published":
            return published_penalty(decoder, z, directions)
        return gradient_penalty(decoder, z, directions)


def _signs(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.randint(0, 2, shape, device=like.device).to(like.dtype) * 2 - 1


def published_penalty(decoder: Decoder, z: Tensor, directions: Tensor) -> Tensor:
    """The mean over (B, d) of (∂ Σ μ²/∂z)², the sum over an image's pixels; differentiable.

    Unbiased for (K, B, d) random signs; batch normalization is as in :func:`gradient_penalty`.
    """

    def energy(codes: Tensor) -> Tensor:
        return full(decoder(codes)).square().flatten(1).sum(1)

    return _derivatives(energy, decoder, z, directions).square().mean() / z.shape[1]


def gradient_penalty(decoder: Decoder, z: Tensor, directions: Tensor) -> Tensor:
    """Σ_k ‖J v_k‖² for (K, B, d) directions, mean over the batch; differentiable.

    Batch normalization's running statistics stay as they are.
    """
    return _derivatives(decoder.__call__, decoder, z, directions).square().sum() / len(z)


def _derivatives(
    function: Callable[[Tensor], Tensor], decoder: Decoder, z: Tensor, directions: Tensor
) -> Tensor:
    """The derivatives of ``function``, made of ``decoder``, at z along each of (K, B, d) directions."""

    def derivative(direction: Tensor) -> Tensor:
        return torch.func.jvp(function, (z,), (direction,))[1]

    with _frozen_statistics(decoder), _ElementaryNormalization():
        return full(torch.func.vmap(derivative, randomness="different")(directions))


@contextmanager
def _frozen_statistics(decoder: Decoder) -> Iterator[None]:
    norms = [m for m in decoder.network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


class _ElementaryNormalization(TorchFunctionMode):
    """Batch normalization in elementary operations: the derivative of torch's own mixes types under autocast,
    and torch.compile does not trace it."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        function = _normalize if function is batch_norm else function
        return function(*args, **(kwargs or {}))


def _normalize(x, running_mean, running_var, weight, bias, training, momentum, eps) -> Tensor:
    x, shape = full(x), [1, -1] + [1] * (x.ndim - 2)
    if training:
        others = [dim for dim in range(x.ndim) if dim != 1]
        x = x - x.mean(others, keepdim=True)
        variance = x.square().mean(others, keepdim=True)
    else:
        x, variance = x - running_mean.view(shape), running_var.view(shape)
    x = x * torch.rsqrt(variance + eps)
    return x if weight is None else x * weight.view(shape) + bias.view(shape)
