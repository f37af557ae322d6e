"""Precision and recall of generated images (Sajjadi et al., 2018)."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

from vaebench.base.described import Described, describes
from vaebench.measure.metrics.spread import over_draws
from vaebench.measure.run import Run

__all__ = ["curve", "f_pair", "prd"]

CLUSTERS, ANGLES, CLUSTERINGS, BETA = 20, 1001, 10, 8
DENSITIES = ("prior", "gaussian")
"""Densities to sample from: the first of these that the method has (Saha et al., Section IV-B1)."""


@describes(
    {
        "prd.precision": Described(
            "precision", "higher", "prd", help="Share of the samples that lie among the real images."
        ),
        "prd.recall": Described(
            "recall", "higher", "prd", help="Share of the real images that lie among the samples."
        ),
    }
)
def prd(run: Run, *, draws: PositiveInt = 1) -> dict:
    """Precision and recall: the share of samples that look real, and of real images that are covered.

    Both feature sets, cut to one size, are clustered together into 20 clusters; the curve of the two
    histograms is averaged over 10 clusterings.

    Args:
        run: the model.
        draws: number of draws of the samples; both numbers are means over them.

    Returns:
        ``{"prd": {"precision": F_1/8, "recall": F_8}}``, each in [0, 1]; of another network's features
        than Inception's ``{"prd_classifier": …}``, say.
        With more than one draw also ``precision_se`` and ``recall_se``, standard errors over the draws.
        Nothing where the study samples neither from the prior nor from one Gaussian.
    """
    name = next((name for name in DENSITIES if run.densities.get(name) is not None), None)
    if name is None or min(len(run.features(name)), len(run.reference.features)) < 2:
        return {}
    pairs = [_of_draw(run, run.features(name, draw)) for draw in range(draws)]
    precision, recall = zip(*pairs, strict=True)
    scores = over_draws("precision", precision) | over_draws("recall", recall)
    return {run.reference.key("prd"): scores}


def _of_draw(run: Run, fake: np.ndarray) -> tuple[float, float]:
    from sklearn.cluster import MiniBatchKMeans

    real = run.reference.features
    size = min(len(fake), len(real))
    fake = fake[run.subset(len(fake), size, "prd fake")]
    real = real[run.subset(len(real), size, "prd real")]
    union = np.concatenate([fake, real])
    curves = []
    for state in run.rng("prd").integers(2**31, size=CLUSTERINGS):
        means = MiniBatchKMeans(n_clusters=min(CLUSTERS, len(union)), n_init=10, random_state=int(state))
        clusters = means.fit_predict(union)
        one, other = (np.bincount(part, minlength=CLUSTERS) / size for part in np.split(clusters, [size]))
        curves.append(curve(one, other))
    return f_pair(*np.mean(curves, axis=0))


prd.needs_features = True


def curve(fake: np.ndarray, real: np.ndarray, angles: int = ANGLES) -> np.ndarray:
    """Precision and recall, (2, angles), of a histogram against another: Σ min(λ·real, fake) and that over λ.

    λ = tan(angle), the angles evenly in (0, π/2).
    """
    slopes = np.tan(np.linspace(1e-10, np.pi / 2 - 1e-10, angles))
    precision = np.minimum(slopes[:, None] * real, fake).sum(axis=1)
    return np.clip([precision, precision / slopes], 0, 1)


def f_pair(precision: np.ndarray, recall: np.ndarray, beta: float = BETA) -> tuple[float, float]:
    """The largest F_{1/β}, which weighs precision, and the largest F_β, which weighs recall, on a curve."""
    return _best(precision, recall, 1 / beta), _best(precision, recall, beta)


def _best(precision: np.ndarray, recall: np.ndarray, beta: float) -> float:
    denominator = beta**2 * precision + recall
    scores = (1 + beta**2) * precision * recall / np.where(denominator > 0, denominator, 1)
    return float(scores.max())
