"""KL(q(z|x) ‖ N(0, I)) per image: the VAE's, and with a weight the β-VAE's."""

from __future__ import annotations

from pydantic import NonNegativeFloat
from torch import Tensor

from vaebench.model.posteriors.base import Latent
from vaebench.model.regularizers.base import Context, Decoder, Regularizer

__all__ = ["KL", "kl_to_standard_normal"]


class KL(Regularizer):
    """weight · ½ Σ (μ² + σ² − ln σ² − 1).

    Under a deterministic posterior, weight · ½ Σ μ²: what remains of it that depends on the network when σz²
    is held at 0 (the deterministic encoding of Takida et al., Section 4.2).
    """

    formula = "weight * KL(q(z|x) || N(0, I))"
    citation = "Kingma, Welling: Auto-Encoding Variational Bayes. ICLR 2014."

    def __init__(self, context: Context, *, weight: NonNegativeFloat = 1.0):
        super().__init__(context)
        self.weight = weight

    def forward(self, latent: Latent, decoder: Decoder) -> Tensor:
        """Nats, mean over the batch."""
        if latent.log_var is None:
            return self.weight * 0.5 * latent.mean.square().sum(1).mean()
        return self.weight * kl_to_standard_normal(latent.mean, latent.log_var)


def kl_to_standard_normal(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, I)) of (B, d) means and ln σ², mean over the batch."""
    return 0.5 * (mean.square() + log_var.exp() - log_var - 1).sum(1).mean()
