"""Device that computations run on."""

from __future__ import annotations

import math
import os

import torch

from vaebench.base.errors import UserError

__all__ = ["describe_device", "select_device"]

SMALL_IMAGE = 256
"""Values in an image up to which one thread is as fast as several, and faster where others want the cores."""


def select_device(image_shape: tuple[int, ...] | None = None) -> torch.device:
    """``$VAEBENCH_DEVICE`` if set ("cpu", "cuda:1"), else the first CUDA device, else the CPU.

    On the CPU, small images, where their shape is given, are computed on one thread: two that wait for
    each other took 25 times as long on a busy machine.

    Raises:
        UserError: this machine has no such device.
    """
    available = [*(f"cuda:{index}" for index in range(torch.cuda.device_count())), "cpu"]
    wanted = os.environ.get("VAEBENCH_DEVICE") or available[0]
    if wanted not in available and not (wanted == "cuda" and len(available) > 1):
        raise UserError(
            f"VAEBENCH_DEVICE is {wanted!r}; this machine has {', '.join(available)}. Set one of these."
        )
    device = torch.device(wanted)
    if device.type == "cpu" and image_shape is not None and math.prod(image_shape) <= SMALL_IMAGE:
        torch.set_num_threads(1)
    return device


def describe_device(device: torch.device) -> str:
    """The device in words, e.g. ``"CPU, 2 threads"``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU {torch.backends.cpu.get_cpu_capability()}, {threads} thread{'s' * (threads != 1)}"
