"""A method in words: its point on the axes, the objective that it minimizes, and where it comes from.

All of it is what the classes say of themselves: docstring, ``formula`` and ``citation``.
"""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap

from vaebench.measure.features import distance_key
from vaebench.study.params import AXES, Params, registries, registry

__all__ = ["explain_method", "explain_value"]


def explain_method(params: Params, method: str) -> str:
    """The explanation of a method of ``params``, as plain text."""
    point = params.methods[method]
    likelihood, regularizer, posterior = (registry(axis).formula(getattr(point, axis)) for axis in AXES)
    blocks = [
        f"{method}: {point.label}",
        "It minimizes, per image, with m = E[x|z] the decoder's mean, r = x - m and d the number of pixels,\n"
        f"\n    {likelihood}\n  + {regularizer}\n\nwith {posterior}.",
    ]
    for axis in AXES:
        values, spec = registry(axis), getattr(point, axis)
        lines = [f"{axis}: {spec['name']}"]
        for name, option in values.options(spec["name"]).items():
            value = spec.get(name, option.default)
            lines.append(f"    {name} = {value}" + ("" if name in spec else " (default)"))
        about = _about(values.load(spec["name"]))
        blocks.append("\n".join([*lines, *([textwrap.indent(about, "    ")] if about else [])]))
    if point.training:
        changed = ", ".join(f"{k} = {v}" for k, v in point.training.items())
        blocks.append(f"schedule of its own: {changed}")
    citations = [registry(axis).words(getattr(point, axis), "citation") for axis in AXES]
    if any(citations):
        blocks.append("source:\n" + "\n".join(f"    {citation}" for citation in citations if citation))
    return "\n\n".join(blocks)


def explain_value(name: str) -> str:
    """Description of the axes' values of a name with their options, as text; empty where there is none."""
    blocks = []
    for axis in registries():
        values = registry(axis)
        if name not in values.names():
            continue
        value = values.load(name)
        lines = [f"{axis}: {name}"]
        for option, found in values.options(name).items():
            default = "needed" if found.default is found.empty else f"{found.default} by default"
            lines.append(f"    {option}: {default}")
        if compares := getattr(value, "compares", ""):
            lines.append(f"    a distance by it is {distance_key(name)} and compares {compares}")
        blocks.append("\n".join([*lines, textwrap.indent(_about(value), "    ")]))
    return "\n\n".join(blocks)


def _about(cls: type) -> str:
    """The first paragraph of the class's docstring, or of its module's where that is where it points."""
    text = inspect.getdoc(cls) or ""
    if re.match(".*; see the module", text):
        text = inspect.getdoc(importlib.import_module(cls.__module__)) or ""
    text = re.sub(r":mod:`([\w.]+)`", r"\1", text)
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"\1", text)
    text = re.sub(r"``([^`]+)``(  +)", r"\1    \2", text).replace("``", "")  # columns stay columns
    return text.split("\n\n    >>>")[0].split("\nArgs:")[0].strip()
