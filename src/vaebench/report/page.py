"""``reports/<study>/index.html``: one study in one page that needs no network.

Jinja2 with autoescape makes the page; pictures, tables and figures are files beside it, and the page's own
content policy forbids every other request. What the study is, its verdicts and its samples come first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from vaebench.base.files import write_atomically
from vaebench.base.palette import colour
from vaebench.report.describe import Description, across_networks, describe, sort_key, what_distances_say
from vaebench.report.entries import DASH, Entry, interval_words, number
from vaebench.report.index import paper_name, schedule, write_card
from vaebench.report.notes import render_notes
from vaebench.report.oversmoothing import before_and_after
from vaebench.report.results import DIVERGED, Cell, Results, spec_text
from vaebench.report.soundness import warm_start_doubt
from vaebench.report.templates import asset, template
from vaebench.study.params import AXES, registry

__all__ = ["fresh_page", "page_html", "write_page"]

_FIRST_COLUMNS = (
    *("mse", "psnr", "nll", "kl", "fid.recon", "fid.prior", "fid.gmm10", "latent.kl_corrected"),
    *("disentanglement.factor_vae", "disentanglement.mig", "smoothness.els"),
    *("variance.SU", "variance.SL", "variance.BU", "variance.BL"),
)
_COLUMNS = 8
"""Number of columns that the table shows before more are chosen."""


def write_page(results: Results) -> list[Path]:
    """Write a study's ``index.html``, and its card for the index of all studies."""
    return [write_card(results), fresh_page(results)]


def fresh_page(results: Results) -> Path:
    """A study's ``index.html``, written anew unless it is of these results.

    Git ignores it, and no ``dvc checkout`` replaces the page of another commit.
    """
    path, html = results.path / "index.html", page_html(results).encode()
    if not path.is_file() or path.read_bytes() != html:
        with write_atomically(path) as temporary:
            temporary.write_bytes(html)
    return path


def page_html(results: Results) -> str:
    """The text of a study's page."""
    return template("page.html").render(**_view(results), script=asset("page.js"))


def _view(results: Results) -> dict:
    """Content of a study's page, for the template."""
    study = results.study
    metrics = [describe(path) for path in sorted(set(results.measured["metric"]), key=sort_key)]
    columns = [metric for metric in metrics if metric.group != "angles"]
    first = [m.path for name in _FIRST_COLUMNS for m in columns if across_networks(m.path) == name][:_COLUMNS]
    first = first or [metric.path for metric in columns[:_COLUMNS]]
    notes, about = render_notes(results)
    verdicts, both = results.verdicts, results.measured[results.measured["paper"].notna()]
    decided = [v for v in verdicts if v.status not in _OPEN]
    return {
        "study": study,
        "title": results.title,
        "paper": paper_name(results),
        "schedule": schedule(results),
        "facts": _facts(results),
        "notice": results.notice,
        "notes": notes,
        "notes_about": about,
        "distances": what_distances_say(results.params.evaluation.features["name"]),
        "methods": {name: _method(results, index, name) for index, name in enumerate(study.methods)},
        "columns": columns,
        "first": first,
        "rows": [
            _row(results, dataset, method, columns) for dataset in study.datasets for method in study.methods
        ],
        "flags": results.flags,
        "interval": interval_words(results.measured["n"]),
        "verdicts": decided,
        "open": [v for v in verdicts if v.status in _OPEN],
        "comparison": [_compared(r, results) for r in both.itertuples()],
        "gallery": list(_gallery(results)),
        "oversmoothing": list(before_and_after(results)),
        "tables": results.tables,
        "figures": sorted(path.stem for path in (results.path / "figures").glob("*.png")),
        "data": _data(results, columns),
        "several": {"datasets": len(study.datasets) > 1, "seeds": len(study.seeds) > 1},
        "caption": _caption,
    }


_OPEN = ("not measured", "not a matter of numbers")
"""A verdict's status where the study says nothing of the claim."""


def _caption(stem: str) -> str:
    """Caption of a picture, from its file's name.

    >>> _caption("samples-gmm10"), _caption("latents-tsne")
    ('samples, GMM-10', 'latents, t-SNE')
    """
    kind, _, what = stem.partition("-")
    if kind == "samples":
        what = describe(f"fid.{what}").label.removeprefix("FID ")
    what = {"tsne": "t-SNE", "mds": "mMDS"}.get(what, what).replace("_", " ")
    return f"{kind}, {what}" if what else kind


def _method(results: Results, index: int, name: str) -> dict:
    method = results.method(name)
    return {
        "name": name,
        "label": results.label(name),
        "colour": colour(index),
        "axes": {axis: spec_text(getattr(method, axis)) for axis in AXES},
        "formulas": {axis: registry(axis).formula(getattr(method, axis)) for axis in AXES},
        "training": results.params.training_of(name).model_dump(exclude_none=True),
    }


def _kind(spec: dict) -> str:
    """A value on an axis without its numbers, so that methods that differ in a weight share a place.

    >>> _kind({"name": "gaussian", "variance": "mle", "shape": "diag_d", "eps": 1e-3})
    'gaussian · mle · diag_d'
    """
    return spec_text({key: value for key, value in spec.items() if isinstance(value, str)})


def _row(results: Results, dataset: str, method: str, columns: list[Description]) -> dict:
    """One (data set, method): its entries, and the content of its panel."""
    summary = results.summary
    own = summary[(summary["dataset"] == dataset) & (summary["method"] == method)]
    numbers = {r.metric: _shown(r, results) for r in own.itertuples()}
    cells = [Cell(dataset, method, seed) for seed in results.study.seeds]
    pictured = next((cell for cell in cells if results.images.get(cell)), cells[0])
    lost = sum(DIVERGED in results.metrics.get(cell, {}) for cell in cells)
    return {
        "dataset": dataset,
        "method": method,
        "flag": results.flags.get((dataset, method)),
        "doubt": warm_start_doubt(results, dataset, method),
        "diverged": lost if lost < len(cells) else 0,
        "seeds": len(cells),
        "numbers": [numbers.get(metric.path) for metric in columns],
        "pictures": [path.relative_to(results.path) for path in results.images.get(pictured, [])],
        "picture_seed": pictured.seed,
        "records": [_record(results, cell) for cell in cells if cell in results.cells],
    }


def _record(results: Results, cell: Cell) -> dict:
    stages = results.provenance[cell]
    return {
        "seed": cell.seed,
        "state": _state(results, cell),
        "run": f"/report/run/{results.name}/{cell.dataset}/{cell.method}/{cell.seed}",
        "command": f"dvc repro -f evaluate@{results.name}-{cell.dataset}-{cell.method}-{cell.seed}",
        "stages": [(name, list(_flat_text(record))) for name, record in stages.items()],
    }


def _state(results: Results, cell: Cell) -> str:
    if (metrics := results.metrics.get(cell)) is not None:
        return f"diverged at epoch {metrics[DIVERGED]}" if DIVERGED in metrics else "evaluated"
    return "trained" if results.provenance[cell] or cell in results.histories else "not run"


def _flat_text(record: dict, prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in record.items():
        if key == "stage":
            continue
        if isinstance(value, dict):
            yield from _flat_text(value, f"{prefix}{key} ")
        elif isinstance(value, float):
            yield f"{prefix}{key}", f"{value:.6g}"
        elif isinstance(value, list):
            yield f"{prefix}{key}", " ".join(map(str, value))
        else:
            yield f"{prefix}{key}", DASH if value is None else str(value)


def _facts(results: Results) -> dict[str, str]:
    study = results.study
    states = [_state(results, cell) for cell in results.own_cells]
    measured = sum(state.startswith(("evaluated", "diverged")) for state in states)
    facts = {
        "data": ", ".join(study.datasets) if len(study.datasets) < 4 else f"{len(study.datasets)} data sets",
        "methods": str(len(results.own_methods)),
        "seeds": str(len(study.seeds)),
        "runs": f"{measured} of {len(states)}",
    }
    if outside := len(study.methods) - len(results.own_methods):
        facts["from outside"] = str(outside)
    if results.unsound:
        facts["unsound"] = f"{len(results.unsound)} of {len(study.datasets) * len(study.methods)}"
    return facts


def _shown(r, results: Results) -> dict:
    """One number next to the paper's; a relative difference only of numbers that have a scale."""
    entry = replace(Entry.of(r), mark=r.mark)
    relative = r.relative if r.paper > 0 and r.mean > 0 else math.nan
    return {
        "metric": describe(r.metric),
        "ours": entry.ours,
        "value": _finite(r.mean),
        "paper": entry.printed,
        "paper_value": _finite(r.paper),
        "difference": _signed(r.difference, lambda value: number(value, like=r.paper)),
        "relative": _signed(relative, lambda value: f"{100 * value:.1f} %".replace("-", "−")),
        "reproduced": _reproduced(r),
        "rank": _rank(r.rank, results, r, "rank"),
        "paper_rank": _rank(r.paper_rank, results, r, "paper_rank"),
        "table": r.table if isinstance(r.table, str) else "",
        "mark": r.mark,
        "flag": r.flag,
        "n": r.n,
    }


def _compared(r, results: Results) -> dict:
    return {"dataset": r.dataset, "method": r.method, "label": r.label, **_shown(r, results)}


def _reproduced(r) -> str:
    """The paper's interval for repetitions and where our mean lies, or else our mean's interval."""
    if r.reproduced:
        ends = f"{number(r.predicted_low, like=r.paper)} to {number(r.predicted_high, like=r.paper)}"
        return f"{r.reproduced} ({ends})"
    if math.isnan(r.low):
        return DASH
    return f"ours {number(r.low, like=r.mean)} to {number(r.high, like=r.mean)}"


def _rank(rank: float, results: Results, r, column: str) -> str:
    if math.isnan(rank):
        return DASH
    of = results.rank_counts[column][r.dataset, r.metric]
    return f"{int(rank)} of {of}"


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


def _signed(value: float, form: Callable[[float], str]) -> str:
    if math.isnan(value):
        return DASH
    text = form(value)
    return text if text.startswith("−") else f"+{text}"


def _gallery(results: Results) -> Iterator[dict]:
    """All methods' pictures of one kind: samples first, from a density that most methods have."""
    for dataset in results.study.datasets:
        kinds: dict[str, list] = {}
        for method in results.study.methods:
            cells = [Cell(dataset, method, seed) for seed in results.study.seeds]
            for path in next((results.images[cell] for cell in cells if results.images.get(cell)), []):
                kinds.setdefault(path.stem, []).append((method, path.relative_to(results.path).as_posix()))
        order = sorted(kinds, key=lambda kind: (not kind.startswith("samples"), -len(kinds[kind])))
        for kind in order:
            yield {"dataset": dataset, "kind": kind, "pictures": kinds[kind]}


def _data(results: Results, metrics: list[Description]) -> dict:
    """Data for the page's script."""
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
            "unsound": [dataset for dataset, method in results.flags if method == name],
            **{axis: _kind(getattr(results.method(name), axis)) for axis in AXES[:2]},
        }
        for index, name in enumerate(results.study.methods)
    ]
    described = [{"path": m.path, "label": m.label, "better": m.better} for m in metrics]
    return {
        "methods": methods,
        "metrics": described,
        "values": values,
        "curves": curves,
        "titles": results.curve_titles | {"validation_loss": "validation objective"},
    }
