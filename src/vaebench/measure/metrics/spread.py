"""A mean over images, and how far another draw of test images would move it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["with_error"]


def with_error(name: str, values: Tensor) -> dict[str, float]:
    """``{name: mean, name_se: standard deviation / √n}`` of one value per image, (n,); NaN for one image."""
    values = values.double()
    error = values.std().item() / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return {name: values.mean().item(), f"{name}_se": error}
