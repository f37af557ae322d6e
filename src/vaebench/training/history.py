"""``history.csv``: one row per epoch, a column for each number that the method has."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from vaebench.base.files import write_atomically

__all__ = ["live_history", "write_history"]

INTERVAL = 1.0
"""Seconds between two writings of a running training's history."""


def live_history(path: Path) -> Callable[[list[dict]], None]:
    """A function that writes the history of a running training, but not at every one of many short epochs."""
    written = -INTERVAL

    def write(history: list[dict]) -> None:
        nonlocal written
        if time.monotonic() - written >= INTERVAL:
            with suppress(OSError):  # a disk that is full for an hour should not end a training of days
                write_history(path, history)
            written = time.monotonic()

    return write


def write_history(path: Path, rows: list[dict]) -> None:
    """Write the rows; a training that diverged in its first epoch leaves the header alone."""
    columns = list(dict.fromkeys(key for row in rows for key in row)) or ["epoch", "loss"]
    with write_atomically(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: repr(v) for k, v in row.items()} for row in rows)
