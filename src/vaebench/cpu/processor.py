"""Settings of the processor and its memory for a training; they hold for the whole process."""

from __future__ import annotations

import ctypes
import sys
import time

import torch

__all__ = ["flush_subnormal", "keep_freed_memory", "keep_triton_out", "product_speed"]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""From glibc's malloc.h: free memory kept at the heap's end, and the size from which a block is mapped."""


def keep_freed_memory() -> None:
    """Ask glibc to keep up to 2 GiB, in blocks of up to 1 GiB; with another C library, do nothing.

    A step allocates its gradients and activations anew. glibc returns blocks of that size to the system
    when they are freed, and the kernel then clears every page again: 7,000 page faults in a step of Takida
    et al.'s MNIST network, a seventh of its time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(M_MMAP_THRESHOLD, 2**30)


def keep_triton_out() -> None:
    """Let torch.compile do without Triton where there is no GPU; call it before the first compilation.

    It loads Triton wherever that is installed, 70 MB, and has no use for it on the CPU.
    """
    if not torch.cuda.is_available():
        sys.modules.setdefault("triton", None)  # type: ignore[arg-type]


def flush_subnormal() -> None:
    """Make numbers below a float's normal range, 1e-38, zero; call it before anything is computed.

    Adam's moments of weights that get no gradient any more decay through that range, where processors are
    slow: after 700 steps of Takida et al.'s D.1 network on MNIST a step took 130 ms instead of 54. It holds
    for this thread and for those that start after it.
    """
    torch.set_flush_denormal(True)


def product_speed(dtype: torch.dtype, size: int = 1024) -> float:
    """FLOP/s of the product of two square matrices of ``dtype`` on one thread, by its processor time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    a, b = torch.randn(2, size, size).to(dtype)
    seconds = []
    for _ in range(5):
        began = time.process_time()
        a @ b
        seconds.append(time.process_time() - began)
    torch.set_num_threads(before)
    return 2 * size**3 / min(seconds)
