"""Methods that differ in two options of their likelihood: stability and results over the grid.

``takida_diag_d_epsilon`` varies Diag-D's ε and its warm start, ``takida_lowrank`` the rank and the ridge of
the low-rank covariance. Their tables have a row for each value of the first option and, within a metric, a
column for each value of the second; a training that did not survive is a cell that says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from vaebench.report.describe import across_networks, describe
from vaebench.report.entries import Entry, Table, number
from vaebench.report.results import Results

__all__ = ["Sweep", "find_sweep", "metrics_of", "sweep_tables"]

_OPTIONS = {
    ("eps", "warmup_steps"): ("ε", lambda n: f"warm start, {n:g} steps" if n else "no warm start"),
    ("rank", "ridge"): ("rank", lambda n: f"ridge {n:g}"),
}
_METRICS = ("mse", "mse_sampled", "kl", "nll", "fid.prior", "fid.gmm10")


@dataclass(frozen=True)
class Sweep:
    """A study's sweep over two options.

    Attributes:
        option: the first option's name as figures and tables have it.
        place: a method's values of both options.
        columns: the second option's values in words.
    """

    option: str
    place: dict[str, tuple[float, float]]
    columns: dict[float, str]


def find_sweep(results: Results) -> Sweep | None:
    """The sweep whose first option has three values or more in the study; None where there is none."""
    for (first, second), (option, words) in _OPTIONS.items():
        options = {}
        for method in results.study.methods:
            likelihood = results.method(method).likelihood
            if first in likelihood:
                options[method] = likelihood[first], likelihood.get(second, 0)
        if len({value for value, _ in options.values()}) < 3 or len(set(options.values())) < len(options):
            continue
        columns = sorted({value for _, value in options.values()})
        return Sweep(option, options, {value: words(value) for value in columns})
    return None


def metrics_of(summary: pd.DataFrame) -> list[str]:
    """Of one data set's summary, the measured metrics that a sweep is judged by."""
    measured = summary.loc[summary["n"] > 0, "metric"].unique()
    return [path for name in _METRICS for path in measured if across_networks(path) == name]


def sweep_tables(results: Results) -> list[Table]:
    """One table for each data set on which the study's sweep was measured."""
    sweep = find_sweep(results)
    if sweep is None:
        return []
    tables = []
    for dataset in results.study.datasets:
        summary = results.summary
        swept = summary[(summary["dataset"] == dataset) & summary["method"].isin(sweep.place)]
        metrics = metrics_of(swept)
        if not metrics:
            continue
        entries = {(*sweep.place[r.method], r.metric): Entry.of(r) for r in swept.itertuples()}
        columns = [(describe(metric).label, words) for metric in metrics for words in sweep.columns.values()]
        keys = [(column, metric) for metric in metrics for column in sweep.columns]
        values = sorted({value for value, _ in sweep.place.values()})
        rows = [(f"{v:g}", [entries.get((v, *key), Entry()) for key in keys]) for v in values]
        tables.append(
            Table(
                f"sweep_{dataset}",
                f"{dataset}: {sweep.option} of the likelihood and where training is stable",
                sweep.option,
                columns,
                rows,
                note=_words(results, sweep, swept, metrics),
            )
        )
    return tables


def _words(results: Results, sweep: Sweep, swept: pd.DataFrame, metrics: list[str]) -> str:
    lost = swept.loc[(swept["diverged"] > 0), "method"].unique()
    sentences = [
        f"Diverged, in one seed or more: {', '.join(results.label(m) for m in lost)}." if len(lost) else ""
    ]
    for metric in metrics:
        sound = (swept["n"] > 0) & swept["paper"].notna() & (swept["flag"] == "")
        rows = swept[(swept["metric"] == metric) & sound]
        if rows.empty:
            continue
        nearest = rows.loc[rows["difference"].abs().idxmin()]
        sentences.append(
            f"Closest to the paper's {describe(metric).label} of {number(nearest['paper'])}, unsound ones "
            f"aside, is {results.label(nearest['method'])} with {number(nearest['mean'])}."
        )
    return " ".join(filter(None, sentences))
