"""Rows of a study for what was not made here: another library's model, samples alone, another clone's cell.

reports/<study>/outside/<dataset>/<method>/<seed>.json, and its pictures in the folder <seed> beside it
    {"label": …, "origin": "from outside" | "measured elsewhere", "metrics": {…},
     "measured_by": {stage: digest of parameters}, "provenance": {stage: {…}}}

They stand in tables, figures and the page under a label that says so. Verdicts on the paper's claims, the
crossing of the axes and the digest that notes carry leave them out. DVC does not make them anew: where the
study's data or evaluation are others than when a row was added, it is flagged and has no rank on that data
set, and if that is so on all of its data sets its label ends in "measured otherwise". A row without
``measured_by`` is taken as it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from vaebench.base.errors import UserError
from vaebench.base.files import read_json, write_json
from vaebench.base.reading import mapping_or_empty, reading
from vaebench.study.params import OUTSIDE_PREFIX as PREFIX
from vaebench.study.params import Params
from vaebench.study.provenance import digest
from vaebench.study.resolve import parameters

__all__ = [
    "OUTSIDE",
    "PREFIX",
    "measured_otherwise",
    "measuring",
    "outside_files",
    "outside_images",
    "outside_metrics",
    "outside_provenance",
    "record_outside",
    "with_outside",
]

OUTSIDE = "outside"
FROM_OUTSIDE = "from outside"


def outside_files(study_dir: Path) -> dict[tuple[str, str, int], Path]:
    """The files by data set, method and seed."""
    return {
        (path.parts[-3], path.parts[-2], int(path.stem)): path
        for path in sorted((study_dir / OUTSIDE).glob("*/*/*.json"))
        if path.stem.isdigit()
    }


def with_outside(params: Params, study_dir: Path) -> Params:
    """``params`` with a method for each that was recorded from outside.

    A label stands for all data sets: one that was measured otherwise on some of them does not say so.
    """
    point = {axis: {"name": OUTSIDE} for axis in ("likelihood", "regularizer", "posterior")}
    files, others = outside_files(study_dir), measured_otherwise(params, study_dir)
    as_now = {m for d, m, _ in files if d in params.study.datasets and (d, m) not in others}
    methods = {}
    for (dataset, method, _), path in files.items():
        if dataset in params.study.datasets and method.startswith(PREFIX):
            content = _content(path)
            origin = content.get("origin", FROM_OUTSIDE) + ", measured otherwise" * (method not in as_now)
            methods[method] = {"label": f"{content['label']} ({origin})", **point}
    if not methods:
        return params
    content = params.model_dump()
    content["methods"] |= methods
    content["study"]["methods"] += list(methods)
    return Params.model_validate(content)


def measuring(params: Params, dataset: str) -> dict[str, dict]:
    """The parameters that numbers of a data set compare by, whatever the model: by stage."""
    method = params.study.methods[0]  # which one is the same to these stages
    stages = ("prepare", "reference", "evaluate")
    return {stage: parameters(params, stage, dataset=dataset, method=method) for stage in stages}


def measured_otherwise(params: Params, study_dir: Path) -> dict[tuple[str, str], list[str]]:
    """Rows that were added when the study measured otherwise, with the stages whose parameters differ."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for (dataset, method, _), path in outside_files(study_dir).items():
        recorded = _content(path).get("measured_by")
        if recorded and dataset in params.study.datasets:
            now = _digests(params, dataset)
            differing = dict.fromkeys(stage for stage in now if now[stage] != recorded.get(stage))
            if differing:
                found.setdefault((dataset, method), {}).update(differing)
    return {row: list(stages) for row, stages in found.items()}


def outside_images(path: Path) -> Path:
    """The folder with the images of one of :func:`outside_files`."""
    return path.with_suffix("")


def outside_metrics(path: Path) -> dict:
    """The nested metrics in one of :func:`outside_files`."""
    return _content(path)["metrics"]


def outside_provenance(path: Path) -> dict[str, dict]:
    """The provenance by stage in one of :func:`outside_files`; empty for what no pipeline made."""
    return _content(path).get("provenance", {})


def record_outside(
    study_dir: Path,
    params: Params,
    label: str,
    metrics: Mapping,
    dataset: str = "",
    seed: int | None = None,
    *,
    origin: str = FROM_OUTSIDE,
    provenance: Mapping[str, Mapping] | None = None,
) -> Path:
    """Write the file of one model.

    Args:
        study_dir: ``reports/<study>``.
        params: the study as it was when ``metrics`` were measured.
        label: the row's name, of which the method's name is made.
        metrics: what :func:`vaebench.evaluate` returned.
        dataset: of the study; without it, its first.
        seed: of the study; without it, its first.
        origin: stands in brackets after the label.
        provenance: of a pipeline's cell, by stage.

    Raises:
        UserError: the study has no such data set or seed, or the label has no letters, or those of another
            row, which would be replaced.
    """
    dataset = dataset or params.study.datasets[0]
    seed = params.study.seeds[0] if seed is None else seed
    for kind, value, known in (
        ("data set", dataset, params.study.datasets),
        ("seed", seed, params.study.seeds),
    ):
        if value not in known:
            listed = ", ".join(map(str, known))
            raise UserError(f"the study {params.study.name} has no {kind} {value!r}; it has {listed}.")
    name = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")[:50]
    if not name or "\n" in label:
        raise UserError(f"a row cannot be called {label!r}; use letters, on one line.")
    path = study_dir / OUTSIDE / dataset / f"{PREFIX}{name}" / f"{seed}.json"
    content = {
        "label": label,
        "origin": origin,
        "metrics": dict(metrics),
        "measured_by": _digests(params, dataset),
    }
    for other in sorted(path.parent.glob("*.json")):
        taken = content | mapping_or_empty(other)
        if (taken["label"], taken["origin"]) != (label, origin):
            raise UserError(
                f"{label!r} ({origin}) would replace {taken['label']!r} ({taken['origin']}), which has the "
                f"same letters and digits; choose another label, or delete {other.parent}."
            )
    write_json(path, content | ({"provenance": dict(provenance)} if provenance else {}))
    return path


def _digests(params: Params, dataset: str) -> dict[str, str]:
    return {stage: digest(used) for stage, used in measuring(params, dataset).items()}


def _content(path: Path) -> dict:
    with reading(path, command="vaebench evaluate"):
        content = read_json(path)
        if not (isinstance(content["label"], str) and isinstance(content["metrics"], dict)):
            raise ValueError("the label must be text and the metrics a mapping")
        if not isinstance(content.get("measured_by", {}), dict):
            raise ValueError("measured_by must be a mapping")
    return content
