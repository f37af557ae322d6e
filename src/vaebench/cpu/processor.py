"""The processor, and what a training asks of it and of its memory, which holds for the whole process."""

from __future__ import annotations

import ctypes
import platform
import sys
from pathlib import Path

import torch

__all__ = ["flush_subnormal", "keep_freed_memory", "keep_triton_out", "processor"]

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""From glibc's malloc.h: free memory kept at the heap's end, and the size from which a block is mapped."""

EXTENSIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


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
        sys.modules.setdefault("triton", None)


def flush_subnormal() -> None:
    """Make numbers below a float's normal range, 1e-38, zero; call it before anything is computed.

    Adam's moments of weights that get no gradient any more decay through that range, where processors are
    slow: after 700 steps of Takida et al.'s D.1 network on MNIST a step took 130 ms instead of 54. It holds
    for this thread and for those that start after it.
    """
    torch.set_flush_denormal(True)


def processor() -> str:
    """Its name and those of its extensions that decide about speed."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), None)
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    extensions = [flag for flag in EXTENSIONS if flag in flags]
    return " ".join([name or platform.processor() or platform.machine(), *extensions])
