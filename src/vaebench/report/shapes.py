"""The papers' tables: which numbers of a study stand where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vaebench.report.describe import describe
from vaebench.report.papers import split_sweep

__all__ = ["SHAPES", "Shape", "by_method", "dataset_and_metric"]


@dataclass(frozen=True)
class Shape:
    """How one table is laid out; ``row`` and ``column`` take a row of the summary.

    ``one_mse``: of a method's two errors only that of z ~ q(z|x), where there is one (Takida et al.'s x′).
    """

    name: str
    title: str
    paper: str | None
    metrics: Callable[[str], bool]
    row: Callable
    column: Callable
    corner: str = "Method"
    where: Callable = lambda r: True
    ranked: str = "column"
    one_mse: bool = False
    note: str = ""


def by_method(r) -> str:
    """A row of the table for each method."""
    return r.label


def dataset_and_metric(r) -> tuple[str, str]:
    """A column for each metric, grouped by data set."""
    return r.dataset, describe(r.metric).label


def _starts(*prefixes: str) -> Callable[[str], bool]:
    return lambda metric: metric.startswith(prefixes)


def _among(*metrics: str) -> Callable[[str], bool]:
    return lambda metric: metric in metrics


def _level(method: str) -> str:
    sweep = split_sweep(method)
    return f"{sweep[1]:.1f}" if sweep else method


def _kind(method: str) -> str:
    sweep = split_sweep(method)
    return sweep[0] if sweep else ""


def _criterion(r) -> str:
    return "MSE" if r.metric == "mse_sampled" else describe(r.metric).label


def _dataset_and_criterion(r) -> tuple[str, str]:
    return r.dataset, _criterion(r)


_SAMPLED = "MSE is of x′ decoded from z ~ q(z|x), with deterministic encoding from z = μ(x)"
_ON_TRAINING = f"The paper's MSE and KL here are on training images. {_SAMPLED}"
_SMOOTHNESS = _among(
    "mse",
    "mse_sampled",
    "kl",
    *(f"smoothness.{name}" for name in ("sigma_z2", "mi_bound", "gap_1e-2", "gap_1e-3", "els")),
)
_GENERATION = _among("mse", "mse_sampled", "fid.prior", "fid.second_stage", "fid.gmm10", "fid.gmm100")

_SAHA_FID = {"fid.recon": "REC.", "fid.interp_mid": "INT.", "fid.prior": "N", "fid.gaussian": "N"}

SHAPES = [
    Shape(
        "takida2022_table1",
        "Takida, Table 1: criteria against the decoder's variance",
        "takida2022",
        _SMOOTHNESS,
        row=lambda r: _level(r.method),
        column=lambda r: (f"{_kind(r.method)} encoding", _criterion(r)),
        corner="log₁₀ σx²",
        where=lambda r: _kind(r.method) in ("stochastic", "deterministic"),
        ranked="",
        one_mse=True,
        note=f"{_ON_TRAINING}.",
    ),
    Shape(
        "takida2022_table3",
        "Takida, Table 3: estimated noise variances by partition",
        "takida2022",
        _starts("variance."),
        row=lambda r: r.dataset,
        column=lambda r: (r.label, describe(r.metric).label),
        corner="Noise pattern",
        ranked="",
        note="Where a parameterization cannot tell partitions apart, its one value stands beside each.",
    ),
    Shape(
        "takida2022_table4",
        "Takida, Table 4: reconstruction and generation",
        "takida2022",
        _GENERATION,
        row=by_method,
        column=_dataset_and_criterion,
        where=lambda r: r.dataset in ("mnist", "celeba") and not _kind(r.method),
        one_mse=True,
        note=f"{_SAMPLED}.",
    ),
    Shape(
        "takida2022_table5",
        "Takida, Table 5: FID of interpolations",
        "takida2022",
        _among("fid.interp_mid", "fid.interp_random"),
        row=by_method,
        column=dataset_and_metric,
    ),
    Shape(
        "takida2022_table6",
        "Takida, Table 6: CelebA-HQ",
        "takida2022",
        _GENERATION,
        row=by_method,
        column=_dataset_and_criterion,
        where=lambda r: r.dataset == "celebahq",
        one_mse=True,
        note=f"{_SAMPLED}.",
    ),
    Shape(
        "takida2022_table7",
        "Takida, Table 7: bound on the negative log-likelihood, k = 500, in nats",
        "takida2022",
        _among("nll"),
        row=lambda r: r.dataset,
        column=lambda r: ("", r.label),
        corner="Data set",
        ranked="row",
        note="Iso-D (MLE) and Diag-D (MLE): Σx is estimated from the image that it is to explain, so p(x|z) "
        "is no density of x, the value bounds no likelihood, and it depends on ε: with Σx = diag(r² + ε) it "
        "cannot be below (d/2) ln 2πε. Trainable Diag-D's is a density. The number of test images and the "
        "standard error over them are nll_images and nll_se of the metrics.",
    ),
    Shape(
        "takida2022_tableE8",
        "Takida, Table E.8: criteria against a fixed posterior variance",
        "takida2022",
        _SMOOTHNESS,
        row=lambda r: _level(r.method),
        column=lambda r: ("", _criterion(r)),
        corner="log₁₀ σz²",
        where=lambda r: _kind(r.method) == "sigma_z",
        ranked="",
        one_mse=True,
        note=f"{_ON_TRAINING}.",
    ),
    Shape(
        "avae2024_table3",
        "Saha, Table III: FID of reconstructions, interpolations and samples",
        "avae2024",
        lambda metric: metric in _SAHA_FID,
        row=by_method,
        column=lambda r: (r.dataset, _SAHA_FID[r.metric]),
        where=lambda r: r.metric != ("fid.prior" if r.method == "rae" else "fid.gaussian"),
        note="N is each method's own prior; for RAE, which has none, one Gaussian fitted to its latents. "
        "INT. is compared with midpoints, the paper does not say which.",
    ),
    Shape(
        "avae2024_table4",
        "Saha, Table IV: precision and recall",
        "avae2024",
        _starts("prd."),
        row=by_method,
        column=dataset_and_metric,
    ),
    Shape(
        "avae2024_table5",
        "Saha, Table V: KL of the aggregate posterior's Gaussian to the prior",
        "avae2024",
        _among("latent.kl_corrected"),
        row=by_method,
        column=lambda r: ("", r.dataset),
    ),
    Shape(
        "avae2024_table6",
        "Saha, Table VI: entropy of the whitened latents",
        "avae2024",
        _starts("latent.entropy"),
        row=by_method,
        column=dataset_and_metric,
        note="The paper's numbers stand beside the capped estimate, the one that the authors' code computes.",
    ),
    Shape(
        "avae2024_table7",
        "Saha, Table VII: disentanglement along estimated directions and along the axes",
        "avae2024",
        lambda metric: metric == "mse" or describe(metric).group == "disentanglement",
        row=lambda r: r.label + (" (axes)" if _on_axes(r.metric) else ""),
        column=lambda r: (r.dataset, describe(r.metric).label.removeprefix("PCA ")),
        where=lambda r: r.dataset not in ("mnist", "mnist32", "celeba", "cifar10"),
        note="FactorVAE scores as shares of 1.",
    ),
]
"""The papers' tables; one is made where its study has at least one of its numbers."""


def _on_axes(metric: str) -> bool:
    return metric in ("disentanglement.factor_vae", "disentanglement.mig")
