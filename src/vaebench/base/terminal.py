"""Tables and bars in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["bars", "columns"]

WIDEST = 10_000
"""Characters of a line that is printed whole, whatever the terminal's width."""


def columns(rows: Sequence[Sequence[str]], numbers: bool = False) -> list[str]:
    """Lines of ``rows`` with their columns aligned.

    Args:
        rows: texts, all rows of one length.
        numbers: True aligns all columns but the first to the right.

    >>> columns([["method", "MSE"], ["σ̂² = 1", "20.25"]], numbers=True)
    ['method    MSE', 'σ̂² = 1  20.25']
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for index in range(len(rows[0])):
        table.add_column(justify="right" if numbers and index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(width=WIDEST, color_system=None)
    with console.capture() as printed:
        console.print(table)
    return [line.rstrip() for line in printed.get().split("\n")[: len(rows)]]


def bars(stream: TextIO | None = None) -> Progress:
    """Bars for work that is under way, shown where ``stream``, by default stderr, is a terminal.

    A task's field ``note`` stands behind its bar, cut where the line ends.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    stream = stream or sys.stderr
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
        console=Console(file=stream, highlight=False, soft_wrap=True),
        disable=not stream.isatty(),
        expand=True,
    )
