"""A set without splits of its own, divided at random; every set of one's own is divided so."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveInt

from vaebench.base.errors import UserError

__all__ = ["Part", "divide"]

Part = PositiveInt | Annotated[float, Field(gt=0, lt=1)]
"""A number of images, or a share of them, at least one."""


def divide(
    what: str, count: int, parts: dict[str, Part | Literal[0]], seed: int, limit: int | None = None
) -> dict[str, np.ndarray]:
    """Rows of ``train`` and of each of ``parts``, drawn without repetition.

    Args:
        what: the set, for the message.
        count: images in it.
        parts: number or share of the images that each other split gets; 0 for none.
        seed: of the draw.
        limit: most rows of each split.

    Raises:
        UserError: nothing is left to train on.

    >>> {name: len(rows) for name, rows in divide("it", 10, {"validation": 0, "test": 0.2}, seed=0).items()}
    {'train': 8, 'validation': 0, 'test': 2}
    """
    order = np.random.default_rng(seed).permutation(count)
    sizes = {
        name: max(1, round(part * count)) if isinstance(part, float) else part for name, part in parts.items()
    }
    left = count - sum(sizes.values())
    if left < 1:
        taken = " and ".join(f"{size} for {name}" for name, size in sizes.items() if size)
        raise UserError(f"{what} has {count} images and its options take {taken}; none is left to train on.")
    rows = {"train": order[:left]}
    for name, size in sizes.items():
        rows[name] = order[left : left + size]
        left += size
    return {name: part[:limit] for name, part in rows.items()}
