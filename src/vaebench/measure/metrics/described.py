"""How a metric's numbers are to be read, said where the metric is defined.

>>> @describes({"sparsity": Described("sparsity", better="higher", group="latent", help="share of zeros")})
... def sparsity(run):
...     return {"sparsity": 0.5}
>>> sparsity.describes["sparsity"].better
'higher'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from vaebench.base.errors import UserError
from vaebench.measure.metrics import METRICS

__all__ = ["Described", "described", "describes"]

Better = Literal["lower", "higher", ""]


@dataclass(frozen=True)
class Described:
    """One number of a metric.

    Attributes:
        label: as tables show it.
        better: "lower" or "higher", by which methods are ranked; empty where neither is.
        group: of the tables, a key of ``vaebench.report.describe.GROUPS``.
        unit: "nats", say; stands behind the label.
        help: what it measures, in a sentence.
    """

    label: str
    better: Better = ""
    group: str = "other"
    unit: str = ""
    help: str = ""


def describes(numbers: Mapping[str, Described]) -> Callable[[Callable], Callable]:
    """Attach ``numbers``, by their dotted path in the metrics file, to a metric."""

    def attach(metric: Callable) -> Callable:
        metric.describes = dict(numbers)
        return metric

    return attach


def described(path: str) -> Described | None:
    """What the metric that gives the number at ``path`` says of it; None where none does."""
    for name in METRICS.names():
        try:
            numbers = getattr(METRICS.load(name), "describes", {})
        except UserError:  # a study that uses it says so
            continue
        if path in numbers:
            return numbers[path]
    return None
