"""Output streams whose failure does not end the work that they report on.

A terminal that hangs up, a pipe that nobody reads any more (``| head -1``), a log on a full disk and a
stream that was closed from the beginning (``>&-``) cost the lines that they would have shown.
"""

from __future__ import annotations

import os
import sys
from typing import TextIO

__all__ = ["protect_streams"]


class _Surviving:
    """A text stream that takes everything, and after its first failure shows no more."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            self._let_go()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._let_go()

    def _let_go(self) -> None:
        """Point the descriptor to ``/dev/null``: the buffer is flushed once more at the end."""
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        except (OSError, ValueError):
            pass

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


def protect_streams() -> None:
    """Let this process's output streams survive whatever happens to what is behind them.

    A closed one is opened to nowhere, or the next file that is opened would take its place; a character that
    the stream's encoding lacks is written as its escape.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, _Surviving):
            continue
        if stream is None:
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, _Surviving(stream))
