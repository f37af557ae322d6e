r"""Adam whose weights are float32 and whose networks compute with bfloat16 copies of them.

A step of the plain recipe (autocast, then a fused Adam) reads every weight to cast it and writes the cast,
then reads the bfloat16 gradient, writes it as float32 and reads that again. Here the gradient stays bfloat16
and the update, one compiled pass, also writes the next step's copies. That is 28 bytes of traffic per weight
instead of 40, in 16 bytes of memory, as float32 weights, gradients and moments take.

    m ← m + (1 − β₁)(g − m),    v ← v + (1 − β₂)(g² − v),
    w ← w − η √(1 − β₂ᵗ)/(1 − β₁ᵗ) · m / (√v + ε √(1 − β₂ᵗ))

is Kingma & Ba's update with both bias corrections moved out of the pass: they are two numbers per step.

>>> weight = torch.nn.Parameter(torch.ones(3))
>>> optimizer = CopyingAdam([weight], copied={weight}, lr=0.1)
>>> optimizer.copies[0].dtype
torch.bfloat16
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence

import torch
from torch import Tensor, nn

from vaebench.base.compiled import Compiled

__all__ = ["CopyingAdam"]

BETAS, EPS = (0.9, 0.999), 1e-8


class CopyingAdam(torch.optim.Optimizer):
    """Adam with torch's defaults, for weights on the CPU.

    Args:
        weights: float32.
        copied: those of them that the networks use in bfloat16.
        lr: η; schedulers change it in ``param_groups`` as usual.

    Attributes:
        copies: in the order of ``weights``, the tensors to differentiate with respect to: a bfloat16 leaf
            where the weight is copied, and the weight itself elsewhere.
    """

    def __init__(self, weights: Iterable[nn.Parameter], copied: Collection[nn.Parameter], lr: float):
        weights = list(weights)
        super().__init__(weights, {"lr": lr, "steps": 0})
        self.copies = [w.detach().bfloat16().requires_grad_() if w in copied else w for w in weights]
        for weight in weights:
            self.state[weight] = {"exp_avg": torch.zeros_like(weight), "exp_avg_sq": torch.zeros_like(weight)}
        self._update = Compiled(_update, say=lambda line: None, fullgraph=True)

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Take a step against ``gradients`` of the loss with respect to ``copies``."""
        group = self.param_groups[0]
        group["steps"] += 1
        root = math.sqrt(1 - BETAS[1] ** group["steps"])
        rate = float(group["lr"]) * root / (1 - BETAS[0] ** group["steps"])
        weights = group["params"]
        first = [self.state[w]["exp_avg"] for w in weights]
        second = [self.state[w]["exp_avg_sq"] for w in weights]
        # As tensors: numbers would be compiled in, and every step compiled anew.
        corrected = torch.tensor(rate), torch.tensor(EPS * root)
        self._update(weights, self.copies, first, second, gradients, *corrected)

    def load_state_dict(self, state_dict: dict) -> None:
        """Put back the state, and copy the weights, which are to be put back before it."""
        super().load_state_dict(state_dict)
        self.copy_weights()

    @torch.no_grad()
    def copy_weights(self) -> None:
        """Bring the copies up to date with weights that were changed elsewhere."""
        for weight, copy in zip(self.param_groups[0]["params"], self.copies, strict=True):
            copy.copy_(weight)


def _update(weights, copies, first, second, gradients, rate: Tensor, eps: Tensor) -> None:
    for w, copy, m, v, g in zip(weights, copies, first, second, gradients, strict=True):
        g = g.float()
        m.lerp_(g, 1 - BETAS[0])
        v.lerp_(g * g, 1 - BETAS[1])
        w.sub_(rate * (m / (v.sqrt() + eps)))
        if copy is not w:
            copy.copy_(w)
