"""Inputs of each stage of each cell: its parameters, checked, and the code that it runs.

The *resolve* stage writes one file per stage and cell; ``dvc.yaml`` names these files as dependencies, and
DVC runs a stage again when its file changes. A stage takes its parameters from what *resolve* wrote, so that
what DVC records is what the stage read, whatever happens to ``params.yaml`` while it runs.

| file under ``data/resolved/<study>/`` | for |
| --- | --- |
| ``study.json`` | the whole study, for all stages; no stage depends on it |
| ``<dataset>/prepare.json``, ``<dataset>/reference.json`` | one data set |
| ``<dataset>/<method>/train.json``, ``<dataset>/<method>/evaluate.json`` | one method, all seeds |
| ``posthoc/<density>.json`` | one density |
| ``tabulate.json`` | the report |

What is only shown (a method's ``label``) is in ``tabulate.json`` alone; what changes no result
(``training.checkpoint_seconds``, ``resources``) is in ``study.json`` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vaebench.base.errors import UserError
from vaebench.base.files import file_digest, read_json
from vaebench.base.reading import reading
from vaebench.study.code import code_of
from vaebench.study.papers import paper_folder
from vaebench.study.params import AXES, Params, parse_params, registry, usable
from vaebench.study.paths import resolved_dir

__all__ = ["changes", "inputs", "inputs_json", "listed", "parameters", "read_study", "resolve"]

MOST_NAMED = 5
"""Parameters and modules that a message names."""


def inputs_json(
    stage: str, study: str, dataset: str = "", method: str = "", seed: int = 0, density: str = ""
) -> Path:
    """The file with the inputs of a stage of a cell, the same for all seeds."""
    parts = {
        "prepare": (dataset,),
        "reference": (dataset,),
        "train": (dataset, method),
        "evaluate": (dataset, method),
        "posthoc": ("posthoc",),
        "tabulate": (),
    }[stage]
    return resolved_dir(study).joinpath(*parts, f"{density if stage == 'posthoc' else stage}.json")


def resolve(params: Params) -> dict[Path, dict]:
    """The content of all files of a study.

    Raises:
        UserError: an axis has no value of a name, or a module cannot be found or parsed.
    """
    study = params.study
    files = {resolved_dir(study.name) / "study.json": params.model_dump(mode="json")}

    def add(stage: str, **cell: Any) -> None:
        files[inputs_json(stage, study.name, **cell)] = inputs(params, stage, **cell)

    for dataset in study.datasets:
        add("prepare", dataset=dataset)
        add("reference", dataset=dataset)
        for method in study.methods:
            add("train", dataset=dataset, method=method)
            add("evaluate", dataset=dataset, method=method)
    for density in study.densities:
        add("posthoc", density=density)
    add("tabulate")
    return files


def inputs(params: Params, stage: str, dataset: str = "", method: str = "", density: str = "", **_) -> dict:
    """Inputs of one stage of one cell.

    Returns:
        ``parameters``, those that its result depends on, and ``code``, a digest per module and the
        address of each value.
    """
    used, values = _STAGES[stage](params, dataset, method, density)
    addresses = {f"{kind} {spec.get('name')}": _address(kind, spec) for kind, spec in values}
    modules = [address.partition(":")[0] for address in addresses.values()]
    code = addresses | code_of([f"stages.{stage}", *modules], words=stage == "tabulate")
    if stage == "tabulate" and params.study.paper is not None:
        code |= _paper_files(params.study.paper)
    return {"parameters": used, "code": code}


def _address(kind: str, spec: Mapping) -> str:
    """``module:object`` of what implements a value of ``params.yaml``."""
    known, name = registry(kind).names(), spec.get("name")
    if name not in known:
        raise UserError(
            f"params.yaml: {kind} {name!r} is unknown; there are: {', '.join(known)}. Correct the name, or "
            "install the package that adds it."
        )
    return registry(kind).address(name)


def _paper_files(key: str) -> dict[str, str]:
    """A digest per file of a paper's folder."""
    folder = paper_folder(key)
    return {
        f"papers/{key}/{path.relative_to(folder).as_posix()}": file_digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }


def parameters(
    params: Params, stage: str, dataset: str = "", method: str = "", density: str = "", **_
) -> dict:
    """The parameters that the result of one stage of one cell depends on."""
    return _STAGES[stage](params, dataset, method, density)[0]


def read_study(study: str) -> Params:
    """The study as *resolve* wrote it, which had checked it.

    Raises:
        UserError: the file is missing or damaged.
    """
    path = resolved_dir(study) / "study.json"
    with reading(path, "resolve"):
        return parse_params(read_json(path), specs=())


def listed(names: Sequence[str]) -> str:
    """The first few of ``names``, and how many more there are."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def changes(before: Mapping, after: Mapping) -> list[str]:
    """Differences between two results of :func:`inputs`: parameters by their path, and modules."""
    old, new = (dict(_flat(content.get("parameters", {}))) for content in (before, after))
    parameters = [
        f"{name} {old.get(name, 'unset')} → {new.get(name, 'unset')}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    old, new = before.get("code", {}), after.get("code", {})
    modules = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    return parameters + modules


def _flat(content: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    else:
        yield path, content


Values = Iterable[tuple[str, Mapping]]
"""Kinds of axis values, each one of :func:`~vaebench.study.params.registries`, and their specs."""


def _prepare(params: Params, dataset: str, *_) -> tuple[dict, Values]:
    source = params.datasets[dataset].source
    return {"source": source}, [("source", source)]


def _reference(params: Params, *_) -> tuple[dict, Values]:
    features = params.evaluation.features
    return {"features": features}, [("features", features)]


def _train(params: Params, dataset: str, method: str, *_) -> tuple[dict, Values]:
    axes = params.axes(dataset, method)
    training = params.training_of(method).model_dump(mode="json", exclude={"checkpoint_seconds"})
    return {**axes, "training": training}, axes.items()


def _posthoc(params: Params, dataset: str, method: str, density: str) -> tuple[dict, Values]:
    spec = params.densities[density]
    return {"density": spec}, [("density", spec)]


def _evaluate(params: Params, dataset: str, method: str, *_) -> tuple[dict, Values]:
    densities = {name: params.densities[name] for name in params.study.densities}
    evaluation = params.evaluation.model_dump(mode="json")
    values = [
        *params.axes(dataset, method).items(),
        *(("density", spec) for spec in densities.values()),
        ("features", evaluation["features"]),
        *(("metric", spec) for spec in evaluation["metrics"]),
    ]
    return {"densities": densities, "evaluation": evaluation}, values


def _formula(axis: str, spec: Mapping, where: str) -> str:
    with usable(axis, spec, where):
        return registry(axis).formula(spec)


def _tabulate(params: Params, *_) -> tuple[dict, Values]:
    shown = params.model_dump(mode="json", exclude={"resources": True, "training": {"checkpoint_seconds"}})
    formulas = {
        name: {axis: _formula(axis, getattr(method, axis), f"methods.{name}.{axis}") for axis in AXES}
        for name, method in params.methods.items()
    }
    metrics = [("metric", {"name": name}) for name in registry("metric").names()]  # tables ask all of them
    features = [("features", params.evaluation.features), ("features", {"name": "inception"})]  # papers' FID
    # Verdicts ask the sources how many images they have.
    sources = [("source", params.datasets[dataset].source) for dataset in params.study.datasets]
    return shown | {"formulas": formulas}, [*metrics, *features, *sources]


_STAGES = {
    "prepare": _prepare,
    "reference": _reference,
    "train": _train,
    "posthoc": _posthoc,
    "evaluate": _evaluate,
    "tabulate": _tabulate,
}
