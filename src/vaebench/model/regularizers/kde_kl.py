r"""AVAE (Saha et al., 2024): the KL between the aggregate posterior, a kernel density estimate, and N(0, I).

    β · E_batch [ln q(z) − ln p(z)],   q(z) = (1/m) Σ_i N(z | z'_i, h² I),

z'_i the encodings of m held-out training images, refreshed every ``refresh_every`` steps, without gradient.
q and p both leave out (2π)^(−d/2). The optimum is q = p, where the latents are N(0, (1 − h²) I): that is the
prior to sample from. After every epoch β follows the validation error (Eq. 9).

For finite m that optimum is no fixed point of training. With z̄ the kernels' weighted mean of the centres,
∂/∂z (ln q − ln p) = z − (z − z̄)/h²: a point that few centres reach has z̄ near its nearest one and is pushed
out further, which in tens of dimensions is every point. ``epsilon_quantile`` bounds ln q from below by the
kernel's logarithm at that quantile of ‖z − z'‖²/h², a chi-square with d degrees of freedom, as the authors'
code does: where the density is lower the push ends and the prior's pull is left.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from vaebench.base.described import Described, describes
from vaebench.base.errors import UserError
from vaebench.base.precision import full
from vaebench.model import kde
from vaebench.model.posteriors.base import Latent
from vaebench.model.regularizers.base import Context, Decoder, Regularizer

__all__ = ["KdeKL"]


@describes({"beta": Described("β")})
class KdeKL(Regularizer):
    """β · KL(q(z) ‖ N(0, I)), q(z) a kernel density estimate; see the module.

    Args:
        context: gives d, N and the image's size.
        samples: m.
        bandwidth: h; None takes :func:`vaebench.model.kde.bandwidth` for (d, m).
        refresh_every: k_b, steps.
        redraw_every: k_e, epochs.
        epsilon_quantile: of the chi-square that bounds ln q from below; None for no bound. The authors'
            values: 0.9999 for MNIST, 0.99 for CelebA, 0.9 for CIFAR-10, 0.999999 for dSprites and 3D Shapes.
        log_base: e as in the paper, or 10 as in the authors' code.
        beta_rule: ``mean_norm`` is Eq. (9), the mean of ‖x − x̂‖ over validation images; ``root_mean`` the
            authors' code's root of the mean of ‖x − x̂‖².
        beta_initial: β of the first epoch; None takes ½ √(C·H·W), the norm of a residual of one half at
            every pixel, unless the engine calls :meth:`end_epoch` before the first epoch.

    Attributes:
        centres: (m, d), z'.
        beta: ().

    Raises:
        UserError: m leaves no image to train on.
    """

    formula = "beta * KL(KDE of q(z) || N(0, I))"
    citation = (
        "Saha, Joshi, Whitaker: Matching Aggregate Posteriors in the Variational Autoencoder. ICPR 2024."
    )

    def __init__(
        self,
        context: Context,
        *,
        samples: Annotated[int, Field(ge=2)] = 10_000,
        bandwidth: Annotated[float, Field(gt=0, lt=1)] | None = None,
        refresh_every: PositiveInt = 10,
        redraw_every: PositiveInt = 1,
        epsilon_quantile: Annotated[float, Field(gt=0, lt=1)] | None = None,
        log_base: Literal["e", 10] = "e",
        beta_rule: Literal["mean_norm", "root_mean"] = "mean_norm",
        beta_initial: PositiveFloat | None = None,
    ):
        super().__init__(context)
        if samples >= context.train_size:
            raise UserError(
                f"regularizer.samples = {samples:,} leaves none of the {context.train_size:,} training "
                "images to train on; lower it."
            )
        self.bandwidth = bandwidth or kde.bandwidth(context.latent_dim, samples)
        self.prior_scale = math.sqrt(1 - self.bandwidth**2)
        self.log_epsilon = -math.inf
        if epsilon_quantile is not None:
            self.log_epsilon = kde.log_kernel_at(epsilon_quantile, context.latent_dim, self.bandwidth)
        self.held_out, self.refresh_every, self.redraw_every = samples, refresh_every, redraw_every
        self.unit = 1.0 if log_base == "e" else 1 / math.log(10)
        self.beta_rule = beta_rule
        self.starts_from_validation = beta_initial is None
        if beta_initial is None:
            beta_initial = 0.5 * math.sqrt(math.prod(context.image_shape))
        self.register_buffer("beta", torch.tensor(float(beta_initial)))
        self.register_buffer("centres", torch.zeros(samples, context.latent_dim))

    def forward(self, latent: Latent, decoder: Decoder) -> Tensor:
        """β · (ln q − ln p), in the logarithm's unit, mean over the batch."""
        z = full(latent.z)
        log_q = kde.log_density(z, self.centres.to(z.dtype), self.bandwidth)
        if self.log_epsilon > -math.inf:
            log_q = torch.logaddexp(log_q, log_q.new_full((), self.log_epsilon))
        log_p = -0.5 * z.square().sum(1)
        return self.beta.to(z.dtype) * self.unit * (log_q - log_p).mean()

    @torch.no_grad()
    def refresh(self, z: Tensor) -> None:
        """Take the held-out images' encodings, (m, d)."""
        self.centres.copy_(z)

    @torch.no_grad()
    def end_epoch(self, validation_residual: Tensor) -> None:
        """Set β from each validation image's Σ (x − x̂)²."""
        square = full(validation_residual)
        self.beta.copy_(square.sqrt().mean() if self.beta_rule == "mean_norm" else square.mean().sqrt())

    def comparable(self, value: float) -> float:
        """The KL without β, which the authors' schedule follows."""
        return value / float(self.beta)

    def monitor(self) -> dict[str, float]:
        """``beta``."""
        return {"beta": float(self.beta)}
