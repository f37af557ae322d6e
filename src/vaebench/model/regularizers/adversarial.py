"""AAE (Makhzani et al., 2016): a discriminator holds q(z) to the prior N(0, I)."""

from __future__ import annotations

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor
from torch.nn.functional import softplus

from vaebench.model.posteriors.base import Latent
from vaebench.model.regularizers.base import Context, Decoder, Regularizer
from vaebench.model.regularizers.discriminator import Hidden, frozen, set_adversary

__all__ = ["Adversarial"]


class Adversarial(Regularizer):
    """weight · E[−ln D(z)], the non-saturating loss, with D the probability that z came from the prior.

    Args:
        context: gives d.
        weight: of the encoder's part.
        hidden: the discriminator's hidden layers; Saha et al., Table X: three of 100 for MNIST, 1024, 4096,
            1024 for CelebA and CIFAR-10, three of 1024 for dSprites and 3D Shapes.
        adversary_learning_rate: of the discriminator.
    """

    formula = "weight * E[-ln D(z)]"
    citation = "Makhzani, Shlens, Jaitly, Goodfellow, Frey: Adversarial Autoencoders. 2016."

    def __init__(
        self,
        context: Context,
        *,
        weight: NonNegativeFloat = 1.0,
        hidden: Hidden = [100] * 3,
        adversary_learning_rate: PositiveFloat = 5e-4,
    ):
        super().__init__(context)
        self.weight = weight
        set_adversary(self, hidden, adversary_learning_rate)

    def forward(self, latent: Latent, decoder: Decoder) -> Tensor:
        """Mean over the batch."""
        return self.weight * softplus(-frozen(self.adversary, latent.z)).mean()

    def adversary_loss(self, latent: Latent) -> Tensor:
        """The cross-entropy of telling the prior's draws (logit above 0) and z apart, summed over the two."""
        prior = torch.randn_like(latent.z)
        return (softplus(-self.adversary(prior)) + softplus(self.adversary(latent.z))).mean()
