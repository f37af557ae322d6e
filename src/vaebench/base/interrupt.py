"""A signal that is obeyed between two steps instead of at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Interrupt", "stop_signal"]


class Interrupt:
    """A request to stop, set by a signal."""

    requested = False


ENDING = (
    *("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT"),
    *("SIGUSR1", "SIGUSR2", "SIGXCPU", "SIGALRM", "SIGVTALRM", "SIGPROF", "SIGPWR", "SIGIO"),
)
"""Signals that end a process that does not handle them, sent by users, terminals, queues and limits."""


@contextmanager
def stop_signal() -> Iterator[Interrupt]:
    """A signal asks the loop to save and stop, instead of ending the process at once.

    One that is ignored stays so (SIGHUP under ``nohup``).
    """
    stop = Interrupt()

    def request(signum, frame) -> None:
        stop.requested = True

    numbers = {getattr(signal, name) for name in ENDING if hasattr(signal, name)}
    heeded = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, request) for number in heeded}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
