r"""N(x | μ(z), Σx), with Σx fixed, trained, or estimated by maximum likelihood (Takida et al., 2022).

r = x − μ(z) is the residual, d its number of pixels and channels, E_B the mean over the minibatch. What
:meth:`GaussianLikelihood.loss` returns leaves out the constants, as the paper's Eqs. (3), (7b) and (10) do:

================ ============================================ ================================
                 trained: ½ E_B[Σ r²/σ² + Σ ln σ²] with σ²    MLE
================ ============================================ ================================
``iso_i``        one number                                   (d/2) ln E_B Σ r²
``iso_d``        one per image, second head of the decoder    (d/2) E_B ln(Σ r² + ε)
``diag_i``       one per pixel                                ½ Σ ln(E_B r² + ε)
``diag_d``       one per pixel and image, second head         ½ E_B Σ ln(r² + ε)
================ ============================================ ================================

and E_B Σ r²/(2σ²) where σ² is fixed. :meth:`GaussianLikelihood.log_prob` has all constants.
``lowrank`` is in :mod:`vaebench.model.likelihoods.lowrank`.

    >>> likelihood = GaussianLikelihood((1, 8, 8), "sigmoid", variance="mle", shape="diag_d")
    >>> likelihood.loss(torch.zeros(5, 1, 8, 8), torch.rand(5, 1, 8, 8)).shape
    torch.Size([])
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import softplus

from vaebench.base.described import Described, describes
from vaebench.base.errors import UserError
from vaebench.base.precision import full
from vaebench.model.likelihoods.base import Activation, Likelihood
from vaebench.model.likelihoods.lowrank import LowRank

__all__ = ["GaussianLikelihood"]

TAKIDA = (
    "Takida, Liao, Lai, Uesaka, Takahashi, Mitsufuji: Preventing Oversmoothing in VAE via Generalized "
    "Variance Parameterization. Neurocomputing, 2022."
)
Shape = Literal["iso_i", "iso_d", "diag_i", "diag_d", "lowrank"]


@describes({"sigma2": Described("σ̂²")})
class GaussianLikelihood(Likelihood):
    """N(μ(z), Σx) with Σx fixed, trained, or estimated by maximum likelihood; see the module.

    Args:
        image_shape: (C, H, W).
        activation: function that the decoder's mean goes through.
        variance: origin of Σx: fixed, trained, or estimated.
        shape: isotropic or diagonal, independent of or dependent on the image; ``lowrank`` with ``mle`` only.
        sigma2: σ² where it is fixed, its initial value where it is trained.
        eps: ε, inside the logarithm of every MLE objective but ``iso_i``'s, and the floor that is added to
            a trained σ².
        warmup_steps: the first training steps use the MLE ``iso_i`` objective instead (MLE Diag-D collapses
            without).
        rank: of ``lowrank``.
        ridge: added to Σx's diagonal in ``lowrank``.

    Attributes:
        sigma2: the part of Σx that does not depend on the image: the fixed value; under ``mle`` the last
            minibatch's estimate, and after :meth:`fit` the training set's. () or (C, H, W).
    """

    formula: ClassVar = {
        "variance": {
            "fixed": "E[sum r^2] / (2 sigma2)",
            "trainable": {
                "shape": {
                    "iso_i": "1/2 E[sum(r^2 / s + ln s)], s the trained variance, one number",
                    "iso_d": "1/2 E[sum(r^2 / s + ln s)], s the trained variance, one number per image",
                    "diag_i": "1/2 E[sum(r^2 / s + ln s)], s the trained variance, one number per pixel",
                    "diag_d": "1/2 E[sum(r^2 / s + ln s)], s the trained variance, one number per pixel and "
                    "image",
                }
            },
            "mle": {
                "shape": {
                    "iso_i": "(d/2) ln E_batch[sum r^2]",
                    "iso_d": "E[(d/2) ln(sum r^2 + eps)]",
                    "diag_i": "1/2 sum ln(E_batch[r^2] + eps)",
                    "diag_d": "E[1/2 sum ln(r^2 + eps)]",
                    "lowrank": "1/2 [sum_j ln(l_j + ridge) + (d - rank) ln(s + ridge)], l_j the rank largest "
                    "eigenvalues of E_batch[r r^T], s the mean of the others",
                }
            },
        }
    }
    citation: ClassVar = {"variance": {"fixed": "", "trainable": TAKIDA, "mle": TAKIDA}}

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        activation: Activation,
        *,
        variance: Literal["fixed", "trainable", "mle"] = "fixed",
        shape: Shape = "iso_i",
        sigma2: PositiveFloat = 1.0,
        eps: PositiveFloat = 1e-6,
        warmup_steps: NonNegativeInt = 0,
        rank: PositiveInt = 8,
        ridge: Annotated[float, Field(gt=0)] = 1e-4,
    ):
        super().__init__(image_shape, activation)
        self._check(variance, shape, warmup_steps)
        self.kind, self.shape, self.eps, self.warmup_steps = variance, shape, eps, warmup_steps
        self.fits = variance == "mle" and shape in ("iso_i", "diag_i", "lowrank")
        self.plug_in = variance == "mle" and shape in ("iso_d", "diag_d")
        self.synchronizes = shape == "lowrank"
        self.size = math.prod(image_shape)
        if variance == "trainable":
            self.log_sigma2_start = math.log(sigma2)
            if shape in ("iso_d", "diag_d"):
                self.channels = 2 * image_shape[0]
            else:
                self.log_sigma2 = nn.Parameter(torch.zeros(image_shape if shape == "diag_i" else ()))
        elif shape == "lowrank":
            self.lowrank = LowRank(self.size, rank, ridge)
        elif variance == "fixed" or self.fits:
            self.register_buffer("sigma2", torch.full(image_shape if shape == "diag_i" else (), sigma2))
        if warmup_steps:
            self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    @staticmethod
    def _check(variance: str, shape: str, warmup_steps: int) -> None:
        if variance == "fixed" and shape != "iso_i":
            raise UserError(
                f"likelihood.shape: a fixed variance is iso_i, not {shape}; set variance to trainable or "
                "mle, or leave shape out."
            )
        if shape == "lowrank" and variance != "mle":
            raise UserError(f"likelihood.shape: lowrank goes with variance: mle, not {variance}.")
        if warmup_steps and variance != "mle":
            raise UserError(f"likelihood.warmup_steps goes with variance: mle, not {variance}; leave it out.")

    def loss(self, raw: Tensor, x: Tensor) -> Tensor:
        """The objective of the module's table, a scalar in nats per image."""
        residual = self.residual(raw, x)
        if self.kind == "mle":
            return self._mle(residual)
        square = residual.square()
        if self.kind == "fixed":
            return (square.flatten(1).sum(1) / (2 * self.sigma2)).mean()
        log_var = self._log_variance(raw)
        return 0.5 * (square * torch.exp(-log_var) + log_var).flatten(1).sum(1).mean()

    def log_prob(self, raw: Tensor, x: Tensor, variance: Tensor | None = None) -> Tensor:
        """ln N(x | μ, Σx), (B,).

        Args:
            raw: the decoder's output.
            x: (B, C, H, W).
            variance: (B, C, H, W), Σx's diagonal to use in place of :meth:`variance`. MLE ``iso_d`` and
                ``diag_d`` want one for all draws of an image's z (Eqs. (G.7) and (G.15)); without it each
                draw has the Σx that is best for itself.
        """
        if self.shape == "lowrank":
            return self.lowrank.log_prob(self.residual(raw, x).flatten(1))
        square = self.residual(raw, x).square()
        if variance is None and self.kind == "trainable":
            log_var = self._log_variance(raw)
        else:
            log_var = (self.variance(raw, x) if variance is None else variance).log()
        terms = square * torch.exp(-log_var) + log_var + math.log(2 * math.pi)
        return -0.5 * terms.flatten(1).sum(1)

    def variance(self, raw: Tensor, x: Tensor) -> Tensor:
        """Σx's diagonal, broadcast to (B, C, H, W)."""
        square = self.residual(raw, x).square()
        if self.kind == "trainable":
            value = torch.exp(self._log_variance(raw))
        elif self.shape == "lowrank":
            value = self.lowrank.diagonal().reshape(self.image_shape)
        elif self.shape == "iso_d":
            value = (square.sum((1, 2, 3), keepdim=True) + self.eps) / self.size
        elif self.shape == "diag_d":
            value = square + self.eps
        else:
            value = self.sigma2
        return value.expand_as(square)

    @torch.no_grad()
    def fit(self, second_moment: Tensor) -> None:
        """Set Σx from the training set's mean of r², (C, H, W), where it does not depend on the image."""
        if self.shape == "lowrank":
            self.lowrank.match_trace(second_moment.sum())
        elif self.fits:
            self._keep(second_moment.mean() if self.shape == "iso_i" else second_moment + self.eps)

    @torch.no_grad()
    def monitor(self) -> dict[str, float]:
        """``sigma2``, the mean of Σx's diagonal, where it does not depend on the image and is not fixed."""
        if self.shape == "lowrank":
            return {"sigma2": float(self.lowrank.diagonal().mean())}
        if self.fits:
            return {"sigma2": float(self.sigma2.mean())}
        if self.kind == "trainable" and self.shape in ("iso_i", "diag_i"):
            return {"sigma2": float(self._floored(self.log_sigma2).exp().mean())}
        return {}

    def _floored(self, log_sigma2: Tensor) -> Tensor:
        """ln(σ² + ε), smooth and finite for any number that stands for ln(σ² / sigma2)."""
        floor = math.log(self.eps)
        return floor + softplus(full(log_sigma2) + (self.log_sigma2_start - floor))

    def _log_variance(self, raw: Tensor) -> Tensor:
        """ln of the trained Σx's diagonal, broadcastable to (B, C, H, W)."""
        if self.channels == self.image_shape[0]:
            return self._floored(self.log_sigma2).expand(self.image_shape)
        head = full(raw[:, self.image_shape[0] :])
        if self.shape == "iso_d":
            head = head.mean((1, 2, 3), keepdim=True).expand_as(head)
        return self._floored(head)

    def _mle(self, residual: Tensor) -> Tensor:
        if self.shape == "lowrank":
            objective = self.lowrank.objective(residual.flatten(1), update=self.training)
        else:
            objective = self._closed_form(residual.square())
        if not self.warmup_steps:
            return objective
        objective = torch.where(self.steps < self.warmup_steps, self._iso_i(residual.square()), objective)
        if self.training:
            self.steps.add_(1)
        return objective

    def _closed_form(self, square: Tensor) -> Tensor:
        if self.shape == "iso_i":
            self._track(square.mean())
            return self._iso_i(square)
        if self.shape == "iso_d":
            return self.size / 2 * torch.log(square.flatten(1).sum(1) + self.eps).mean()
        if self.shape == "diag_i":
            moment = square.mean(0) + self.eps
            self._track(moment)
            return 0.5 * torch.log(moment).sum()
        return 0.5 * torch.log(square + self.eps).flatten(1).sum(1).mean()

    def _iso_i(self, square: Tensor) -> Tensor:
        total = square.flatten(1).sum(1).mean()
        return self.size / 2 * torch.log(total.clamp_min(torch.finfo(total.dtype).tiny))

    def _track(self, estimate: Tensor) -> None:
        if self.training:
            self._keep(estimate.detach())

    def _keep(self, estimate: Tensor) -> None:
        self.sigma2.copy_(estimate.clamp_min(torch.finfo(torch.float32).tiny))
