"""Training curves: each column of the histories against the epoch, one line per method."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from matplotlib.ticker import MaxNLocator

from vaebench.base.palette import colour
from vaebench.base.style import log_ticks, panels, save

__all__ = ["mean_history", "training_curves"]

_LOGARITHMIC = ("validation_mse", "sigma2", "sigma_z2", "learning_rate")


def mean_history(histories: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """The mean over runs at each epoch; an epoch that only some runs reached is the mean over those."""
    return pd.concat(list(histories)).groupby("epoch").mean(numeric_only=True).reset_index()


def training_curves(histories: dict[str, pd.DataFrame], titles: dict[str, str], stem: Path) -> list[Path]:
    """Draw one panel per column.

    Args:
        histories: a label to its history, in the order of the colours.
        titles: of the columns that are drawn.
        stem: path of the files without a suffix.

    Returns:
        The PNG and the PDF; nothing where there is no curve to draw.
    """
    columns = [c for c in titles if any(c in h and h[c].notna().any() for h in histories.values())]
    if not columns:
        return []
    legend = 0.3 + 0.18 * math.ceil(len(histories) / 3)
    with panels(len(columns), panel=(3.3, 2.5), margin=(0, legend)) as (figure, axes):
        for ax, column in zip(axes, columns, strict=True):
            for index, (label, history) in enumerate(histories.items()):
                if column in history:
                    marker = "o" if len(history) < 2 else None
                    ax.plot(
                        history["epoch"],
                        history[column],
                        color=colour(index),
                        label=label,
                        lw=1.3,
                        marker=marker,
                    )
            ax.set(title=titles[column], xlabel="epoch")
            ax.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
            if column in _LOGARITHMIC and _positive(histories, column):
                ax.set_yscale("log")
                log_ticks(ax.yaxis)
        handles = {}
        for ax in axes:
            handles.update({h.get_label(): h for h in ax.get_lines()})
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
        return save(figure, stem)


def _positive(histories: dict[str, pd.DataFrame], column: str) -> bool:
    return all((h[column].dropna() > 0).all() for h in histories.values() if column in h)
