"""What the papers claim, and whether a study's numbers bear it out.

A claim is a sentence of a paper as a predicate on means over seeds. It *holds*, *does not hold*, or was
*not measured* because a data set, method or metric that it speaks of is not in the study. A claim about
FID is judged on FID alone, never on a classifier's features. Where a claim speaks of more than the study
covers, the verdict is on the part that was measured, and the evidence says which.
"""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from vaebench.report.describe import describe
from vaebench.report.papers import paper_dataset, paper_method, split_sweep, unspell
from vaebench.report.study import Study
from vaebench.report.tables import number

__all__ = ["CLAIMS", "Claim", "Verdict", "judge"]

Status = Literal["holds", "does not hold", "not measured"]


class NotMeasured(Exception):  # noqa: N818
    """A number that a claim needs is not in the study."""


class Numbers:
    """Means over seeds by the paper's names of data sets and methods."""

    def __init__(self, summary: pd.DataFrame, paper: str):
        measured = summary[summary["n"] > 0]
        self._means = {
            (
                paper_dataset(paper, r.dataset),
                paper_method(paper, r.method, one_to_one=True),
                r.metric,
            ): r.mean
            for r in measured.itertuples()
        }
        self.datasets = list(dict.fromkeys(key[0] for key in self._means))

    def __call__(self, dataset: str, method: str, metric: str) -> float:
        """One mean; raises :class:`NotMeasured` where there is none."""
        try:
            return self._means[dataset, method, metric]
        except KeyError:
            raise NotMeasured(f"{describe(metric).label} of {method} on {dataset}") from None

    def of(
        self, dataset: str, metric: str, methods: list[str] | None = None, least: int = 2
    ) -> dict[str, float]:
        """Every method's mean of a metric, ``least`` of them or more."""
        found = {
            method: value
            for (d, method, m), value in self._means.items()
            if (d, m) == (dataset, metric) and (methods is None or method in methods)
        }
        if len(found) < least:
            raise NotMeasured(f"{describe(metric).label} of {least} methods on {dataset}")
        return found


Check = Callable[[Numbers], tuple[bool, str]]


@dataclass(frozen=True)
class Claim:
    """One claim: where it is made, what it says, and how it is checked."""

    paper: str
    source: str
    text: str
    check: Check


@dataclass(frozen=True)
class Verdict:
    """A claim and what the study says of it; ``evidence`` names the numbers or what is missing."""

    claim: Claim
    status: Status
    evidence: str


def judge(study: Study, summary: pd.DataFrame) -> list[Verdict]:
    """The verdict on every claim of the study's paper.

    A study without a paper is judged on both papers' claims, and only those that it measured are given.
    """
    verdicts = []
    for claim in CLAIMS:
        if study.paper not in (None, claim.paper):
            continue
        try:
            holds, evidence = claim.check(Numbers(summary, claim.paper))
            verdicts.append(Verdict(claim, "holds" if holds else "does not hold", evidence))
        except NotMeasured as missing:
            if study.paper is not None:
                verdicts.append(Verdict(claim, "not measured", f"needs {missing}"))
    return verdicts


def _sweep(v: Numbers, kind: str, metric: str) -> dict[float, float]:
    """A metric against log10 σ² for the methods ``<kind>_<level>`` on MNIST, from large σ² to small."""
    try:
        methods = v.of("mnist", metric)
    except NotMeasured:
        methods = {}
    found = {}
    for name, value in methods.items():
        sweep = split_sweep(name)
        if sweep and sweep[0] == kind:
            found[sweep[1]] = value
    if len(found) < 3:
        varied = "σz²" if kind == "sigma_z" else f"σx² and {kind} encoding"
        raise NotMeasured(f"{describe(metric).label} at three or more values of {varied}")
    return dict(sorted(found.items(), reverse=True))


def _series(values: dict[float, float]) -> str:
    return ", ".join(f"{number(value)} at 10^{level:g}" for level, value in values.items())


def _smoothness_rises(v: Numbers) -> tuple[bool, str]:
    els, mi = _sweep(v, "stochastic", "smoothness.els"), _sweep(v, "stochastic", "smoothness.mi_bound")
    rising = all(np.all(np.diff(list(values.values())) > 0) for values in (els, mi))
    return rising, f"ELS {_series(els)}; MI bound {_series(mi)}."


def _collapse_at_one(v: Numbers) -> tuple[bool, str]:
    kl, mi = _sweep(v, "stochastic", "kl"), _sweep(v, "stochastic", "smoothness.mi_bound")
    if 0.0 not in kl or 0.0 not in mi:
        raise NotMeasured("KL and the MI bound at σx² = 1")
    others = [value for level, value in kl.items() if level < 0]
    holds = kl[0.0] < 0.1 and mi[0.0] < 0.1 and min(others) > 1
    return holds, (
        f"At σx² = 1 KL is {number(kl[0.0])} and the MI bound {number(mi[0.0])}; the least KL below is "
        f"{number(min(others))}."
    )


def _deterministic_survives(v: Numbers) -> tuple[bool, str]:
    els, mse = _sweep(v, "deterministic", "smoothness.els"), _sweep(v, "deterministic", "mse")
    rises_with_variance = bool(np.all(np.diff(list(els.values())) < 0))
    survives = max(mse.values()) < 2 * min(mse.values())
    return rises_with_variance and survives, f"ELS {_series(els)}; MSE {_series(mse)}."


def _collapse_with_kl(v: Numbers) -> tuple[bool, str]:
    kl, mi = _sweep(v, "sigma_z", "kl"), _sweep(v, "sigma_z", "smoothness.mi_bound")
    level = max(set(kl) & set(mi))
    if level < 1:
        raise NotMeasured("KL and the MI bound at σz² = 10")
    return mi[level] < 0.1 and kl[
        level
    ] > 1, f"At σz² = 10 the MI bound is {number(mi[level])}, KL {number(kl[level])}."


_NOISY = {
    "uniform": ("SU", "SL", "BU", "BL"),
    "spatial": ("SU", "BU"),
    "conditional": ("SU", "SL"),
    "spatial_conditional": ("SU",),
}
_CAN_TELL = {
    "spatial": ("mle_diag_i", "mle_diag_d"),
    "conditional": ("mle_iso_d", "mle_diag_d"),
    "spatial_conditional": ("mle_diag_d",),
}


def _excess(v: Numbers, dataset: str, method: str, pattern: str) -> float:
    noisy = _NOISY[pattern]
    clean = [p for p in _NOISY["uniform"] if p not in noisy]
    variance = {p: v(dataset, method, f"variance.{p}") for p in _NOISY["uniform"]}
    return float(np.mean([variance[p] for p in noisy]) - np.mean([variance[p] for p in clean]))


def _noise_sets(v: Numbers) -> list[tuple[str, str, float]]:
    found = []
    for dataset in v.datasets:
        match = re.fullmatch(r"mnist_(\w+)_(0_01|0_1)", dataset)
        if match and match[1] in _CAN_TELL:
            found.append((dataset, match[1], unspell(match[2])))
    if not found:
        raise NotMeasured("MNIST with noise in some of its partitions")
    return found


def _variance_found(v: Numbers) -> tuple[bool, str]:
    tolerance = {"mle_diag_d": 0.1}
    return _variance_check(
        v,
        lambda p: _CAN_TELL[p],
        lambda method, excess, s2: abs(excess / s2 - 1) <= tolerance.get(method, 0.2),
    )


def _variance_missed(v: Numbers) -> tuple[bool, str]:
    return _variance_check(v, lambda p: ("mle_iso_i",), lambda _, excess, s2: abs(excess / s2) <= 0.1)


def _variance_check(v: Numbers, methods, test) -> tuple[bool, str]:
    results, parts = [], []
    for dataset, pattern, s2 in _noise_sets(v):
        for method in methods(pattern):
            try:
                excess = _excess(v, dataset, method, pattern)
            except NotMeasured:
                continue
            results.append(test(method, excess, s2))
            parts.append(f"{method} on {dataset}: noisy − clean = {number(excess)} for s² = {s2:g}")
    if not results:
        raise NotMeasured("the estimated variance of the four partitions")
    return all(results), "; ".join(parts) + "."


def _best(metrics: tuple[str, ...], method: str, datasets: tuple[str, ...], places: int = 1) -> Check:
    """``method`` is among the first ``places`` in each metric on each data set, as far as measured."""

    def check(v: Numbers) -> tuple[bool, str]:
        results, parts, missing = [], [], None
        for dataset in datasets:
            for metric in metrics:
                try:
                    values = v.of(dataset, metric)
                    own = v(dataset, method, metric)
                except NotMeasured as error:
                    missing = missing or error
                    continue
                holds, text = _place(values, own, metric, places)
                results.append(holds)
                parts.append(f"{dataset} {describe(metric).label}: {text}")
        if not results:
            raise missing
        return all(results), "; ".join(parts) + "."

    return check


def _place(values: dict[str, float], own: float, metric: str, places: int) -> tuple[bool, str]:
    """Whether ``own`` is among the ``places`` best values; equal values share a place."""
    sign = -1 if describe(metric).better == "higher" else 1
    rank = 1 + len({value for value in values.values() if sign * value < sign * own})
    leader = min(values, key=lambda m: sign * values[m])
    text = f"{number(own)}, {_ordinal(rank)} of {len(values)}"
    return rank <= places, text if rank == 1 else f"{text} (first is {leader}, {number(values[leader])})"


def _ordinal(rank: int) -> str:
    suffix = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank}{suffix}"


_MLE = ("mle_iso_i", "mle_diag_i", "mle_iso_d", "mle_diag_d")
_TAKIDA_FIDS = ("fid.prior", "fid.second_stage", "fid.gmm10", "fid.gmm100")


def _mle_beats_trainable(v: Numbers) -> tuple[bool, str]:
    wins, total = 0, 0
    for dataset in ("mnist", "celeba"):
        for metric in _TAKIDA_FIDS:
            for method in _MLE:
                try:
                    ours = v(dataset, method, metric)
                    other = v(dataset, method.replace("mle", "trainable"), metric)
                except NotMeasured:
                    continue
                wins, total = wins + (ours < other), total + 1
    if not total:
        raise NotMeasured("FID of an MLE parameterization and of the same one trained")
    return wins > total / 2, f"MLE is better in {wins} of {total} FIDs."


def _all_beat_fixed(metric: str, diag_d_first: bool = False) -> Check:
    def check(v: Numbers) -> tuple[bool, str]:
        results, parts = [], []
        for dataset in ("mnist", "celeba", "celebahq"):
            try:
                fixed = v(dataset, "vae_gaussian", metric)
                found = v.of(dataset, metric, list(_MLE), least=2 if diag_d_first else 1)
            except NotMeasured:
                continue
            holds = max(found.values()) < fixed
            if diag_d_first and "mle_diag_d" in found:
                holds = holds and min(found, key=found.get) == "mle_diag_d"
            results.append(holds)
            listed = ", ".join(f"{method} {number(value)}" for method, value in found.items())
            parts.append(f"{dataset}: {number(fixed)} with σx² = 1; {listed}")
        if not results:
            raise NotMeasured(f"{describe(metric).label} with σx² = 1 and with MLE")
        return all(results), "; ".join(parts) + "."

    return check


_SAHA_SAMPLING = ("vae", "beta_tcvae", "aae", "wae_mmd", "avae")


def _avae_samples_best(v: Numbers) -> tuple[bool, str]:
    results, parts = [], []
    for dataset in ("mnist32", "celeba", "cifar10"):
        try:
            own = v(dataset, "avae", "fid.prior")
            values = v.of(dataset, "fid.prior", list(_SAHA_SAMPLING))
        except NotMeasured:
            continue
        with contextlib.suppress(NotMeasured):
            values["rae"] = v(dataset, "rae", "fid.gaussian")
        holds, text = _place(values, own, "fid.prior", 1)
        results.append(holds)
        parts.append(f"{dataset}: {text}")
    if not results:
        raise NotMeasured("FID of AVAE's samples and of another method's")
    return all(results), "; ".join(parts) + "."


def _vae_far_from_prior(v: Numbers) -> tuple[bool, str]:
    results, parts = [], []
    for dataset in ("mnist32", "cifar10"):
        try:
            far = v.of(dataset, "latent.kl_corrected", ["vae", "beta_tcvae"])
            near = v.of(dataset, "latent.kl_corrected", ["aae", "wae_mmd", "avae"])
        except NotMeasured:
            continue
        results.append(min(far.values()) > max(near.values()))
        listed = ", ".join(f"{method} {number(value)}" for method, value in {**far, **near}.items())
        parts.append(f"{dataset}: {listed}")
    if not results:
        raise NotMeasured("KL to the prior of VAE, β-TCVAE and two of AAE, WAE, AVAE")
    return all(results), "; ".join(parts) + "."


def _directions_help(v: Numbers) -> tuple[bool, str]:
    gains, parts = [], []
    for dataset in v.datasets:
        for method in ("vae", "beta_tcvae"):
            try:
                axes = v(dataset, method, "disentanglement.mig")
                directions = v(dataset, method, "disentanglement.pca_mig")
            except NotMeasured:
                continue
            gains.append(directions - axes)
            parts.append(f"{method} on {dataset}: {number(axes)} → {number(directions)}")
    if not gains:
        raise NotMeasured("MIG and PCA MIG of VAE or β-TCVAE")
    return math.fsum(gains) > 0, "; ".join(parts) + "."


_T, _S = "takida2022", "avae2024"

CLAIMS = [
    Claim(
        _T,
        "Table 1",
        "As σx² falls from 1, the decoder is less smooth: expected local smoothness and the MI "
        "bound rise with stochastic encoding.",
        _smoothness_rises,
    ),
    Claim(
        _T,
        "Table 1",
        "With σx² = 1 the posterior collapses (KL and the MI bound near 0), and with none of the "
        "smaller values.",
        _collapse_at_one,
    ),
    Claim(
        _T,
        "Table 1",
        "With deterministic encoding σx² does not regularize the decoder: ELS rises with σx² and "
        "no reconstruction collapses.",
        _deterministic_survives,
    ),
    Claim(
        _T,
        "Table E.8",
        "The reconstruction can collapse while KL is far from 0, when σz² is fixed too large.",
        _collapse_with_kl,
    ),
    Claim(
        _T,
        "Table 3",
        "A parameterization that can represent the noise pattern finds its variance: noisy minus "
        "clean partitions equals s², within 10 % for Diag-D and 20 % for the others.",
        _variance_found,
    ),
    Claim(
        _T,
        "Table 3",
        "Iso-I is blind to where the noise is: its estimate is one value for noisy and clean partitions.",
        _variance_missed,
    ),
    Claim(
        _T,
        "Table 4",
        "Σx by maximum likelihood reconstructs better than σx² = 1, in all four parameterizations.",
        _all_beat_fixed("mse"),
    ),
    Claim(
        _T,
        "Table 4",
        "MLE Diag-D has the best FID of all methods on MNIST, whichever density is sampled.",
        _best(("fid.prior", "fid.second_stage", "fid.gmm10"), "mle_diag_d", ("mnist",)),
    ),
    Claim(
        _T,
        "Section 6.1",
        "MLE improves FID over the same Σx as a trainable parameter in most cases.",
        _mle_beats_trainable,
    ),
    Claim(
        _T,
        "Table 5",
        "MLE Diag-D has the best FID of interpolations on MNIST.",
        _best(("fid.interp_mid", "fid.interp_random"), "mle_diag_d", ("mnist",)),
    ),
    Claim(
        _T,
        "Table 6",
        "On CelebA-HQ MLE Diag-D has the best FID once a second VAE or a GMM is fitted.",
        _best(("fid.second_stage", "fid.gmm10", "fid.gmm100"), "mle_diag_d", ("celebahq",)),
    ),
    Claim(
        _T,
        "Table 7",
        "Every MLE parameterization has a lower NLL than σx² = 1, and Diag-D the lowest.",
        _all_beat_fixed("nll", diag_d_first=True),
    ),
    Claim(_S, "Table III", "AVAE's samples have the best FID on every data set.", _avae_samples_best),
    Claim(
        _S,
        "Table III",
        "RAE has the best FID of reconstructions and interpolations on MNIST and CelebA.",
        _best(("fid.recon", "fid.interp_mid"), "rae", ("mnist32", "celeba")),
    ),
    Claim(
        _S,
        "Table III",
        "AVAE's reconstructions and interpolations are first or second in FID on every data set.",
        _best(("fid.recon", "fid.interp_mid"), "avae", ("mnist32", "celeba", "cifar10"), places=2),
    ),
    Claim(
        _S,
        "Table IV",
        "AVAE is best or second best in precision and in recall on every data set.",
        _best(("prd.precision", "prd.recall"), "avae", ("mnist32", "celeba", "cifar10"), places=2),
    ),
    Claim(
        _S,
        "Table V",
        "AVAE's aggregate posterior is closest to the prior in KL on MNIST and CIFAR-10.",
        _best(("latent.kl_corrected",), "avae", ("mnist32", "cifar10")),
    ),
    Claim(
        _S,
        "Table V",
        "VAE and β-TCVAE fail to match the prior on MNIST and CIFAR-10: their KL exceeds that of "
        "AAE, WAE and AVAE.",
        _vae_far_from_prior,
    ),
    Claim(
        _S,
        "Table VI",
        "AVAE's whitened latents have the highest entropy on MNIST and CIFAR-10 "
        "(by the authors' capped estimate).",
        _best(("latent.entropy_capped",), "avae", ("mnist32", "cifar10")),
    ),
    Claim(
        _S,
        "Table VII",
        "Estimated latent directions instead of axes improve MIG for VAE and β-TCVAE overall.",
        _directions_help,
    ),
    Claim(
        _S,
        "Table VII",
        "AVAE disentangles best on 3D Shapes, by PCA FactorVAE and PCA MIG.",
        _best(("disentanglement.pca_factor_vae", "disentanglement.pca_mig"), "avae", ("shapes3d",)),
    ),
]
"""The claims, in the papers' order."""
