"""The machine: what it is, and the speeds that nothing on it exceeds."""

from __future__ import annotations

import platform
import time
from pathlib import Path

import torch

__all__ = ["bandwidth", "describe", "matmul"]


def matmul(dtype: torch.dtype, size: int = 2048) -> float:
    """FLOP/s of the product of two square matrices."""
    a, b = torch.randn(2, size, size).to(dtype)
    began = time.perf_counter()
    for _ in range(3):
        a @ b
    return 3 * 2 * size**3 / (time.perf_counter() - began)


def bandwidth(values: int = 50_000_000) -> float:
    """Bytes read and written a second by a copy much larger than the caches."""
    source = torch.ones(values)
    target = torch.empty_like(source).zero_()
    began = time.perf_counter()
    for _ in range(3):
        target.copy_(source)
    return 3 * 2 * 4 * values / (time.perf_counter() - began)


def describe() -> dict[str, str]:
    """The processor and the libraries."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), None)
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return {
        "processor": model or platform.processor() or platform.machine(),
        "extensions": " ".join(f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in flags),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
