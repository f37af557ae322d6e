"""A paper's table next to ours: every cell, both with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from vaebench.base.palette import colour
from vaebench.base.style import log_ticks, panels, plain, save
from vaebench.report.entries import Entry, Table
from vaebench.report.statistics import t_interval

__all__ = ["against_paper"]

_MOST = 4
_WIDE = 20
"""Ratio of the largest mean to the smallest from which on an axis is logarithmic."""

_OURS, _PAPER = colour(0), "#5b6570"


def against_paper(table: Table, stem: Path, ours: str = "ours") -> list[Path]:
    """Draw one panel per column, or per row where that is of one kind: the paper's numbers and ours.

    The paper's bar is the 95 % prediction interval of a mean over our seeds, where it prints a deviation;
    ours is the 95 % interval over seeds, where there are two or more, and the legend says how many. On a
    logarithmic axis an interval that reaches 0 ends at the edge. A hollow point is of an unsound model.

    Args:
        table: one in the paper's shape.
        stem: path of the files without a suffix.
        ours: name of our numbers in the legend.

    Returns:
        The PNG and the PDF; nothing where fewer than two cells have both numbers.
    """
    titles = [" · ".join(filter(None, header)) for header in table.columns]
    names = [label for label, _ in table.rows]
    lines: list = list(zip(*(entries for _, entries in table.rows), strict=True))
    if table.ranked == "row":
        titles, names, lines = names, titles, [entries for _, entries in table.rows]
    drawn = [(title, line) for title, line in zip(titles, lines, strict=True) if any(map(_both, line))]
    if sum(_both(entry) for _, line in drawn for entry in line) < 2:
        return []
    size = (2.6, 0.24 * len(names) + 0.9)
    with panels(len(drawn), panel=size, margin=(1.4, 0.5), most=_MOST, sharey=True) as (figure, axes):
        for ax, (title, line) in zip(axes, drawn, strict=True):
            _panel(ax, line, f"{ours}, {_seeds(drawn)}")
            ax.set(title=plain(title), ylim=(len(names) - 0.4, -0.6))
            ax.set_yticks(range(len(names)), list(map(plain, names)))
        handles, labels = axes[0].get_legend_handles_labels()
        ncols = min(len(drawn), 2)
        figure.legend(handles, labels, loc="outside lower center", ncols=ncols, frameon=False, fontsize=8)
        if table.ranked != "row" and table.corner != "Method":
            axes[0].set_ylabel(plain(table.corner))
        columns = min(len(drawn), _MOST)
        figure.suptitle(plain(fill(table.title, 14 * (columns * 2 + 1))), fontsize=9)
        return save(figure, stem)


def _both(entry: Entry) -> bool:
    return entry.n > 0 and not math.isnan(entry.paper)


def _seeds(drawn: list) -> str:
    counts = sorted({entry.n for _, line in drawn for entry in line if entry.n})
    words = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    return f"{words} seed{'s' * (counts[-1] > 1)}{', 95 % interval' if counts[-1] > 1 else ''}"


def _panel(ax: Axes, entries: Sequence[Entry], ours: str) -> None:
    spread = any(not math.isnan(entry.paper_std) for entry in entries)
    paper = f"the paper's{', 95 % of repetitions' if spread else ''}"
    means = [mean for entry in entries for mean in (entry.paper, entry.mean) if not math.isnan(mean)]
    logarithmic = min(means) > 0 and max(means) > _WIDE * min(means)
    if logarithmic:
        ax.set_xscale("log")
    for place, entry in enumerate(entries):
        if not math.isnan(entry.paper):
            _bar(ax, place - 0.16, entry.paper, entry.predicted, fmt="D", color=_PAPER, label=paper)
        if entry.n:
            ends = t_interval(entry.mean, entry.std, entry.n)
            fill = {"mfc": "white"} if entry.flag else {}
            _bar(ax, place + 0.16, entry.mean, ends, fmt="o", color=_OURS, label=ours, **fill)
    ax.margins(x=0.08)
    if logarithmic:
        ax.set_xlim(left=max(ax.get_xlim()[0], min(means) / _WIDE))
        log_ticks(ax.xaxis)
    else:
        ax.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    ax.grid(axis="y", lw=0.4, color="#e3e7eb")


def _bar(ax: Axes, y: float, x: float, ends: tuple[float, float], label: str, **style) -> None:
    """A point with its interval; the label only once per panel."""
    known = not math.isnan(ends[0])
    error = [[x - ends[0]], [ends[1] - x]] if known else None
    labels = ax.get_legend_handles_labels()[1]
    ax.errorbar(x, y, xerr=error, ms=4, lw=1.1, label=None if label in labels else label, **style)
