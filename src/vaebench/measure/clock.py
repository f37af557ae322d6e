"""Seconds by part of a work whose parts lie in each other.

>>> clock = Clock()
>>> with clock.part("distances"), clock.part("features"):
...     pass
>>> sorted(clock.seconds)
['distances', 'features']
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Clock"]


class Clock:
    """A stopwatch; the time of a part within another counts for the inner one alone.

    Attributes:
        seconds: wall time of each part so far.
    """

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self._within = [0.0]

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens in the block for ``name``."""
        began = time.perf_counter()
        self._within.append(0.0)
        try:
            yield
        finally:
            whole = time.perf_counter() - began
            self.seconds[name] = self.seconds.get(name, 0.0) + whole - self._within.pop()
            self._within[-1] += whole
