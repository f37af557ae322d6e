"""Density and coverage of generated images (Naeem et al., 2020).

Around each real image lies a ball that reaches to its k-th nearest real neighbour, in a network's features.
*Density* counts in how many balls a generated image lies, over k; it may exceed 1. *Coverage* is the share of
balls that hold a generated image. An outlier among the real images, whose ball is large, raises precision as
others define it, but hardly these two.
"""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

from vaebench.base.described import Described, describes
from vaebench.measure.metrics.prd import DENSITIES
from vaebench.measure.run import Run

__all__ = ["coverage", "density_and_coverage"]

ROWS = 1000
"""Rows of distances that are held at a time."""


@describes(
    {
        "dc.density": Described(
            "density",
            "higher",
            "dc",
            help="Balls around real images that a sample lies in, over their number k.",
        ),
        "dc.coverage": Described(
            "coverage", "higher", "dc", help="Share of the real images in whose ball a sample lies."
        ),
    }
)
def coverage(run: Run, *, k: PositiveInt = 5) -> dict:
    """Density and coverage of samples from the prior or, without one, from one Gaussian.

    Args:
        run: the model.
        k: rank of the neighbour that a ball reaches to.

    Returns:
        ``{"dc": {"density", "coverage"}}``; of another network's features than Inception's
        ``{"dc_classifier": …}``, say. Nothing where the study samples from neither density.
    """
    name = next((name for name in DENSITIES if run.densities.get(name) is not None), None)
    if name is None or len(run.reference.features) <= k:
        return {}
    found = density_and_coverage(run.reference.features, run.features(name), k)
    return {run.reference.key("dc"): dict(zip(("density", "coverage"), found, strict=True))}


coverage.needs_features = True


def density_and_coverage(real: np.ndarray, fake: np.ndarray, k: int) -> tuple[float, float]:
    """Of ``fake`` (M, D) by the balls around ``real`` (N, D), N above k."""
    from sklearn.neighbors import NearestNeighbors

    reach = NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(real).kneighbors(real)[0][:, k]
    inside, covered = 0, 0
    for start in range(0, len(real), ROWS):
        rows = slice(start, start + ROWS)
        held = _distances(real[rows], fake) <= reach[rows, None]
        inside, covered = inside + held.sum(), covered + held.any(axis=1).sum()
    return float(inside / (k * len(fake))), float(covered / len(real))


def _distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    from sklearn.metrics import pairwise_distances

    return pairwise_distances(first, second)
