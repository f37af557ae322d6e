"""A signal that is obeyed between two steps instead of at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Interrupt", "stop_signal"]


class Interrupt:
    """Whether a signal has asked to stop."""

    requested = False


@contextmanager
def stop_signal() -> Iterator[Interrupt]:
    """SIGTERM and Ctrl-C ask the loop to save and stop, instead of ending the process at once."""
    stop = Interrupt()

    def request(signum, frame) -> None:
        stop.requested = True

    before = {s: signal.signal(s, request) for s in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
