"""Losses are computed in single precision, whatever the networks ran in.

>>> full(torch.ones(2, dtype=torch.bfloat16)).dtype
torch.float32
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["full", "no_autocast"]


def full(x: Tensor) -> Tensor:
    """``x`` in float32, or as it is where it is float64 already."""
    return x if x.dtype is torch.float64 else x.float()


def no_autocast(x: Tensor) -> torch.autocast:
    """A context in which matrix products on ``x``'s device keep their inputs' precision."""
    return torch.autocast(x.device.type, enabled=False)
