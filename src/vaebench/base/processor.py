"""The processor that computes, in words."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

__all__ = ["processor"]

EXTENSIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


@cache
def processor() -> str:
    """Its name and those of its extensions that decide about speed."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), None)
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    extensions = [flag for flag in EXTENSIONS if flag in flags]
    return " ".join([name or platform.processor() or platform.machine(), *extensions])
