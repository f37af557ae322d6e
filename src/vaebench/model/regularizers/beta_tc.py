r"""β-TCVAE (Chen et al., 2018): the KL with its total correlation weighted by β.

    E KL(q(z|x) ‖ p(z)) = I(x; z) + TC(z) + Σ_j KL(q(z_j) ‖ p(z_j)),   TC(z) = KL(q(z) ‖ Π_j q(z_j)).

q(z) and q(z_j) are estimated by minibatch-weighted sampling: ln q(z_i) ≈ ln (1/(N·B)) Σ_b q(z_i|x_b), with N
images in the training set and B in the batch.
"""

from __future__ import annotations

import math

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from vaebench.model.posteriors.base import Latent
from vaebench.model.regularizers.base import Context, Decoder, Regularizer
from vaebench.model.regularizers.kl import kl_to_standard_normal

__all__ = ["BetaTC", "total_correlation"]


class BetaTC(Regularizer):
    """KL + (β − 1) · TC, the KL in closed form.

    Args:
        context: gives N.
        weight: β; 1 is the VAE.
    """

    formula = "KL(q(z|x) || N(0, I)) + (weight - 1) * TC(z)"
    citation = "Chen, Li, Grosse, Duvenaud: Isolating Sources of Disentanglement in VAEs. NeurIPS 2018."
    needs_variance = True

    def __init__(self, context: Context, *, weight: NonNegativeFloat = 2.0):
        super().__init__(context)
        self.weight = weight

    def forward(self, latent: Latent, decoder: Decoder) -> Tensor:
        """Nats, mean over the batch."""
        kl = kl_to_standard_normal(latent.mean, self.log_var(latent))
        return kl + (self.weight - 1) * total_correlation(latent, self.context.train_size)


def total_correlation(latent: Latent, train_size: int) -> Tensor:
    """The minibatch-weighted estimate of TC(z) in nats, a scalar."""
    gap = latent.z[:, None] - latent.mean
    log_q = -0.5 * (gap.square() * torch.exp(-latent.log_var) + latent.log_var + math.log(2 * math.pi))
    log_count = math.log(len(gap) * train_size)
    joint = torch.logsumexp(log_q.sum(2), 1) - log_count
    marginals = torch.logsumexp(log_q, 1) - log_count
    return (joint - marginals.sum(1)).mean()
