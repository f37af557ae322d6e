"""``params.yaml``: a study, complete in one file, and its schema.

The file's parts are the pipeline's: ``datasets.<d>.source`` is read by *prepare*,
``datasets.<d>.network``, ``methods.<m>`` and ``training`` by *train*, ``densities.<d>`` by *posthoc*,
``evaluation`` by *reference* and *evaluate*; ``resources`` is what a stage asks for where several run at a
time (see :mod:`vaebench.scaleout`). Every ``{name: …}`` in it is a value on an axis and is
checked against that value's own signature (see :mod:`vaebench.base.registry`).

    >>> params = load_params("studies/quickstart.yaml")
    >>> params.study.name
    'quickstart'
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    field_validator,
)

from vaebench.base.errors import UserError
from vaebench.base.registry import Registry, validate
from vaebench.study.document import compose, parse
from vaebench.study.papers import paper_folder
from vaebench.study.resources import Resources

__all__ = [
    "AXES",
    "Dataset",
    "Evaluation",
    "Method",
    "Name",
    "Params",
    "Plateau",
    "Study",
    "Training",
    "load_params",
    "needing",
    "parse_params",
    "registries",
    "registry",
    "usable",
]

Name = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$"),
]
"""Valid name of a study, data set, method or density: it becomes part of paths and stage names.

It begins with a letter, since ``010`` or ``1e5`` is a number in YAML.
"""

Line = Annotated[str, StringConstraints(pattern=r"^[^\r\n]*$", strip_whitespace=True)]
"""A single line of text, for a table's cell."""

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""A seed that numpy, scikit-learn and torch accept."""

Spec = dict[str, Any]
"""``{name: …, option: …}``: a value on an axis, checked by that axis's registry."""


BESIDE_DENSITIES = ("recon", "interp_mid", "interp_random")
"""Kinds of images that metrics compare beside each density's samples."""

OUTSIDE_PREFIX = "outside_"
"""Begins the names of rows that no method of a study made."""

AXES = ("likelihood", "regularizer", "posterior")
"""Axes on which a method is a point."""

SPECS = ("datasets", "methods", "densities", "evaluation")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Study(_Strict):
    """Cells of the grid that run, and the paper that they are compared with."""

    name: Name
    title: Line = ""
    paper: Name | None = None
    datasets: Annotated[list[Name], Field(min_length=1)]
    methods: Annotated[list[Name], Field(min_length=1)]
    seeds: Annotated[list[Seed], Field(min_length=1)]
    densities: Annotated[list[Name], Field(min_length=1)]

    @field_validator("paper")
    @classmethod
    def _found(cls, key: str | None) -> str | None:
        if key is not None:
            try:
                paper_folder(key)
            except UserError as error:
                raise ValueError(str(error)) from None
        return key

    @field_validator("datasets", "methods", "seeds", "densities")
    @classmethod
    def _no_repetition(cls, values: list) -> list:
        repeated = sorted({v for v in values if values.count(v) > 1})
        if repeated:
            raise ValueError(f"should list each entry once; repeated: {repeated}")
        return values


class Dataset(_Strict):
    """A source of images and the pair of networks that its protocol trains."""

    source: Spec
    network: Spec


class Plateau(_Strict):
    """Learning rate times ``factor`` after ``patience`` epochs without a better validation loss.

    Better is lower by 1e-4. The loss is the objective without a weight that changes over epochs (AVAE's β).
    """

    factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    patience: PositiveInt = 5


class Training(_Strict):
    """The schedule, common to all methods; ``methods.<m>.training`` overrides single keys of it."""

    epochs: PositiveInt
    batch_size: Annotated[int, Field(ge=2)] = 64
    learning_rate: PositiveFloat = 1e-3
    plateau: Plateau | None = None
    early_stopping: PositiveInt | None = None
    precision: Literal["auto", "bf16", "fp32"] = "fp32"
    compile: Literal["auto", "always", "never"] = "auto"
    checkpoint_seconds: PositiveFloat = 60.0


class Method(_Strict):
    """A point on the axes: objective = likelihood + regularizer, with a posterior."""

    label: Line
    likelihood: Spec
    regularizer: Spec = {"name": "none"}
    posterior: Spec = {"name": "gaussian"}
    training: dict[str, Any] = {}


class Evaluation(_Strict):
    """Settings of the measurements."""

    features: Spec
    samples: Annotated[int, Field(ge=2)] = 10_000
    batch_size: PositiveInt = 500
    metrics: Annotated[list[Spec], Field(min_length=1)]

    @field_validator("features", mode="before")
    @classmethod
    def _named(cls, features: object) -> object:
        return {"name": features} if isinstance(features, str) else features

    @field_validator("metrics")
    @classmethod
    def _each_once(cls, metrics: list[Spec]) -> list[Spec]:
        names = [metric["name"] for metric in metrics if isinstance(metric.get("name"), str)]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(
                f"should name each metric once, since two would write the same keys; repeated: {repeated}"
            )
        return metrics


class Params(_Strict):
    """The whole of ``params.yaml``."""

    study: Study
    datasets: dict[Name, Dataset]
    methods: dict[Name, Method]
    densities: dict[Name, Spec]
    training: Training
    evaluation: Evaluation
    resources: Resources = Resources()

    def check_defined(self, **names: str) -> None:
        """Refuse a ``dataset``, ``method`` or ``density`` that this study does not define."""
        for kind, name in names.items():
            section = "densities" if kind == "density" else f"{kind}s"
            if name not in getattr(self, section):
                defined = ", ".join(getattr(self, section))
                raise UserError(f"{section} in params.yaml does not define {name!r}; defined are: {defined}.")

    def axes(self, dataset: str, method: str) -> dict[str, Spec]:
        """Values on the axes that make ``method``'s model on ``dataset``, its network among them."""
        point = self.methods[method]
        return {"network": self.datasets[dataset].network, **{axis: getattr(point, axis) for axis in AXES}}

    def training_of(self, method: str) -> Training:
        """The schedule of ``method``: the common one with its own keys on top."""
        own = self.methods[method].training
        return validate(Training, {**self.training.model_dump(), **own}, f"methods.{method}.training")


_REGISTRIES = {
    "source": "vaebench.data:SOURCES",
    "network": "vaebench.model.nets:NETWORKS",
    "likelihood": "vaebench.model.likelihoods:LIKELIHOODS",
    "regularizer": "vaebench.model.regularizers:REGULARIZERS",
    "posterior": "vaebench.model.posteriors:POSTERIORS",
    "density": "vaebench.densities:DENSITIES",
    "features": "vaebench.measure.features:FEATURES",
    "metric": "vaebench.measure.metrics:METRICS",
}


def load_params(path: str | Path = "params.yaml", specs: tuple[str, ...] = SPECS) -> Params:
    """Read and check a study.

    Args:
        path: the file.
        specs: the parts whose ``{name: …}`` entries are also checked against their signatures; those
            of ``datasets`` and ``methods`` import torch, which a stage without them need not.

    Raises:
        UserError: naming the file, the key's path, what is wrong, and what is allowed.
    """
    path = Path(path)
    content = parse(compose(path), path)
    try:
        params = parse_params(content, specs)
        if path.parent.name == "studies" and params.study.name != path.stem:
            raise UserError(
                f"study.name is {params.study.name!r}, under which its results would replace those of "
                f"another file's study; a study is named by its file: write {path.stem}, or rename the file."
            )
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    return params


def parse_params(content: Any, specs: tuple[str, ...] = SPECS) -> Params:
    """Check the content of a params file; see :func:`load_params`."""
    if not isinstance(content, dict):
        raise UserError(f"the file must be a mapping with the keys {', '.join(Params.model_fields)}.")
    params = _with_unique_labels(validate(Params, content))
    _check_references(params)
    _check_reserved(params)
    for section in specs:
        _CHECKS[section](params)
    return params


def _with_unique_labels(params: Params) -> Params:
    """The key added to the labels of methods that share one: a table or a curve would show only the last."""
    methods = dict(params.methods)
    while shared := _shared_labels(methods):
        for key in shared:
            label = f"{methods[key].label} ({key})".strip()
            methods[key] = methods[key].model_copy(update={"label": label})
    return params.model_copy(update={"methods": methods})


def _shared_labels(methods: Mapping[str, Method]) -> list[str]:
    """The methods whose label is empty or another's, too."""
    count = Counter(method.label for method in methods.values())
    return [key for key, method in methods.items() if not method.label or count[method.label] > 1]


def _check_references(params: Params) -> None:
    for section in ("datasets", "methods", "densities"):
        defined = getattr(params, section)
        for name in getattr(params.study, section):
            if name not in defined:
                raise UserError(
                    f"study.{section} lists {name!r}, which {section} does not define; "
                    f"defined are: {', '.join(defined)}."
                )


def _check_reserved(params: Params) -> None:
    """Refuse names under which something else is recorded, whose numbers would be taken for these."""
    for name, density in params.densities.items():
        if name in BESIDE_DENSITIES or name.endswith("_se"):
            raise UserError(
                f"densities.{name}: metrics record as {', '.join(BESIDE_DENSITIES)} other images than a "
                "density's, and as …_se standard errors; choose another name."
            )
        if name == "prior" and density.get("name") != "prior":
            raise UserError(
                f"densities.prior is {density.get('name')!r}, whose numbers would stand beside those of the "
                "papers' priors; choose another name."
            )
    for name in params.methods:
        if name.startswith(OUTSIDE_PREFIX):
            raise UserError(
                f"methods.{name}: {OUTSIDE_PREFIX}… are rows of `vaebench evaluate`; choose another name."
            )


def _check_value(kind: str, spec: Spec, where: str) -> None:
    with usable(kind, spec, where):
        registry(kind).check(spec, where)


@contextmanager
def usable(kind: str, spec: Mapping, where: str) -> Iterator[None]:
    """Name the value on an axis whose code fails in this block: a plug-in's may do anything.

    Raises:
        UserError: in place of what it raised.
    """
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"{where}: the code of {kind} {spec.get('name')!r} fails ({reason}); repair it, or uninstall the "
            "package that brings it."
        ) from error


def _check_datasets(params: Params) -> None:
    for name, dataset in params.datasets.items():
        _check_value("source", dataset.source, f"datasets.{name}.source")
        _check_value("network", dataset.network, f"datasets.{name}.network")


def _check_methods(params: Params) -> None:
    for name, method in params.methods.items():
        for axis in AXES:
            _check_value(axis, getattr(method, axis), f"methods.{name}.{axis}")
        params.training_of(name)


def _check_densities(params: Params) -> None:
    for name, density in params.densities.items():
        _check_value("density", density, f"densities.{name}")


def _check_evaluation(params: Params) -> None:
    _check_value("features", params.evaluation.features, "evaluation.features")
    for index, metric in enumerate(params.evaluation.metrics):
        where = f"evaluation.metrics.{index}"
        _check_value("metric", metric, where)
        if params.evaluation.features["name"] == "none" and needing("features", [metric]):
            networks = [name for name in registry("features").names() if name != "none"]
            raise UserError(
                f"{where}: {metric['name']} compares images by features, and evaluation.features is none; "
                f"set that to one of {', '.join(networks)}, or leave the metric out."
            )


_CHECKS = {
    "datasets": _check_datasets,
    "methods": _check_methods,
    "densities": _check_densities,
    "evaluation": _check_evaluation,
}


def needing(what: str, metrics: Sequence[Mapping]) -> list[str]:
    """Names of those of ``metrics`` (specs) that need ``what``, "features" or "likelihood".

    They say so by an attribute, ``needs_features = True``; see :mod:`vaebench.measure.metrics`.
    """
    names = sorted({metric["name"] for metric in metrics})
    return [name for name in names if getattr(registry("metric").load(name), f"needs_{what}", False)]


def registry(kind: str) -> Registry:
    """The registry of a kind of axis value, "likelihood" or "source" say."""
    module, _, attribute = _REGISTRIES[kind].partition(":")
    return getattr(importlib.import_module(module), attribute)


def registries() -> tuple[str, ...]:
    """The kinds of axis values."""
    return tuple(_REGISTRIES)
