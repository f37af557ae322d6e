"""A method in words: its point on the axes, the objective that it minimizes, and where it comes from.

What is said of a value on an axis is its class's docstring, so a new one explains itself; the values of the
two papers have their formula spelled out, too.
"""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap

from vaebench.measure.features import distance_key
from vaebench.model.formulas import formula
from vaebench.model.likelihoods import LIKELIHOODS
from vaebench.model.posteriors import POSTERIORS
from vaebench.model.regularizers import REGULARIZERS
from vaebench.study.params import Params, registries, registry

__all__ = ["explain_method", "explain_value"]

_AXES = {"likelihood": LIKELIHOODS, "regularizer": REGULARIZERS, "posterior": POSTERIORS}

_TAKIDA = (
    "Takida, Liao, Lai, Uesaka, Takahashi, Mitsufuji: Preventing Oversmoothing in VAE via Generalized "
    "Variance Parameterization. Neurocomputing, 2022."
)
_SAHA = "Saha, Joshi, Whitaker: Matching Aggregate Posteriors in the Variational Autoencoder. ICPR 2024."
_GHOSH = (
    "Ghosh, Sajjadi, Vergari, Black, Schölkopf: From Variational to Deterministic Autoencoders. ICLR 2020."
)
_SOURCES = {
    "kl": "Kingma, Welling: Auto-Encoding Variational Bayes. ICLR 2014.",
    "beta_tc": "Chen, Li, Grosse, Duvenaud: Isolating Sources of Disentanglement in VAEs. NeurIPS 2018.",
    "factor_tc": "Kim, Mnih: Disentangling by Factorising. ICML 2018.",
    "mmd": "Tolstikhin, Bousquet, Gelly, Schölkopf: Wasserstein Auto-Encoders. ICLR 2018.",
    "adversarial": "Makhzani, Shlens, Jaitly, Goodfellow, Frey: Adversarial Autoencoders. 2016.",
    "rae_l2": _GHOSH,
    "rae_gp": _GHOSH,
    "kde_kl": _SAHA,
    "mol": "Salimans, Karpathy, Chen, Kingma: PixelCNN++. ICLR 2017.",
}


def explain_method(params: Params, method: str) -> str:
    """The explanation of a method of ``params``, as plain text."""
    point = params.methods[method]
    likelihood, regularizer = (formula(axis, getattr(point, axis)) for axis in ("likelihood", "regularizer"))
    blocks = [
        f"{method}: {point.label}",
        "It minimizes, per image, with m = E[x|z] the decoder's mean, r = x - m and d the number of pixels,\n"
        f"\n    {likelihood}\n  + {regularizer}\n\nwith {formula('posterior', point.posterior)}.",
    ]
    for axis, values in _AXES.items():
        spec = getattr(point, axis)
        lines = [f"{axis}: {spec['name']}"]
        for name, option in values.options(spec["name"]).items():
            value = spec.get(name, option.default)
            lines.append(f"    {name} = {value}" + ("" if name in spec else " (default)"))
        about = _about(values.load(spec["name"]))
        blocks.append("\n".join([*lines, *([textwrap.indent(about, "    ")] if about else [])]))
    if point.training:
        changed = ", ".join(f"{k} = {v}" for k, v in point.training.items())
        blocks.append(f"schedule of its own: {changed}")
    if sources := _sources(point.likelihood, point.regularizer):
        blocks.append("source:\n" + "\n".join(f"    {source}" for source in sources))
    return "\n\n".join(blocks)


def explain_value(name: str) -> str:
    """What the axes' values of a name are, with their options, as plain text; empty where there is none."""
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
    if re.match("See the module|.*; see the module", text):
        text = inspect.getdoc(importlib.import_module(cls.__module__)) or ""
    text = re.sub(r":mod:`([\w.]+)`", r"\1", text)
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"\1", text)
    text = re.sub(r"``([^`]+)``(  +)", r"\1    \2", text).replace("``", "")  # columns stay columns
    return text.split("\n\n    >>>")[0].split("\nArgs:")[0].strip()


def _sources(likelihood: dict, regularizer: dict) -> list[str]:
    estimated = likelihood["name"] == "gaussian" and likelihood.get("variance", "fixed") != "fixed"
    found = [_TAKIDA] if estimated else []
    return found + [_SOURCES[s["name"]] for s in (likelihood, regularizer) if s["name"] in _SOURCES]
