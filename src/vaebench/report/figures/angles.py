"""The angles between the directions that stand for a data set's factors, one matrix per method."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from vaebench.base.style import panels, plain, save
from vaebench.report.entries import number
from vaebench.report.results import Results

__all__ = ["angle_matrices"]

_PREFIX = "disentanglement.angles."


def angle_matrices(results: Results, summary: pd.DataFrame, stem: Path) -> list[Path]:
    """Draw the mean angles in degrees, 90 where two directions are independent (Saha et al., Figure 4).

    Args:
        results: names the methods.
        summary: of one data set.
        stem: path of the files without a suffix.

    Returns:
        The PNG and the PDF; nothing where no angle was measured.
    """
    measured = summary[summary["n"] > 0]
    angles = measured[measured["metric"].str.startswith(_PREFIX)]
    if angles.empty:
        return []
    pairs = [metric.removeprefix(_PREFIX).split("-") for metric in angles["metric"]]
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    methods = [m for m in results.study.methods if m in set(angles["method"])]
    side = 0.42 * len(names) + 0.6
    panel, margin = (side, side + 0.3), (1.4, 1.0)
    with panels(len(methods), panel, margin, most=4, sharex=True, sharey=True) as (figure, axes):
        for ax, method in zip(axes, methods, strict=True):
            matrix = np.zeros((len(names), len(names)))
            for (a, b), row in zip(pairs, angles.itertuples(), strict=True):
                if row.method == method:
                    i, j = names.index(a), names.index(b)
                    matrix[i, j] = matrix[j, i] = row.mean
            ax.imshow(matrix, cmap="viridis", vmin=0, vmax=90)
            for (i, j), angle in np.ndenumerate(matrix):
                ink = "black" if angle > 55 else "white"
                ax.text(j, i, f"{angle:.0f}", ha="center", va="center", fontsize=7, color=ink)
            ax.set(title=plain(results.label(method)) + _score(measured, method))
            labels = [plain(name.replace("_", " ")) for name in names]
            ax.set_xticks(range(len(names)), labels, rotation=45, ha="right")
            ax.set_yticks(range(len(names)), labels)
            ax.grid(visible=False)
        return save(figure, stem)


def _score(measured: pd.DataFrame, method: str) -> str:
    rows = measured[(measured["method"] == method) & (measured["metric"] == "disentanglement.pca_mig")]
    value = rows["mean"].iloc[0] if len(rows) else math.nan
    return "" if math.isnan(value) else f"\nPCA MIG {number(value)}"
