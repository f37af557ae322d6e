"""``vaebench plan``: the cost of a study on this machine, before hours are spent."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from vaebench.base.errors import UserError
from vaebench.base.files import read_json, write_json
from vaebench.base.reading import mapping_or_empty, reading
from vaebench.base.terminal import columns
from vaebench.data.store import Meta
from vaebench.study import paths
from vaebench.study.forecast import (
    Forecast,
    duration,
    fitting,
    forecast,
    keep_cost,
    keep_fit,
    known_cost,
    known_fit,
)
from vaebench.study.params import Params
from vaebench.study.provenance import digest

__all__ = ["plan"]

SHAPES = Path(".vaebench/shapes.json")


def plan(params: Params, slots: int, budget: float | None, say: Callable[[str], None]) -> Iterator[str]:
    """Measure the methods whose cost is not known yet, and state the study's.

    Args:
        params: the study.
        slots: number of trainings at a time.
        budget: seconds, or None.
        say: called while it measures.

    Yields:
        The lines of the plan.
    """
    missing, size = [], 0
    for dataset in params.study.datasets:
        try:
            meta, images = _shape(params, dataset, say)
        except UserError as error:
            missing.append(f"missing: {dataset}: {error}")
            continue
        size += images
        for method in params.study.methods:
            if known_cost(params, dataset, method, slots) is None:
                from vaebench.training.cost import measure_cost

                say(f"measuring {method} on {dataset}")
                keep_cost(
                    params, dataset, method, slots, measure_cost(params, dataset, method, meta, slots, say)
                )
            _measure_fits(params, dataset, method, slots, say)
    if params.evaluation.features["name"] == "inception":
        from vaebench.cli.doctor import inception_weights

        if not (weights := inception_weights()).found:
            missing.append(f"missing: {weights.detail}")
    known = forecast(params, slots)
    yield from _table(known)
    yield ""
    yield from missing
    yield f"disk: {_size(known, size)}; {shutil.disk_usage('.').free / 1e9:.0f} GB are free"
    yield known.line()
    if any(row.evaluation is None for row in known.rows):
        yield "evaluations are not in it: none has been recorded here yet"
    if known.share < 0.8:
        idle = duration(known.seconds(left=True) * known.share)
        yield f"measured while other work left {known.share:.0%} of the processor; with all of it {idle} left"
    if budget is not None:
        yield from (f"in {duration(budget)}: {line}" for line in fitting(known, budget))


def _measure_fits(params: Params, dataset: str, method: str, slots: int, say: Callable[[str], None]) -> None:
    cost = known_cost(params, dataset, method, slots)
    if cost is None:  # the file of costs cannot be written, or was removed
        return
    latents = cost.latents
    for name in params.study.densities:
        if known_fit(params.densities[name], latents) is None:
            from vaebench.densities.cost import fit_seconds

            say(f"measuring density {name} on {latents[0]} latents of dimension {latents[1]}")
            keep_fit(params.densities[name], latents, fit_seconds(params.densities[name], *latents))


def _shape(params: Params, dataset: str, say: Callable[[str], None]) -> tuple[Meta, int]:
    """The data set's ``meta.json`` and its bytes: as prepared, or prepared once for this."""
    from vaebench.data.preparation import prepare

    source = params.datasets[dataset].source
    key = digest(source)
    known = mapping_or_empty(SHAPES)
    if key not in known:
        prepared = paths.prepared_dir(params.study.name, dataset)
        if (prepared / "meta.json").is_file():
            with reading(prepared, "prepare"):
                known[key] = [read_json(prepared / "meta.json"), (prepared / "images.npy").stat().st_size]
        else:
            say(f"preparing {dataset} to see its size")
            with tempfile.TemporaryDirectory(dir=_scratch()) as folder:
                data = prepare(source, Path(folder, "data"))
                known[key] = [data.meta, data.images.nbytes]
        write_json(SHAPES, known)
    meta, size = known[key]
    return Meta.model_validate(meta), size


def _scratch() -> Path:
    SHAPES.parent.mkdir(parents=True, exist_ok=True)
    return SHAPES.parent


def _table(known: Forecast) -> Iterator[str]:
    rows = [
        (
            "method",
            "data set",
            "precision",
            "s/step",
            "s/epoch",
            "epochs",
            "seeds",
            "done",
            "epochs in checkpoints",
            "training",
            "densities",
        )
    ]
    for row in known.rows:
        cost = row.cost
        total = None if row.epoch is None else row.epoch * row.epochs * row.seeds
        rows.append(
            (
                row.method,
                row.dataset,
                cost.precision if cost else "",
                f"{cost.step:.3f}" if cost else "",
                "" if row.epoch is None else f"{row.epoch:.1f}",
                str(row.epochs),
                str(row.seeds),
                str(row.done),
                str(row.reached),
                "not known" if total is None else duration(total),
                duration(row.fits * row.seeds),
            )
        )
    yield from columns(rows)
    at_once = f", {known.slots} at a time" if known.slots > 1 else ""
    yield f"in all{at_once}: {duration(known.seconds())}"


def _size(known: Forecast, prepared: int) -> str:
    cells = sum(row.cost.cell_bytes * row.seeds for row in known.rows if row.cost)
    return f"{(prepared + cells) / 1e9:.1f} GB at most"
