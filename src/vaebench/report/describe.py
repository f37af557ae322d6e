"""Description of a metric by its path: group, label and better direction.

>>> describe("fid.gmm10")
Description(path='fid.gmm10', group='fid', label='FID GMM-10', better='lower')
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from vaebench.base.described import Better
from vaebench.base.errors import UserError
from vaebench.measure.features import FEATURES, distance_key, family_key, feature_network, is_distance
from vaebench.measure.features.base import FeatureNetwork
from vaebench.measure.metrics.described import described

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

GROUPS = {
    "likelihood": "Reconstruction and likelihood",
    "units": "Reconstruction and likelihood in other units",
    "fid": "Fréchet inception distance",
    **{distance_key(name): f"Fréchet distance, {name.replace('_', ' ')} features" for name in _NETWORKS},
    "prd": "Precision and recall",
    **{
        family_key("prd", name): f"Precision and recall, {name.replace('_', ' ')} features"
        for name in _NETWORKS
    },
    "latent": "Latent space",
    "smoothness": "Decoder smoothness",
    "variance": "Estimated variance",
    "disentanglement": "Disentanglement",
    "angles": "Angles between factors' directions, in degrees",
    "other": "Other",
}
"""Groups of metrics in the order in which tables show them."""

_LABELS = {
    "mse": "MSE",
    "mse_sampled": "MSE, z sampled",
    "kl": "KL",
    "nll": "NLL",
    "nll_discrete": "NLL, discrete p(x|z)",
    "sigma2": "σ̂²",
    "latent.kl": "KL(q(z)‖p(z))",
    "latent.kl_corrected": "KL(q(z)‖own prior)",
    "latent.variance_least": "least variance of an axis",
    "latent.variance_largest": "largest variance of an axis",
    "latent.variance_mean": "mean variance of an axis",
    "latent.axes_collapsed": "axes below 0.05",
    "latent.entropy": "entropy",
    "latent.entropy_normal": "entropy of N(0, I)",
    "latent.entropy_capped": "entropy, capped",
    "latent.entropy_normal_capped": "entropy of N(0, I), capped",
    "prd.precision": "precision",
    "prd.recall": "recall",
    "smoothness.gap_1e-2": "gap(1e-2)",
    "smoothness.gap_1e-3": "gap(1e-3)",
    "smoothness.els": "ELS",
    "smoothness.mi_bound": "MI bound",
    "smoothness.mi_lower": "MI, lower bound",
    "smoothness.sigma_z2": "σz²",
    "variance.overall": "σ̂² overall",
    "disentanglement.factor_vae": "FactorVAE",
    "disentanglement.mig": "MIG",
    "disentanglement.pca_factor_vae": "PCA FactorVAE",
    "disentanglement.pca_mig": "PCA MIG",
}

_UNITS = {
    "mse_pixel": "MSE per pixel",
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "bits_per_dim": "bits per dimension",
    "active_units": "active units",
    "nll_images": "images of the NLL",
    "nll_discrete_images": "images of the NLL",
}

_HELP = {
    "mse": "Squared error of the reconstruction from the posterior mean: a sum over the image's pixels, not "
    "their average, and a mean over the test images.",
    "mse_sampled": "Squared error with z drawn from q(z|x), summed over the image's pixels.",
    "mse_pixel": "Squared error per pixel and channel.",
    "psnr": "Peak signal-to-noise ratio of the reconstruction in decibels.",
    "ssim": "Structural similarity of reconstruction and image, 1 where they are equal.",
    "kl": "KL(q(z|x) ‖ p(z)) in nats per image: what an encoding says of its image. Near 0 the posterior has "
    "collapsed.",
    "nll": "−ln p(x) in nats per image by importance sampling. Of a density, so it can be negative, and "
    "a small variance can lead in it with bad pictures.",
    "nll_discrete": "−ln p(x) in nats per image of a decoder over discrete values; NLL is of a density.",
    "bits_per_dim": "−ln p(x) in bits per pixel and channel.",
    "active_units": "Latent dimensions whose posterior mean varies over the images by more than 0.01.",
    "latent.kl": "Of the Gaussian fitted to all encodings to N(0, I), in nats.",
    "latent.kl_corrected": "Of the Gaussian fitted to all encodings to the method's own prior, in nats.",
    "latent.entropy": "Of the whitened encodings: lower than a normal sample's where they are not Gaussian.",
    "latent.entropy_capped": "Of the whitened encodings, with the authors' constant, which bounds it.",
    "prd.precision": "Share of the samples that lie among the real images.",
    "prd.recall": "Share of the real images that lie among the samples.",
    "smoothness.els": "Expected local smoothness: how fast the decoder's output moves with z. 0 ignores z.",
    "smoothness.gap_1e-2": "Change of the decoder's output under noise of variance 1e-2 in z.",
    "smoothness.gap_1e-3": "Change of the decoder's output under noise of variance 1e-3 in z.",
    "smoothness.mi_bound": "Upper bound of the mutual information of z and x in nats, the paper's (D.1).",
    "smoothness.mi_lower": "Lower bound of the mutual information of z and x in nats, InfoNCE.",
    "smoothness.sigma_z2": "Mean variance of the posterior.",
    "disentanglement.factor_vae": "FactorVAE's score: how well one axis tells which factor was held fixed.",
    "disentanglement.mig": "Mutual information gap between the two axes that know most of a factor.",
    "disentanglement.pca_factor_vae": "FactorVAE's score on directions instead of axes.",
    "disentanglement.pca_mig": "Mutual information gap on directions instead of axes.",
}

_FAMILY_HELP = {
    "variance": "The estimated variance of the decoder",
}

_SAMPLED_FROM = {
    "recon": "of reconstructions of the test images",
    "interp_mid": "of decoded midpoints between two encodings",
    "interp_random": "of decoded random points between two encodings",
    "prior": "of samples from the method's own prior",
    "gaussian": "of samples from one Gaussian fitted to the encodings",
    "second_stage": "of samples from a second VAE on the encodings",
    "vae2": "of samples from a second VAE on the encodings",
}

_YARDSTICKS = ("mse_mean_image", "nll_images", "nll_discrete_images")

_FEATURES = {
    "recon": "recons.",
    "interp_mid": "interp. mid",
    "interp_random": "interp. random",
    "prior": "prior",
    "gaussian": "Gaussian",
    "second_stage": "2nd VAE",
    "vae2": "2nd VAE",
}

_BETTER: dict[str, Better] = {
    "mse": "lower",
    "mse_sampled": "lower",
    "nll": "lower",
    "nll_discrete": "lower",
    "mse_pixel": "lower",
    "psnr": "higher",
    "ssim": "higher",
    "bits_per_dim": "lower",
    "fid": "lower",
    "latent.kl": "lower",
    "latent.kl_corrected": "lower",
    "latent.entropy": "higher",
    "latent.entropy_capped": "higher",
    "prd": "higher",
    "disentanglement": "higher",
}

_ANGLES = "disentanglement.angles."

_ORDER = [
    *_LABELS,
    *_UNITS,
    *(f"fid.{name}" for name in _FEATURES),
    *(f"variance.{partition}" for partition in ("SU", "SL", "BU", "BL")),
]


@dataclass(frozen=True)
class Description:
    """Description of a metric in tables, figures and the page; ``better`` is empty where neither is."""

    path: str
    group: str
    label: str
    better: Better
    own_help: str = field(default="", repr=False)

    @property
    def help(self) -> str:
        """What the metric is, in a sentence; empty where only its author knows."""
        if self.own_help or self.path in _HELP:
            return self.own_help or _HELP[self.path]
        if (alike := across_networks(self.path)) in _HELP:
            return f"{_HELP[alike]} By other features than the papers'."
        head, _, what = self.path.partition(".")
        sampled = _SAMPLED_FROM.get(what) or (
            "of samples from a fitted Gaussian mixture" if "gmm" in what else ""
        )
        family = _distance_help(head) if is_distance(head) else _FAMILY_HELP.get(head, "")
        return f"{family}: {sampled}." if family and sampled else f"{family}." if family else ""


def describe(path: str) -> Description:
    """The description of a metric's dotted path; an unknown one keeps its path as its label."""
    if path.startswith(_ANGLES):
        return Description(path, "angles", path.removeprefix(_ANGLES), "")
    if path in _UNITS:
        return Description(path, "units", _UNITS[path], _BETTER.get(path, ""))
    head, _, rest = path.partition(".")
    group = head if head in GROUPS and rest else "likelihood" if path in _LABELS else "other"
    alike = across_networks(path).partition(".")[0]
    better = _BETTER.get(path, _BETTER.get(alike, "") if head != "latent" else "")
    label = _label(path, head, rest)
    if label == path and is_measure(path) and (own := described(path)):
        label = f"{own.label} [{own.unit}]" if own.unit else own.label
        return Description(path, own.group if own.group in GROUPS else "other", label, own.better, own.help)
    return Description(path, group, label, better)


def is_measure(path: str) -> bool:
    """Whether a number says something of the model: not a standard error over images, nor a yardstick.

    >>> is_measure("mse"), is_measure("mse_se"), is_measure("mse_mean_image")
    (True, False, False)
    """
    return path not in _YARDSTICKS and not path.endswith("_se")


def sort_key(path: str) -> tuple:
    """Orders metrics as the tables do: by group, then as listed here, then by name."""
    alike = across_networks(path)
    known = _ORDER.index(alike) if alike in _ORDER else len(_ORDER)
    digits = [int(part) if part.isdigit() else 0 for part in re.split(r"(\d+)", path)]
    return list(GROUPS).index(describe(path).group), known, digits, path


def across_networks(path: str) -> str:
    """The path that a number of images' features has by Inception, whichever network's they are.

    >>> across_networks("fd_classifier.prior"), across_networks("prd_classifier.recall")
    ('fid.prior', 'prd.recall')
    """
    head, dot, rest = path.partition(".")
    if is_distance(head):
        return f"fid{dot}{rest}"
    family, _, network = head.partition("_")
    return f"{family}{dot}{rest}" if family == "prd" and network else path


def what_distances_say(network: str) -> str:
    """How far Fréchet distances by a network compare, in a sentence; empty for FID and for none."""
    found = _network(network)
    if found is None or network in ("none", "inception"):
        return ""
    return f"Distances are of the features of {found.about}: they compare {found.compares} and are not FID."


def _network(name: str) -> type[FeatureNetwork] | None:
    """The feature network of a name; None where the package that has it is not installed."""
    try:
        return FEATURES.load(name)
    except UserError:
        return None


def _distance_help(key: str) -> str:
    found = _network(feature_network(key))
    if found is None:
        return ""
    compared = "" if key == "fid" else f", which compares {found.compares} and is not FID"
    return f"Fréchet distance between real and generated images in the features of {found.about}{compared}"


def _label(path: str, head: str, rest: str) -> str:
    if (alike := across_networks(path)) in _LABELS:
        return _LABELS[alike]
    if is_distance(head) and rest:
        name = _FEATURES.get(rest) or re.sub(r"^gmm_?(\d+)$", r"GMM-\1", rest)
        found = _network(feature_network(head))
        return f"{found.label if found else head} {name}" + (
            f" [{found.unit}]" if found and found.unit else ""
        )
    if head == "variance" and rest:
        return f"σ̂² {rest}"
    return path
