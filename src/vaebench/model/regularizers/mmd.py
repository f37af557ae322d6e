r"""WAE-MMD (Tolstikhin et al., 2018): the squared maximum mean discrepancy between q(z) and N(0, I).

The kernel is the inverse multiquadratic C/(C + ‖a − b‖²), summed over C = 2·d·s for the scales s; the
estimate is unbiased, so it may be below 0.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor

from vaebench.base.precision import full
from vaebench.model.kde import squared_distances
from vaebench.model.posteriors.base import Latent
from vaebench.model.regularizers.base import Context, Decoder, Regularizer

__all__ = ["MMD", "mmd"]

SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class MMD(Regularizer):
    """weight · MMD².

    Args:
        context: gives d.
        weight: λ; on a sum of squared errors, as :class:`~vaebench.model.likelihoods.l2.L2` has it.
        scales: s.
    """

    formula = "weight * MMD^2(q(z), N(0, I))"
    citation = "Tolstikhin, Bousquet, Gelly, Schölkopf: Wasserstein Auto-Encoders. ICLR 2018."

    def __init__(
        self,
        context: Context,
        *,
        weight: NonNegativeFloat = 10.0,
        scales: Annotated[list[PositiveFloat], Field(min_length=1)] = list(SCALES),  # noqa: B006
    ):
        super().__init__(context)
        self.weight = weight
        self.constants = [2 * context.latent_dim * scale for scale in scales]

    def forward(self, latent: Latent, decoder: Decoder) -> Tensor:
        """The batch's latents against as many draws from the prior."""
        z = full(latent.z)
        return self.weight * mmd(z, torch.randn_like(z), self.constants)


def mmd(a: Tensor, b: Tensor, constants: list[float]) -> Tensor:
    """The unbiased MMD² of (n, d) and (m, d) samples with the kernels Σ C/(C + ‖·‖²), a scalar; n, m ≥ 2."""
    within_a, within_b, between = squared_distances(a, a), squared_distances(b, b), squared_distances(a, b)

    def kernel(distances: Tensor) -> Tensor:
        return sum(c / (c + distances) for c in constants)

    def off_diagonal_mean(distances: Tensor) -> Tensor:
        values = kernel(distances)
        return (values.sum() - values.diagonal().sum()) / (len(values) * (len(values) - 1))

    return off_diagonal_mean(within_a) + off_diagonal_mean(within_b) - 2 * kernel(between).mean()
