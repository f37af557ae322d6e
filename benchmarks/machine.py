"""The machine: what it is, and the speeds that nothing on it exceeds."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from vaebench.base.device import describe_device, select_device
from vaebench.base.processor import processor

__all__ = ["Rate", "bandwidth", "describe", "matmul", "synchronize"]


@dataclass(frozen=True)
class Rate:
    """Work per second of wall time and of processor time."""

    wall: float
    cpu: float


def matmul(dtype: torch.dtype, sizes: tuple[int, ...] = (512, 1024, 2048)) -> Rate:
    """FLOP/s of the product of two square matrices, the fastest of ``sizes``, on a GPU also of larger ones.

    In float32 as convolutions compute it, on a GPU with TF32's factors.
    """
    rates = []
    if torch.cuda.is_available():
        sizes = (*sizes, 4096, 8192)
        torch.backends.cuda.matmul.allow_tf32 = True
    for size in sizes:
        a, b = torch.randn(2, size, size, device=select_device()).to(dtype)
        rates.append(_rate(lambda a=a, b=b: a @ b, 2 * size**3))
    return Rate(max(rate.wall for rate in rates), max(rate.cpu for rate in rates))


def bandwidth(values: int = 50_000_000) -> Rate:
    """Bytes read and written a second by a copy much larger than the caches."""
    source = torch.ones(values, device=select_device())
    target = torch.empty_like(source).zero_()
    return _rate(lambda: target.copy_(source), 2 * 4 * values)


def _rate(work: Callable[[], object], amount: float, repeats: int = 3) -> Rate:
    walls, cpus = [], []
    for _ in range(repeats):
        synchronize()
        began, cpu = time.perf_counter(), time.process_time()
        work()
        synchronize()
        walls.append(time.perf_counter() - began)
        cpus.append(time.process_time() - cpu)
    return Rate(amount / min(walls), amount / min(cpus))


def synchronize() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def describe() -> dict[str, str]:
    """The processor, the libraries, and what else the machine does."""
    return {
        "device": describe_device(select_device()),
        "processor": processor(),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "load": f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
    }
