r"""RAE-GP (Ghosh et al., 2020): small latents and a decoder of small gradient.

    embedding · ½ E‖z‖²  +  gradient · E‖∂μ(z)/∂z‖²_F

with μ the decoder's mean image. ‖J‖²_F = Σ_j ‖J e_j‖² exactly, or E‖J v‖² over random signs v (Hutchinson);
both by forward-mode differentiation, all directions over one evaluation of the decoder. Where the decoder
normalizes over the batch, J v is the derivative with every image of the batch moving at once. (The authors'
code penalizes another quantity, the mean square of ∂ Σ μ²/∂z; this is the paper's.)
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

from vaebench.base.precision import full
from vaebench.model.posteriors.base import Latent
from vaebench.model.regularizers.base import Context, Decoder, Regularizer, network_of

__all__ = ["RaeGP", "gradient_penalty"]


class RaeGP(Regularizer):
    """See the module.

    Args:
        context: gives d.
        embedding: weight of ½ ‖z‖².
        gradient: weight of ‖∂μ/∂z‖²_F.
        estimator: ``exact`` costs d forward derivatives, ``hutchinson`` ``probes`` of them.
        probes: random directions an image.
    """

    prior_scale = None

    def __init__(
        self,
        context: Context,
        *,
        embedding: NonNegativeFloat = 1e-4,
        gradient: NonNegativeFloat = 5e-8,
        estimator: Literal["exact", "hutchinson"] = "exact",
        probes: PositiveInt = 1,
    ):
        super().__init__(context)
        self.embedding, self.gradient = embedding, gradient
        self.estimator, self.probes = estimator, probes

    def forward(self, latent: Latent, decoder: Decoder) -> Tensor:
        """Mean over the batch."""
        z = full(latent.z)
        if self.estimator == "exact":
            directions = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)[:, None].expand(-1, *z.shape)
        else:
            directions = torch.randint(0, 2, (self.probes, *z.shape), device=z.device).to(z.dtype) * 2 - 1
        penalty = gradient_penalty(decoder, z, directions)
        if self.estimator == "hutchinson":
            penalty = penalty / self.probes
        return self.embedding * 0.5 * z.square().sum(1).mean() + self.gradient * penalty


def gradient_penalty(decoder: Decoder, z: Tensor, directions: Tensor) -> Tensor:
    """Σ_k ‖J v_k‖² for (K, B, d) directions, mean over the batch; differentiable.

    Batch normalization's running statistics stay as they are.
    """
    norms = [m for m in network_of(decoder).modules() if isinstance(m, _BatchNorm) and m.track_running_stats]

    def derivative(direction: Tensor) -> Tensor:
        return torch.func.jvp(decoder, (z,), (direction,))[1]

    for norm in norms:
        norm.track_running_stats = False
    try:
        with _ElementaryNormalization():
            along = torch.func.vmap(derivative, randomness="different")(directions)
    finally:
        for norm in norms:
            norm.track_running_stats = True
    return full(along).square().sum() / len(z)


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
