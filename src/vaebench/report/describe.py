"""Description of a metric by its path: group, label and better direction.

>>> describe("fid.gmm10")
Description(path='fid.gmm10', group='fid', label='FID GMM-10', better='lower')
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field

from vaebench.base.described import Better, Described
from vaebench.base.errors import UserError
from vaebench.measure.features import (
    FAMILIES,
    FEATURES,
    distance_key,
    family_key,
    feature_network,
    is_distance,
)
from vaebench.measure.features.base import FeatureNetwork
from vaebench.measure.metrics import METRICS
from vaebench.measure.metrics.described import described, place

__all__ = [
    "GROUPS",
    "Description",
    "across_networks",
    "describe",
    "is_measure",
    "sort_key",
    "what_distances_say",
]

_NETWORKS = [name for name in FEATURES.names() if name not in ("none", "inception")]


def _family(family: str, title: str) -> dict[str, str]:
    others = {family_key(family, name): f"{title}, {name.replace('_', ' ')} features" for name in _NETWORKS}
    return {family: title, **others}


GROUPS = {
    "likelihood": "Reconstruction and likelihood",
    "units": "Reconstruction and likelihood in other units",
    "fid": "Fréchet inception distance",
    **{distance_key(name): f"Fréchet distance, {name.replace('_', ' ')} features" for name in _NETWORKS},
    **_family("prd", "Precision and recall"),
    **_family("kid", "Kernel inception distance"),
    **_family("dc", "Density and coverage"),
    "latent": "Latent space",
    "smoothness": "Decoder smoothness",
    "variance": "Estimated variance",
    "disentanglement": "Disentanglement",
    "angles": "Angles between factors' directions, in degrees",
    "other": "Other",
}
"""Groups of metrics in the order in which tables show them."""


@dataclass(frozen=True)
class Description:
    """Description of a metric in tables, figures and the page; ``better`` is empty where neither is."""

    path: str
    group: str
    label: str
    better: Better
    help: str = field(default="", repr=False)


def describe(path: str) -> Description:
    """The description of a metric's dotted path; an unknown one keeps its path as its label."""
    return _describe(path, METRICS.entries(), FEATURES.entries())


@functools.lru_cache(maxsize=4096)
def _describe(path: str, *entries: tuple) -> Description:
    """As :func:`describe`, kept as long as the registries have these ``entries``."""
    alike = across_networks(path)
    own = described(alike)
    head, _, rest = path.partition(".")
    if own is None:
        return Description(path, head if head in GROUPS and rest else "other", path, "")
    if is_distance(head) or own.group == "kid":
        return _distance(path, own)
    group = head if alike != path else own.group
    text = f"{own.help} By other features than the papers'." if alike != path else own.help
    return Description(path, group if group in GROUPS else "other", own.title, own.better, text)


def is_measure(path: str) -> bool:
    """True if a number says something of the model: no standard error over images, no yardstick.

    >>> is_measure("mse"), is_measure("mse_se"), is_measure("mse_mean_image")
    (True, False, False)
    """
    own = described(path)
    return not path.endswith("_se") and (own is None or own.measures)


def sort_key(path: str) -> tuple:
    """Orders metrics as the tables do: by group, then as the metrics name them, then by name."""
    digits = [int(piece) if piece.isdigit() else 0 for piece in re.split(r"(\d+)", path)]
    return list(GROUPS).index(describe(path).group), place(across_networks(path)), digits, path


def across_networks(path: str) -> str:
    """The path that a number of images' features has by Inception, whichever network's they are.

    >>> across_networks("fd_classifier.prior"), across_networks("prd_classifier.recall")
    ('fid.prior', 'prd.recall')
    """
    head, dot, rest = path.partition(".")
    if is_distance(head):
        return f"fid{dot}{rest}"
    family = head.partition("_")[0]
    return f"{family}{dot}{rest}" if family in FAMILIES else path


def what_distances_say(network: str) -> str:
    """Scope in which Fréchet distances by a network compare, in a sentence; empty for FID and for none."""
    used = _network(network)
    if used is None or network in ("none", "inception"):
        return ""
    return f"Distances are of the features of {used.about}: they compare {used.compares} and are not FID."


def _network(name: str) -> type[FeatureNetwork] | None:
    """The feature network of a name; None where the package that has it is not installed."""
    try:
        return FEATURES.load(name)
    except UserError:
        return None


def _distance(path: str, own: Described) -> Description:
    """A distance between sets: the network's label and the kind of images, its words and theirs."""
    key = path.partition(".")[0]
    features = _network(feature_network(key))
    frechet = is_distance(key)
    name, what = ("FID", "Fréchet distance") if frechet else ("KID", "Squared maximum mean discrepancy")
    label = f"{features.label if features else key} {own.label}"
    text = ""
    if features:
        label = label if frechet else label.replace("FID", "KID", 1).replace("FD", "KD", 1)
        label += f" [{features.unit}]" if features.unit else ""
        text = f"{what} between real and generated images in the features of {features.about}"
        text += "" if key == name.lower() else f", which compares {features.compares} and is not {name}"
        text += f": {own.help}." if own.help else "."
    return Description(path, key if key in GROUPS else "other", label, own.better, text)
