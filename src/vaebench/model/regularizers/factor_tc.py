r"""FactorVAE (Kim & Mnih, 2018): the KL plus γ times the total correlation that a discriminator sees.

The discriminator tells z ~ q(z) from z with every dimension shuffled over the batch, which is a draw from
Π_j q(z_j); its logit estimates ln q(z)/Π_j q(z_j), so TC(z) ≈ E_q logit(z).
"""

from __future__ import annotations

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor
from torch.nn.functional import softplus

from vaebench.model.posteriors.base import Latent
from vaebench.model.regularizers.base import Context, Decoder, Regularizer
from vaebench.model.regularizers.discriminator import Hidden, frozen, set_adversary
from vaebench.model.regularizers.kl import kl_to_standard_normal

__all__ = ["FactorTC", "permute_dims"]


class FactorTC(Regularizer):
    """KL + γ · TC.

    Args:
        context: gives d.
        weight: γ.
        hidden: the discriminator's hidden layers; FactorVAE's are five of 1,000.
        adversary_learning_rate: of the discriminator.
    """

    formula = "KL(q(z|x) || N(0, I)) + weight * TC(z), TC by a discriminator"
    citation = "Kim, Mnih: Disentangling by Factorising. ICML 2018."
    needs_variance = True

    def __init__(
        self,
        context: Context,
        *,
        weight: NonNegativeFloat = 10.0,
        hidden: Hidden = [1000] * 5,
        adversary_learning_rate: PositiveFloat = 1e-4,
    ):
        super().__init__(context)
        self.weight = weight
        set_adversary(self, hidden, adversary_learning_rate)

    def forward(self, latent: Latent, decoder: Decoder) -> Tensor:
        """Nats, mean over the batch."""
        kl = kl_to_standard_normal(latent.mean, self.log_var(latent))
        return kl + self.weight * frozen(self.adversary, latent.z).mean()

    def adversary_loss(self, latent: Latent) -> Tensor:
        """Half the cross-entropy of telling z (logit above 0) and shuffled z apart."""
        shuffled = permute_dims(latent.z)
        return 0.5 * (softplus(-self.adversary(latent.z)) + softplus(self.adversary(shuffled))).mean()


def permute_dims(z: Tensor) -> Tensor:
    """(B, d) with every column shuffled on its own."""
    return torch.gather(z, 0, torch.rand_like(z).argsort(0))
