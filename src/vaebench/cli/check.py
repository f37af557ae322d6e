"""A contribution to an axis found by its address, and checked."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import ModuleType
from typing import Any

import yaml

from vaebench.base.errors import UserError
from vaebench.cli.address import imported
from vaebench.cli.conformance import AXES, check_value
from vaebench.measure.features.base import FeatureNetwork
from vaebench.model.likelihoods.base import Likelihood
from vaebench.model.posteriors.base import Posterior
from vaebench.model.regularizers.base import Regularizer
from vaebench.study.params import registry

__all__ = ["check", "parse_options"]

_BASES = {
    "likelihood": Likelihood,
    "regularizer": Regularizer,
    "posterior": Posterior,
    "features": FeatureNetwork,
}


def check(address: str, options: Mapping[str, Any], say: Callable[[str], None]) -> bool:
    """Check the value or values that ``address`` names, one line per check.

    Args:
        address: a registered name, ``module:object``, or a module, of which every axis value is checked.
        options: of the value.
        say: called with each line.

    Returns:
        True if no check failed.

    Raises:
        UserError: nothing is found there, or an option is unknown.
    """
    passed = True
    with ExitStack() as stack:
        for axis, name in list(_found(address, stack)):
            say(f"{axis} {name}")
            for finding in check_value(axis, name, options):
                say(f"  {finding.check:<10} {finding.status}: {finding.detail}")
                passed &= finding.status != "fails"
    return passed


def parse_options(texts: Sequence[str]) -> dict[str, Any]:
    """``["weight=2", "hidden=[8, 8]"]`` as a mapping, the values read as YAML.

    >>> parse_options(["weight=2", "hidden=[8, 8]"])
    {'weight': 2, 'hidden': [8, 8]}
    """
    options = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"{text!r} is no option; write name=value.")
        options[name] = yaml.safe_load(value)
    return options


def _found(address: str, stack: ExitStack) -> Iterator[tuple[str, str]]:
    """Axes and names of what is checked, registered for as long as ``stack`` is open."""
    axes = [axis for axis in AXES if address in registry(axis).names()]
    if axes:
        yield from ((axis, address) for axis in axes)
        return
    values = list(_values(address))
    if not values:
        raise UserError(
            f"{address} holds no axis value. It may be a name in a registry, module:object, or a module with "
            "a subclass of Likelihood, Regularizer, Posterior or FeatureNetwork, a network (encoder, "
            "decoder), a density (fit, sample) or a metric (a function of a run)."
        )
    for axis, value in values:
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", value.__name__).lower()
        values_of_axis = registry(axis)
        names = values_of_axis.names()
        if name in names and values_of_axis.load(name) is not value:
            name = f"{name}_{len(names)}"
        if name not in names:
            stack.enter_context(values_of_axis.adding(name, value))
        yield axis, name


def _values(address: str) -> Iterator[tuple[str, Any]]:
    try:
        found = imported(address)
    except UserError as error:
        raise UserError(f"{address} is no name in a registry, and {error}") from None
    if not isinstance(found, ModuleType):
        if axis := _axis(found):
            yield axis, found
        return
    for name, value in vars(found).items():
        own = getattr(value, "__module__", "") == found.__name__ and not name.startswith("_")
        if own and (axis := _axis(value)):
            yield axis, value


def _axis(value: object) -> str | None:
    if inspect.isfunction(value):
        return "metric" if next(iter(inspect.signature(value).parameters), "") == "run" else None
    if not inspect.isclass(value):
        return None
    for axis, base in _BASES.items():
        if issubclass(value, base) and value is not base:
            return axis
    if hasattr(value, "encoder") and hasattr(value, "decoder"):
        return "network"
    return "density" if hasattr(value, "fit") and hasattr(value, "sample") else None
