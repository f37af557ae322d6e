"""Means with their standard errors: over test images, and over repeated draws of generated ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["over_draws", "with_error"]


def with_error(name: str, values: Tensor) -> dict[str, float]:
    """``{name: mean, name_se: standard deviation / √n}`` of one value per image, (n,); NaN for one image."""
    values = values.double()
    error = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {name: values.mean().item(), f"{name}_se": error}


def over_draws(name: str, values: Sequence[float]) -> dict[str, float]:
    """``{name: mean}`` of one value per draw, and with more than one ``name_se`` as above.

    >>> over_draws("fid", [1.0, 3.0])
    {'fid': 2.0, 'fid_se': 1.0}
    """
    error = {f"{name}_se": stdev(values) / math.sqrt(len(values))} if len(values) > 1 else {}
    return {name: mean(values)} | error
