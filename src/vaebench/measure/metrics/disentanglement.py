r"""Agreement of latent directions with the factors of the images (Saha et al., Section IV-B3).

A *group* is 64 images in which one factor has one value and the others vary.

- ``factor_vae`` (Kim & Mnih, 2018): the axis of least variance in a group, relative to its variance over all
  images, votes for the group's factor; the accuracy of the majority vote on new groups.
- ``mig`` (Chen et al., 2018): per factor, the difference between the two largest mutual informations with
  an axis cut into 20 bins, over the factor's entropy; the mean over factors.
- Algorithm 2: u is the eigenvector of least variance of a group's codes; a factor's direction is the largest
  eigenvector of the mean of u uᵀ over its groups.
- ``pca_factor_vae``: the share of new groups whose u is closest, by |cosine|, to its own factor's direction.
- ``pca_mig``: ``mig`` of the codes projected on the directions.

The first two see axes only; the last two do not change when the latent space is rotated. All are in [0, 1].
Algorithm 2 is on the codes as they are: a direction that the model leaves unused is the quietest of every
group, and all factors' directions then fall on it, as the paper finds for AAE and WAE (its Figure 4).
Batch, numbers of groups, samples, bins and the 0.05 below which an axis counts as inactive are the settings
of the common benchmark (Locatello et al., 2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

from vaebench.base.described import Described, describes
from vaebench.base.errors import UserError
from vaebench.measure.run import Run

__all__ = [
    "Groups",
    "directions",
    "disentanglement",
    "draw_groups",
    "factor_vae_score",
    "latent_directions",
    "mig",
    "pca_score",
]

ACTIVE = 0.05
"""The least standard deviation of an axis that may vote."""

Size = Annotated[int, Field(ge=2)]


@dataclass(frozen=True)
class Groups:
    """Groups of images, by their rows or by what was made of them.

    Attributes:
        factor: (n,) index of the fixed factor.
        members: (n, L) rows.
    """

    factor: np.ndarray
    members: np.ndarray


@describes(
    {
        "disentanglement.factor_vae": Described(
            "FactorVAE",
            "higher",
            "disentanglement",
            help="FactorVAE's score: how well one axis tells which factor was held fixed.",
        ),
        "disentanglement.mig": Described(
            "MIG",
            "higher",
            "disentanglement",
            help="Mutual information gap between the two axes that know most of a factor.",
        ),
        "disentanglement.pca_factor_vae": Described(
            "PCA FactorVAE",
            "higher",
            "disentanglement",
            help="FactorVAE's score on directions instead of axes.",
        ),
        "disentanglement.pca_mig": Described(
            "PCA MIG",
            "higher",
            "disentanglement",
            help="Mutual information gap on directions instead of axes.",
        ),
        "disentanglement.angles.*": Described("*", group="angles"),
    }
)
def disentanglement(
    run: Run,
    *,
    batch: Size = 64,
    votes: PositiveInt = 10_000,
    evaluation_votes: PositiveInt = 5_000,
    mig_samples: Size = 10_000,
    bins: Size = 20,
) -> dict:
    """All five on the posterior means of images drawn from the test split, a factor set's whole grid.

    Args:
        run: the model; its data set has factors.
        batch: images per group.
        votes: groups that the majority vote and the directions are found from.
        evaluation_votes: new groups that they are scored on.
        mig_samples: images for the MIG and for the axes' overall variance.
        bins: of the MIG: the benchmark's 20; 10 in the code of Saha et al.

    Returns:
        ``{"disentanglement": {"factor_vae", "mig", "pca_factor_vae", "pca_mig", "angles"}}``;
        ``angles`` holds, as ``"a-b"``, the degrees between the directions of factors a and b, 90 where they
        are independent.

    Raises:
        UserError: the data set has no factors.
    """
    factors, names = _varying_factors(run)
    codes = run.latents["test_mean"].astype(np.float64)
    train, found = _estimate(run, factors, codes, batch, votes)
    test = draw_groups(factors, evaluation_votes, batch, run.rng("evaluation votes"))
    sample = run.rng("mig").integers(len(factors), size=mig_samples)
    test_codes, sample_codes = codes[test.members], codes[sample]
    return {
        "disentanglement": {
            "factor_vae": factor_vae_score(
                codes[train.members],
                train.factor,
                test_codes,
                test.factor,
                sample_codes.var(axis=0, ddof=1),
            ),
            "mig": mig(sample_codes, factors[sample], bins),
            "pca_factor_vae": pca_score(test_codes, test.factor, found),
            "pca_mig": mig(sample_codes @ found.T, factors[sample], bins),
            "angles": _angles(found, names),
        }
    }


def latent_directions(
    run: Run, *, batch: Size = 64, votes: PositiveInt = 10_000
) -> tuple[list[str], np.ndarray]:
    """The names of the factors that vary and a unit direction for each, (F, d), as the metric has them.

    Raises:
        UserError: the data set has no factors.
    """
    factors, names = _varying_factors(run)
    return names, _estimate(run, factors, run.latents["test_mean"].astype(np.float64), batch, votes)[1]


def _varying_factors(run: Run) -> tuple[np.ndarray, list[str]]:
    if run.data.factors is None:
        raise UserError(
            f"evaluation.metrics lists 'disentanglement', but data set {run.data.meta['dataset']!r} has no "
            "known factors; use dsprites, shapes3d or sprites, or leave the metric out."
        )
    factors = np.asarray(run.data.factors[run.data.rows("test")])
    varying = np.flatnonzero(factors.max(axis=0) > factors.min(axis=0))
    return factors[:, varying], [run.data.meta["factor_names"][i] for i in varying]


def _estimate(
    run: Run, factors: np.ndarray, codes: np.ndarray, batch: int, votes: int
) -> tuple[Groups, np.ndarray]:
    groups = draw_groups(factors, votes, batch, run.rng("votes"))
    return groups, directions(codes[groups.members], groups.factor, factors.shape[1])


def draw_groups(factors: np.ndarray, count: int, size: int, rng: np.random.Generator) -> Groups:
    """``count`` groups of ``size`` rows of ``factors`` (N, F); factor and value are drawn uniformly."""
    chosen = rng.integers(factors.shape[1], size=count)
    members = np.empty((count, size), np.int64)
    for k in range(factors.shape[1]):
        groups = np.flatnonzero(chosen == k)
        order = np.argsort(factors[:, k], kind="stable")
        _, starts, sizes = np.unique(factors[order, k], return_index=True, return_counts=True)
        value = rng.integers(len(starts), size=(len(groups), 1))
        within = (rng.random((len(groups), size)) * sizes[value]).astype(np.int64)
        members[groups] = order[starts[value] + within]
    return Groups(chosen, members)


def factor_vae_score(
    train: np.ndarray,
    train_factor: np.ndarray,
    test: np.ndarray,
    test_factor: np.ndarray,
    variance: np.ndarray,
) -> float:
    """The majority vote's accuracy.

    Args:
        train, test: groups' codes (n, L, d).
        train_factor, test_factor: the groups' factors (n,).
        variance: the axes' variance over all images, (d,).

    Returns:
        In [0, 1]; 0 where no axis is active.
    """
    active = np.flatnonzero(np.sqrt(variance) >= ACTIVE)
    if len(active) == 0:
        return 0.0
    counts = np.zeros((len(active), max(train_factor.max(), test_factor.max()) + 1), np.int64)
    np.add.at(counts, (_quietest(train, variance, active), train_factor), 1)
    predicted = counts.argmax(axis=1)
    return float((predicted[_quietest(test, variance, active)] == test_factor).mean())


def mig(codes: np.ndarray, factors: np.ndarray, bins: int) -> float:
    """The mutual information gap of ``codes`` (n, d) with ``factors`` (n, F); 0 where d is 1."""
    if codes.shape[1] < 2:
        return 0.0
    binned = [_bin(column, bins) for column in codes.T]
    gaps = []
    for factor in factors.T:
        _, factor = np.unique(factor, return_inverse=True)
        information = np.sort([_mutual_information(column, factor) for column in binned])
        entropy = _entropy(np.bincount(factor))
        if entropy > 0:
            gaps.append((information[-1] - information[-2]) / entropy)
    return float(np.mean(gaps))


def directions(codes: np.ndarray, factor: np.ndarray, factors: int) -> np.ndarray:
    """Algorithm 2: a unit direction per factor, (F, d), from groups' codes (n, L, d), factors (n,)."""
    quiet = _least_eigenvectors(codes)
    found = np.empty((factors, codes.shape[2]))
    for k in range(factors):
        own = quiet[factor == k]
        found[k] = np.linalg.eigh(own.T @ own)[1][:, -1]
    return found


def pca_score(codes: np.ndarray, factor: np.ndarray, found: np.ndarray) -> float:
    """The share of groups (n, L, d) whose quietest direction is closest to their own factor's."""
    cosines = np.abs(_least_eigenvectors(codes) @ found.T)
    return float((cosines.argmax(axis=1) == factor).mean())


def _quietest(codes: np.ndarray, variance: np.ndarray, active: np.ndarray) -> np.ndarray:
    return (codes.var(axis=1, ddof=1)[:, active] / variance[active]).argmin(axis=1)


def _least_eigenvectors(codes: np.ndarray) -> np.ndarray:
    centred = codes - codes.mean(axis=1, keepdims=True)
    return np.linalg.eigh(np.einsum("nli,nlj->nij", centred, centred))[1][:, :, 0]


def _bin(column: np.ndarray, bins: int) -> np.ndarray:
    edges = np.histogram_bin_edges(column, bins)
    return np.digitize(column, edges[1:-1])


def _mutual_information(a: np.ndarray, b: np.ndarray) -> float:
    joint = np.bincount(a * (b.max() + 1) + b, minlength=(a.max() + 1) * (b.max() + 1))
    return _entropy(np.bincount(a)) + _entropy(np.bincount(b)) - _entropy(joint)


def _entropy(counts: np.ndarray) -> float:
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def _angles(found: np.ndarray, names: list[str]) -> dict[str, float]:
    cosines = np.abs(found @ found.T).clip(max=1)
    return {
        f"{names[i]}-{names[j]}": float(np.degrees(np.arccos(cosines[i, j])))
        for i in range(len(names))
        for j in range(i + 1, len(names))
    }
