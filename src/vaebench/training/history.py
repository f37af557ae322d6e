"""``history.csv``: one row an epoch, a column for each number that the method has."""

from __future__ import annotations

import csv
from pathlib import Path

from vaebench.base.files import write_atomically

__all__ = ["write_history"]


def write_history(path: Path, rows: list[dict]) -> None:
    """Write the rows; a training that diverged in its first epoch leaves the header alone."""
    columns = list(dict.fromkeys(key for row in rows for key in row)) or ["epoch", "loss"]
    with write_atomically(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({k: repr(v) for k, v in row.items()} for row in rows)
