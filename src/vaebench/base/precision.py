"""Losses are computed in single precision, whatever the networks ran in; measurements in exactly that.

>>> full(torch.ones(2, dtype=torch.bfloat16)).dtype
torch.float32
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["exact", "full", "no_autocast"]


@contextmanager
def exact() -> Iterator[None]:
    """Float32 that is float32, and the same twice, for what is measured.

    No gradients, no TF32, no autotuned or nondeterministic convolution inside the block.
    """
    matmul = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    try:
        with torch.no_grad(), flags:
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = matmul


def full(x: Tensor) -> Tensor:
    """``x`` in float32, or as it is where it is float64 already."""
    return x if x.dtype is torch.float64 else x.float()


def no_autocast(x: Tensor) -> torch.autocast:
    """A context in which matrix products on ``x``'s device keep their inputs' precision."""
    return torch.autocast(x.device.type, enabled=False)
