"""``reports/<study>/index.html``: one study in one page that needs no network.

Jinja2 with autoescape makes the page; pictures, tables and figures are files beside it, and the page's own
content policy forbids every other request.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from vaebench.base.files import write_atomically
from vaebench.base.style import colour
from vaebench.report.claims import STATUSES
from vaebench.report.describe import describe, sort_key
from vaebench.report.entries import DASH, Entry, number
from vaebench.report.index import write_card
from vaebench.report.papers import read_paper
from vaebench.report.results import DIVERGED, Cell, Results, spec_text
from vaebench.report.tables import all_tables
from vaebench.report.templates import asset, template

__all__ = ["write_page"]


def write_page(results: Results) -> list[Path]:
    """Write a study's ``index.html``, and its card for the index of all studies."""
    from plotly.offline import get_plotlyjs

    page = template("page.html").render(
        study=_view(results), plotly=get_plotlyjs(), script=asset("page.js"), caption=_caption
    )
    target = results.path / "index.html"
    with write_atomically(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return [write_card(results), target]


def _caption(stem: str) -> str:
    """What a picture shows, from its file's name.

    >>> _caption("samples-gmm10"), _caption("latents-tsne")
    ('samples, GMM-10', 'latents, t-SNE')
    """
    kind, _, what = stem.partition("-")
    if kind == "samples":
        what = describe(f"fid.{what}").label.removeprefix("FID ")
    what = {"tsne": "t-SNE", "mds": "mMDS"}.get(what, what).replace("_", " ")
    return f"{kind}, {what}" if what else kind


def _view(results: Results) -> dict:
    """All that the template says of a study."""
    study, summary, measured = results.study, results.summary, results.measured
    metrics = [describe(path) for path in sorted(set(measured["metric"]), key=sort_key)]
    wide = [metric for metric in metrics if metric.group != "angles"]
    runs = {(d, m): _runs(results, d, m) for d in study.datasets for m in study.methods}
    verdicts = results.verdicts
    return {
        "name": results.name,
        "title": results.title,
        "paper": read_paper(study.paper).cite if study.paper else "",
        "notes": [" ".join(part.split()) for part in results.notes.split("\n\n") if part.strip()],
        "features": results.params.evaluation.features,
        "datasets": study.datasets,
        "methods": [_method(results, index, name) for index, name in enumerate(study.methods)],
        "seeds": study.seeds,
        "facts": _facts(results, runs),
        "metrics": metrics,
        "columns": wide,
        "overview": _overview(results, wide),
        "comparison": _comparison(summary),
        "tables": all_tables(results),
        "verdicts": verdicts,
        "counts": {status: sum(v.status == status for v in verdicts) for status in STATUSES},
        "runs": runs,
        "pictures": [path for run in runs.values() for path in run["pictures"]],
        "data": _data(results, metrics),
        "figures": sorted(p.name for p in (results.path / "figures").glob("*.png")),
    }


def _method(results: Results, index: int, name: str) -> dict:
    method = results.method(name)
    axes = {axis: spec_text(getattr(method, axis)) for axis in ("likelihood", "regularizer", "posterior")}
    return {
        "name": name,
        "label": results.label(name),
        "colour": colour(index),
        "axes": axes,
        "training": results.params.training_of(name).model_dump(),
    }


def _runs(results: Results, dataset: str, method: str) -> dict:
    """The runs of one method on one data set, with the first seed's pictures and every seed's record."""
    cells = [Cell(dataset, method, seed) for seed in results.study.seeds]
    shown = next((cell for cell in cells if results.images[cell]), cells[0])
    return {
        "pictures": [path.relative_to(results.path) for path in results.images[shown]],
        "picture_seed": shown.seed,
        "records": [
            {
                "seed": cell.seed,
                "state": _state(results, cell),
                "run": f"/report/run/{results.name}/{dataset}/{method}/{cell.seed}",
                "command": f"dvc repro -f evaluate@{results.name}-{dataset}-{method}-{cell.seed}",
                "stages": [
                    (name, list(_flat_text(record))) for name, record in results.provenance[cell].items()
                ],
            }
            for cell in cells
        ],
    }


def _state(results: Results, cell: Cell) -> str:
    if (metrics := results.metrics.get(cell)) is not None:
        return f"diverged at epoch {metrics[DIVERGED]}" if DIVERGED in metrics else "evaluated"
    return "trained" if results.provenance[cell] or cell in results.histories else "not run"


def _flat_text(record: dict, prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in record.items():
        if key == "stage":
            continue
        if isinstance(value, dict):
            yield from _flat_text(value, f"{prefix}{key} ")
        elif isinstance(value, float):
            yield f"{prefix}{key}", f"{value:.6g}"
        elif isinstance(value, list):
            yield f"{prefix}{key}", " ".join(map(str, value))
        elif value is None:
            yield f"{prefix}{key}", DASH
        else:
            yield f"{prefix}{key}", str(value)


def _facts(results: Results, runs: dict) -> list[tuple[str, str]]:
    study = results.study
    states = [record["state"] for run in runs.values() for record in run["records"]]
    diverged = sum(state.startswith("diverged") for state in states)
    done = states.count("evaluated") + diverged
    counted = (("data set", study.datasets), ("method", study.methods), ("seed", study.seeds))
    facts = [
        *((name + "s" * (len(values) != 1), str(len(values))) for name, values in counted),
        ("runs", f"{done} of {len(states)}"),
    ]
    if diverged:
        facts.append(("diverged", str(diverged)))
    facts.append(("epochs", str(results.params.training.epochs)))
    made = [dict(entries) for run in runs.values() for r in run["records"] for _, entries in r["stages"]]
    for name, key, length in (("device", "device", None), ("commit", "git_commit", 10)):
        found = list(dict.fromkeys(m[key][:length] for m in made if key in m))
        if found:
            facts.append((name, found[0] if len(found) == 1 else f"{len(found)} different"))
    return facts


def _overview(results: Results, metrics: list) -> list[dict]:
    """One row a (data set, method) with a cell for every metric that the study measured."""
    cells = {(r.dataset, r.method, r.metric): r for r in results.summary.itertuples()}
    rows = []
    for dataset in results.study.datasets:
        for method in results.study.methods:
            found = [cells.get((dataset, method, metric.path)) for metric in metrics]
            first = next((r for r in found if r is not None), None)
            rows.append(
                {
                    "dataset": dataset,
                    "method": method,
                    "diverged": first.diverged if first is not None else 0,
                    "sound": first.sound if first is not None else 0,
                    "cells": [_shown(r) if r is not None else None for r in found],
                }
            )
    return rows


def _comparison(summary: pd.DataFrame) -> list[dict]:
    """One row a number: the paper's, ours, their difference, the ranks."""
    rows = []
    for r in summary.itertuples():
        if r.n or not math.isnan(r.paper) or r.diverged:
            rows.append({"dataset": r.dataset, "method": r.method, "metric": describe(r.metric), **_shown(r)})
    return rows


def _shown(r) -> dict:
    cell = replace(Entry.of(r), mark=r.mark)
    return {
        "ours": cell.ours,
        "value": None if math.isnan(r.mean) else r.mean,
        "paper": cell.printed,
        "paper_value": None if math.isnan(r.paper) else r.paper,
        "difference": _signed(r.difference, lambda value: number(value, like=r.paper)),
        "difference_value": None if math.isnan(r.difference) else r.difference,
        "relative": _signed(r.relative, lambda value: f"{100 * value:.1f} %".replace("-", "−")),
        "relative_value": None if math.isnan(r.relative) else r.relative,
        "rank": DASH if math.isnan(r.rank) else str(int(r.rank)),
        "paper_rank": DASH if math.isnan(r.paper_rank) else str(int(r.paper_rank)),
        "table": r.table if isinstance(r.table, str) else "",
        "mark": r.mark,
        "n": r.n,
        "diverged": r.diverged,
        "sound": r.sound,
    }


def _signed(value: float, form: Callable[[float], str]) -> str:
    if math.isnan(value):
        return DASH
    text = form(value)
    return text if text.startswith("−") else f"+{text}"


def _data(results: Results, metrics: list) -> dict:
    """What the page's script draws from."""
    values: dict = {}
    for r in results.measured.itertuples():
        numbers = [None if math.isnan(v) else float(f"{v:.6g}") for v in (r.mean, r.std)]
        values.setdefault(r.dataset, {}).setdefault(r.method, {})[r.metric] = numbers
    curves: dict = {}
    for cell, history in results.histories.items():
        if len(history):
            columns = history.select_dtypes("number")
            curves.setdefault(cell.dataset, {}).setdefault(cell.method, {})[str(cell.seed)] = {
                column: [None if not math.isfinite(v) else float(f"{v:.5g}") for v in columns[column]]
                for column in columns
            }
    methods = [
        {
            "name": name,
            "label": results.label(name),
            "colour": colour(index),
            **{
                axis: spec_text(getattr(results.method(name), axis)) for axis in ("likelihood", "regularizer")
            },
        }
        for index, name in enumerate(results.study.methods)
    ]
    return {
        "name": results.name,
        "datasets": results.study.datasets,
        "methods": methods,
        "metrics": [
            {"path": m.path, "label": m.label, "group": m.group, "better": m.better} for m in metrics
        ],
        "values": values,
        "curves": curves,
    }
