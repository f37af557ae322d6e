r"""Σx = U Uᵀ + σ² I of rank k: the low-rank covariance whose maximum-likelihood estimate is in closed form.

With λ₁ ≥ λ₂ ≥ … the eigenvalues of the residuals' second moment S = E_B r rᵀ, the estimate is σ² = the mean
of the d − k smallest and U = V_k (Λ_k − σ² I)^½ (Tipping & Bishop, 1999), where tr(Σ⁻¹ S) = d, so that the
objective ½ (tr Σ⁻¹S + ln |Σ|) is, without its constant,

    ½ [Σ_{j ≤ k} ln(λ_j + ridge) + (d − k) ln(σ² + ridge)].

A minibatch of B gives at most B eigenvalues that are not 0; they are those of the B × B Gram matrix of its
residuals. The log-density uses the Woodbury identity, so nothing is d × d.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vaebench.base.precision import no_autocast

__all__ = ["LowRank"]


class LowRank(nn.Module):
    """The estimate above, and its density.

    Args:
        size: d, the number of pixels and channels.
        rank: k; a minibatch of B ≤ k images gives rank B.
        ridge: added to the diagonal.

    Attributes:
        factor: (d, k), U of the last training minibatch.
        noise: (), σ² + ridge.
    """

    def __init__(self, size: int, rank: int, ridge: float):
        super().__init__()
        self.size, self.rank, self.ridge = size, min(rank, size - 1), ridge
        self.register_buffer("factor", torch.zeros(size, self.rank))
        self.register_buffer("noise", torch.ones(()))

    def objective(self, residual: Tensor, update: bool) -> Tensor:
        """Nats per image for (B, d) residuals; ``update`` keeps the estimate."""
        batch = len(residual)
        rank = min(self.rank, batch)
        with no_autocast(residual):
            gram = residual @ residual.T / batch
        values, vectors = torch.linalg.eigh(torch.nan_to_num(gram))
        values = values.clamp_min(0).flip(0)
        noise = values[rank:].sum() / (self.size - rank)
        if update:
            self._keep(residual.detach(), values.detach(), vectors.detach().flip(1), noise.detach(), rank)
        log_det = torch.log(values[:rank] + self.ridge).sum()
        log_det = log_det + (self.size - rank) * torch.log(noise + self.ridge)
        return 0.5 * log_det + 0 * gram.sum()  # passes a NaN on, which eigh does not get

    @torch.no_grad()
    def _keep(self, residual: Tensor, values: Tensor, vectors: Tensor, noise: Tensor, rank: int) -> None:
        top, inner = values[:rank], vectors[:, :rank]
        scale = (top - noise).clamp_min(0) / (len(residual) * top.clamp_min(torch.finfo(top.dtype).tiny))
        with no_autocast(residual):
            factor = residual.T @ inner * scale.sqrt()
        self.factor.zero_()
        self.factor[:, :rank].copy_(factor)
        self.noise.copy_(noise + self.ridge)

    def diagonal(self) -> Tensor:
        """Σx's diagonal, (d,)."""
        return self.factor.square().sum(1) + self.noise

    def match_trace(self, trace: Tensor) -> None:
        """Set σ² so that tr Σx is the training set's mean of ‖r‖²; U stays the last minibatch's."""
        left = (trace - self.factor.square().sum()) / self.size
        self.noise.copy_(left.clamp_min(self.ridge))

    def log_prob(self, residual: Tensor) -> Tensor:
        """ln N(r | 0, Σx) of (B, d) residuals, (B,)."""
        factor, noise = self.factor.to(residual.dtype), self.noise.to(residual.dtype)
        with no_autocast(residual):
            inner = torch.eye(self.rank, dtype=factor.dtype, device=factor.device)
            inner = torch.linalg.cholesky(inner + factor.T @ factor / noise)
            projected = torch.linalg.solve_triangular(inner, (residual @ factor).T, upper=False)
        quadratic = (residual.square().sum(1) - projected.square().sum(0) / noise) / noise
        log_det = self.size * torch.log(noise) + 2 * inner.diagonal().log().sum()
        return -0.5 * (quadratic + log_det + self.size * math.log(2 * math.pi))
