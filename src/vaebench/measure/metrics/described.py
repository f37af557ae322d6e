"""Descriptions of the numbers in a metrics file, by the metrics that give them."""

from __future__ import annotations

import functools
from dataclasses import replace

from vaebench.base.described import Described
from vaebench.measure.metrics import METRICS

__all__ = ["described", "place"]


def described(path: str) -> Described | None:
    """Description of the number at ``path`` by the metric that gives it; None where none does.

    >>> described("latent.kl").label
    'KL(q(z)‖p(z))'
    """
    numbers = _numbers(METRICS.entries())
    key = _key(path, numbers)
    if key is None:
        return None
    if key[-1] != "*":
        return numbers[key]
    return replace(numbers[key], label=numbers[key].label.replace("*", path[len(key) - 1 :]))


def place(path: str) -> int:
    """The place of ``path`` among the numbers of all metrics, in the order in which they name them."""
    numbers = _numbers(METRICS.entries())
    key = _key(path, numbers)
    return len(numbers) if key is None or key[-1] == "*" else list(numbers).index(key)


def _key(path: str, numbers: dict[str, Described]) -> str | None:
    if path in numbers:
        return path
    return next((key for key in numbers if key[-1] == "*" and path.startswith(key[:-1])), None)


@functools.lru_cache(maxsize=1)
def _numbers(entries: tuple) -> dict[str, Described]:
    """Every number by its path; ``entries`` of the registry are the key under which this is kept."""
    numbers: dict[str, Described] = {}
    for name, _ in entries:
        own = METRICS.read(name, "describes") or {}
        numbers |= {path: number for path, number in own.items() if path not in numbers}
    return numbers
