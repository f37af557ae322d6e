"""No regularizer: a plain autoencoder."""

from __future__ import annotations

from torch import Tensor

from vaebench.model.posteriors.base import Latent
from vaebench.model.regularizers.base import Decoder, Regularizer

__all__ = ["NoRegularizer"]


class NoRegularizer(Regularizer):
    """Zero."""

    formula = "0"
    prior_scale = None

    def forward(self, latent: Latent, decoder: Decoder) -> Tensor:
        """A scalar zero."""
        return latent.z.new_zeros(())
