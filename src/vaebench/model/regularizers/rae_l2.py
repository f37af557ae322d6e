r"""RAE-L2 (Ghosh et al., 2020): small latents and small decoder weights instead of noise.

    embedding · ½ E‖z‖²  +  decoder · Σ w²

w runs over the decoder's kernels (tensors of two or more dimensions), not over biases and normalization
scales, as a kernel regularizer does. The authors' code has the loss in other units: the mean of r² over
pixels and channels (``recon_loss_type: l2``, as in their RAE configurations), plus β · (mean over
dimensions of z²). That is :class:`~vaebench.model.likelihoods.l2.L2` with scale 1/(C·H·W), and embedding =
2β/d.
"""

from __future__ import annotations

from pydantic import NonNegativeFloat
from torch import Tensor

from vaebench.base.precision import full
from vaebench.model.posteriors.base import Latent
from vaebench.model.regularizers.base import Context, Decoder, Regularizer

__all__ = ["RaeL2"]


class RaeL2(Regularizer):
    """½ ‖z‖² and the decoder's squared weights, each with a weight of its own; see the module.

    Args:
        context: unused.
        embedding: weight of ½ ‖z‖².
        decoder: weight of Σ w².
    """

    formula = "embedding * 1/2 E[|z|^2] + decoder * |theta|^2"
    citation = (
        "Ghosh, Sajjadi, Vergari, Black, Schölkopf: From Variational to Deterministic Autoencoders. "
        "ICLR 2020."
    )
    prior_scale = None

    def __init__(
        self, context: Context, *, embedding: NonNegativeFloat = 1e-4, decoder: NonNegativeFloat = 1e-7
    ):
        super().__init__(context)
        self.embedding, self.decoder = embedding, decoder

    def forward(self, latent: Latent, decoder: Decoder) -> Tensor:
        """Mean over the batch."""
        kernels = [full(p) for p in decoder.network.parameters() if p.ndim > 1]
        weights = sum(w.square().sum() for w in kernels)
        return self.embedding * 0.5 * full(latent.z).square().sum(1).mean() + self.decoder * weights
