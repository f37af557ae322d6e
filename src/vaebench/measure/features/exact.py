"""Float32 that is float32, and the same twice: measuring must not depend on the accelerator's shortcuts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["exact"]


@contextmanager
def exact() -> Iterator[None]:
    """No gradients, no TF32, no autotuned or nondeterministic convolution inside the block."""
    matmul = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
    try:
        with torch.no_grad(), flags:
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = matmul
