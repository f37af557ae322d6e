"""The description of a number by the metric that gives it."""

from __future__ import annotations

from vaebench.base.described import Described
from vaebench.base.errors import UserError
from vaebench.measure.metrics import METRICS

__all__ = ["described"]


def described(path: str) -> Described | None:
    """What the metric that gives the number at ``path`` says of it; None where none does."""
    for name in METRICS.names():
        try:
            numbers = METRICS.read(name, "describes") or {}
        except UserError:  # a study that uses it says so
            continue
        if path in numbers:
            return numbers[path]
    return None
