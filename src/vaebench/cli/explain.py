"""A method in words: its point on the axes, the objective that it minimizes, and where it comes from.

What is said of a value on an axis is its class's docstring, so a new one explains itself; the values of the
two papers have their formula spelled out, too.
"""

from __future__ import annotations

import importlib
import inspect
import re
import textwrap

from vaebench.model.likelihoods import LIKELIHOODS
from vaebench.model.posteriors import POSTERIORS
from vaebench.model.regularizers import REGULARIZERS
from vaebench.study.params import Params

__all__ = ["explain_method"]

_AXES = {"likelihood": LIKELIHOODS, "regularizer": REGULARIZERS, "posterior": POSTERIORS}

_GAUSSIAN = {
    "iso_i": ("(d/2) ln E_batch[sum r^2]", "one number"),
    "iso_d": ("E[(d/2) ln(sum r^2 + eps)]", "one number an image"),
    "diag_i": ("1/2 sum ln(E_batch[r^2] + eps)", "one number a pixel"),
    "diag_d": ("E[1/2 sum ln(r^2 + eps)]", "one number a pixel and image"),
}

_FORMULAS = {
    "likelihood": {
        "bernoulli": "scale * E[-sum(x ln m + (1 - x) ln(1 - m))]",
        "l2": "scale * E[sum r^2]",
        "mol": "E[-sum ln p(x)], p a mixture of discretized logistics",
    },
    "regularizer": {
        "none": "0",
        "kl": "weight * KL(q(z|x) || N(0, I))",
        "beta_tc": "KL(q(z|x) || N(0, I)) + (weight - 1) * TC(z)",
        "factor_tc": "KL(q(z|x) || N(0, I)) + weight * TC(z), TC by a discriminator",
        "mmd": "weight * MMD^2(q(z), N(0, I))",
        "adversarial": "weight * E[-ln D(z)]",
        "rae_l2": "embedding * 1/2 E[|z|^2] + decoder * |theta|^2",
        "rae_gp": "embedding * 1/2 E[|z|^2] + gradient * E[|dm/dz|^2]",
        "kde_kl": "beta * KL(KDE of q(z) || N(0, I))",
    },
    "posterior": {
        "gaussian": "z ~ N(mu(x), diag sigma^2(x))",
        "shared": "z ~ N(mu(x), sigma_z^2 I)",
        "deterministic": "z = mu(x)",
    },
}

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
    likelihood, regularizer = (_formula(axis, getattr(point, axis)) for axis in ("likelihood", "regularizer"))
    blocks = [
        f"{method}: {point.label}",
        "It minimizes, per image, with m = E[x|z] the decoder's mean, r = x - m and d the number of pixels,\n"
        f"\n    {likelihood}\n  + {regularizer}\n\nwith {_formula('posterior', point.posterior)}.",
    ]
    for axis, registry in _AXES.items():
        spec = getattr(point, axis)
        lines = [f"{axis}: {spec['name']}"]
        for name, option in registry.options(spec["name"]).items():
            value = spec.get(name, option.default)
            lines.append(f"    {name} = {value}" + ("" if name in spec else " (default)"))
        about = _about(registry.load(spec["name"]))
        blocks.append("\n".join([*lines, *([textwrap.indent(about, "    ")] if about else [])]))
    if point.training:
        changed = ", ".join(f"{k} = {v}" for k, v in point.training.items())
        blocks.append(f"schedule of its own: {changed}")
    if sources := _sources(point.likelihood, point.regularizer):
        blocks.append("source:\n" + "\n".join(f"    {source}" for source in sources))
    return "\n\n".join(blocks)


def _formula(axis: str, spec: dict) -> str:
    name = spec["name"]
    if (axis, name) == ("likelihood", "gaussian"):
        shape = spec.get("shape", "iso_i")
        if spec.get("variance", "fixed") == "fixed":
            return "E[sum r^2] / (2 sigma2)"
        if shape in _GAUSSIAN:
            objective, count = _GAUSSIAN[shape]
            trained = f"1/2 E[sum(r^2 / s + ln s)], s the trained variance, {count}"
            return trained if spec["variance"] == "trainable" else objective
    known = _FORMULAS[axis].get(name)
    return known or f"the {axis} {name!r}"


def _about(cls: type) -> str:
    """The first paragraph of the class's docstring, or of its module's where that is where it points."""
    text = inspect.getdoc(cls) or ""
    if text.startswith("See the module"):
        text = inspect.getdoc(importlib.import_module(cls.__module__)) or ""
    text = re.sub(r":mod:`([\w.]+)`", r"\1", text)
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"\1", text)
    text = re.sub(r"``([^`]+)``(  +)", r"\1    \2", text).replace("``", "")  # columns stay columns
    return text.split("\n\n    >>>")[0].split("\nArgs:")[0].strip()


def _sources(likelihood: dict, regularizer: dict) -> list[str]:
    estimated = likelihood["name"] == "gaussian" and likelihood.get("variance", "fixed") != "fixed"
    found = [_TAKIDA] if estimated else []
    return found + [_SOURCES[s["name"]] for s in (likelihood, regularizer) if s["name"] in _SOURCES]
