"""The time that an epoch takes, one bar per method (Takida et al., Figure 2)."""

from __future__ import annotations

from pathlib import Path
from statistics import median

from vaebench.base.palette import colour
from vaebench.base.style import panels, plain, save
from vaebench.report.results import Results

__all__ = ["seconds_per_epoch"]


def seconds_per_epoch(results: Results, dataset: str, stem: Path) -> list[Path]:
    """Draw each method's median over seeds of its trainings' median epoch.

    Args:
        results: the study's.
        dataset: one of its data sets.
        stem: path of the files without a suffix.

    Returns:
        The PNG and the PDF; nothing where fewer than two methods were timed, or not all on one device, the
        number of its threads included: such times do not compare.
        Nor do those of a machine that others use; see ``cpu`` in the provenance.
    """
    times: dict[str, list[float]] = {}
    devices = set()
    for cell, records in results.provenance.items():
        train = records.get("train", {})
        seconds = train.get("seconds", {}).get("epoch_median")
        if cell.dataset == dataset and seconds is not None:
            times.setdefault(cell.method, []).append(seconds)
            devices.add(train.get("device", ""))
    if len(times) < 2 or len(devices) != 1:
        return []
    methods = [method for method in results.study.methods if method in times]
    with panels(1, panel=(4.5, 0.25 * len(methods) + 0.9)) as (figure, (ax,)):
        ax.barh(range(len(methods)), [median(times[m]) for m in methods], color=colour(0))
        ax.set_yticks(range(len(methods)), [plain(results.label(method)) for method in methods])
        ax.invert_yaxis()
        ax.set(xlabel="seconds per epoch", title=plain(devices.pop()))
        return save(figure, stem)
