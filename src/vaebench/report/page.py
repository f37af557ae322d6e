"""``reports/index.html``: every study on disk in one page that needs no network.

Jinja2 with autoescape makes the page, plotly.js is inlined once, pictures are data URIs of the first seed
that has any, made smaller until all of them fit :data:`PICTURES`. The page's own content policy forbids
every request.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from vaebench.base.errors import UserError
from vaebench.base.files import write_atomically
from vaebench.base.style import colour
from vaebench.report.cells import DASH, Cell, number
from vaebench.report.claims import judge
from vaebench.report.describe import GROUPS, describe, sort_key
from vaebench.report.means import summarise
from vaebench.report.papers import PAPERS
from vaebench.report.results import Study, read_study, spec_text
from vaebench.report.tables import all_tables

__all__ = ["PICTURES", "build_page"]

PICTURES = 7_500_000
"""The most bytes that all pictures of a page may weigh, in base64; plotly.js weighs 4.8 million."""

_LOSSLESS = 24_000
"""Up to this weight in bytes a picture stays a PNG; a heavier one may become WebP."""

_SAMPLE = 40
"""So many pictures are tried at each side before all are: making 500 of them takes ten seconds."""

_SIDES = (640, 480, 360, 270, 200, 150, 110, 80, 60)


def build_page(reports_dir: str | Path, first: str = "") -> Path:
    """Write ``index.html`` over every folder of ``reports_dir`` that holds a ``study.yaml``.

    A study that cannot be read is a notice on the page, so that it does not hide the others.

    Args:
        reports_dir: where the studies' results are.
        first: the study that the page opens with; the others follow by name.
    """
    import jinja2
    from plotly.offline import get_plotlyjs

    reports = Path(reports_dir)
    studies, broken = [], []
    for source in sorted(reports.glob("*/study.yaml"), key=lambda path: (path.parent.name != first, path)):
        try:
            studies.append(_view(read_study(source.parent)))
        except UserError as error:
            broken.append({"name": source.parent.name, "problem": str(error)})
    pictures = _embed(path for study in studies for path in study["pictures"])
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vaebench.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(dash=DASH, groups=GROUPS)
    environment.filters["caption"] = _caption
    page = environment.get_template("page.html").render(
        studies=studies,
        broken=broken,
        pictures=pictures,
        plotly=get_plotlyjs(),
        style=_template("page.css"),
        script=_template("page.js"),
    )
    target = reports / "index.html"
    with write_atomically(target) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return target


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


def _template(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def _view(study: Study) -> dict:
    """All that the template says of a study."""
    summary = summarise(study)
    measured = summary[summary["n"] > 0]
    metrics = [describe(path) for path in sorted(set(measured["metric"]), key=sort_key)]
    wide = [metric for metric in metrics if metric.group != "angles"]
    runs = {(d, m): _runs(study, d, m) for d in study.datasets for m in study.methods}
    verdicts = judge(study, summary)
    return {
        "name": study.name,
        "title": study.title,
        "paper": PAPERS.get(study.paper, ""),
        "notes": study.notes,
        "features": study.content.get("evaluation", {}).get("features", ""),
        "datasets": study.datasets,
        "methods": [_method(study, index, name) for index, name in enumerate(study.methods)],
        "seeds": study.seeds,
        "facts": _facts(study, runs),
        "metrics": metrics,
        "columns": wide,
        "overview": _overview(study, summary, wide),
        "comparison": _comparison(summary),
        "tables": all_tables(study, summary),
        "verdicts": verdicts,
        "counts": {
            status: sum(v.status == status for v in verdicts)
            for status in ("holds", "does not hold", "not measured")
        },
        "runs": runs,
        "pictures": [path for run in runs.values() for path in run["pictures"]],
        "data": _data(study, measured, metrics, runs),
        "figures": sorted(p.name for p in (study.path / "figures").glob("*.png")),
    }


def _method(study: Study, index: int, name: str) -> dict:
    entry = study.method(name)
    axes = {axis: spec_text(entry.get(axis)) for axis in ("likelihood", "regularizer", "posterior")}
    return {
        "name": name,
        "label": study.label(name),
        "colour": colour(index),
        "axes": axes,
        "training": {**study.content.get("training", {}), **entry.get("training", {})},
    }


def _runs(study: Study, dataset: str, method: str) -> dict:
    """The runs of one method on one data set, with the first seed's pictures and every seed's record."""
    pictures, shown, records = [], None, []
    for seed in study.seeds:
        metrics = study.metrics(dataset, method, seed)
        record = study.provenance(dataset, method, seed)
        state = "not run"
        if metrics is not None:
            at = metrics.get("diverged_at_epoch")
            state = "evaluated" if at is None else f"diverged at epoch {at}"
        elif record or study.history(dataset, method, seed) is not None:
            state = "trained"
        if not pictures:
            pictures, shown = study.images(dataset, method, seed), seed
        records.append(
            {
                "seed": seed,
                "state": state,
                "command": f"dvc repro -f evaluate@{study.name}-{dataset}-{method}-{seed}",
                "stages": [(stage, list(_flat_text(content))) for stage, content in record.items()],
            }
        )
    return {"pictures": pictures, "picture_seed": shown, "records": records}


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


def _facts(study: Study, runs: dict) -> list[tuple[str, str]]:
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
    epochs = study.content.get("training", {}).get("epochs")
    if epochs is not None:
        facts.append(("epochs", str(epochs)))
    made = [dict(entries) for run in runs.values() for r in run["records"] for _, entries in r["stages"]]
    for name, key, length in (("device", "device", None), ("commit", "git_commit", 10)):
        found = list(dict.fromkeys(m[key][:length] for m in made if key in m))
        if found:
            facts.append((name, found[0] if len(found) == 1 else f"{len(found)} different"))
    return facts


def _overview(study: Study, summary: pd.DataFrame, metrics: list) -> list[dict]:
    """One row a (data set, method) with a cell for every metric that the study measured."""
    cells = {(r.dataset, r.method, r.metric): r for r in summary.itertuples()}
    rows = []
    for dataset in study.datasets:
        for method in study.methods:
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
    cell = Cell.of(r)
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


def _data(study: Study, measured: pd.DataFrame, metrics: list, runs: dict) -> dict:
    """What the page's script draws from."""
    values: dict = {}
    for r in measured.itertuples():
        numbers = [None if math.isnan(v) else float(f"{v:.6g}") for v in (r.mean, r.std)]
        values.setdefault(r.dataset, {}).setdefault(r.method, {})[r.metric] = numbers
    curves: dict = {}
    for dataset in study.datasets:
        for method in study.methods:
            for seed in study.seeds:
                history = study.history(dataset, method, seed)
                if history is not None and len(history):
                    columns = history.select_dtypes("number")
                    curves.setdefault(dataset, {}).setdefault(method, {})[str(seed)] = {
                        column: [None if not math.isfinite(v) else float(f"{v:.5g}") for v in columns[column]]
                        for column in columns
                    }
    methods = [
        {
            "name": name,
            "label": study.label(name),
            "colour": colour(index),
            **{axis: spec_text(study.method(name).get(axis)) for axis in ("likelihood", "regularizer")},
        }
        for index, name in enumerate(study.methods)
    ]
    return {
        "name": study.name,
        "datasets": study.datasets,
        "methods": methods,
        "metrics": [
            {"path": m.path, "label": m.label, "group": m.group, "better": m.better} for m in metrics
        ],
        "values": values,
        "curves": curves,
    }


def _embed(paths: Iterable[Path]) -> dict[Path, dict]:
    """Data URIs of pictures, at the largest of :data:`_SIDES` at which a sample, and then all, fit."""
    paths = list(dict.fromkeys(paths))
    sample = paths[:: -(-len(paths) // _SAMPLE) or 1]
    share = PICTURES * len(sample) / max(len(paths), 1)
    for side in _SIDES[:-1]:
        pictures = _fits(sample, side, share)
        if pictures is not None and len(sample) < len(paths):
            pictures = _fits(paths, side, PICTURES)
        if pictures is not None:
            return pictures
    return _fits(paths, _SIDES[-1], math.inf)


def _fits(paths: list[Path], side: int, allowed: float) -> dict[Path, dict] | None:
    """The pictures no longer than ``side``; None where they weigh more than ``allowed``."""
    pictures = {}
    for path in paths:
        if picture := _picture(path, side):
            pictures[path] = picture
            allowed -= len(picture["uri"])
        if allowed < 0:
            return None
    return pictures


def _picture(path: Path, side: int) -> dict | None:
    """One picture, no longer than ``side``; None where the file is damaged, which the page then says."""
    from PIL import Image

    try:
        with Image.open(path) as opened:
            opened.load()
            picture = opened.convert("L" if opened.mode in ("L", "1", "I", "I;16") else "RGB")
    except (OSError, SyntaxError):
        return None
    if max(picture.size) > side:
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    kind, content = "png", _encode(picture, "png", optimize=True)
    if len(content) > _LOSSLESS:
        kind, content = min(
            ((kind, content), ("webp", _encode(picture, "webp", quality=82))), key=lambda e: len(e[1])
        )
    uri = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return {"uri": uri, "width": picture.width, "height": picture.height}


def _encode(picture, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
