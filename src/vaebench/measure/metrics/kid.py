r"""The kernel inception distance (Bińkowski et al., 2018): a squared maximum mean discrepancy of features.

    KID = E k(x, x') + E k(y, y') − 2 E k(x, y),   k(x, y) = (xᵀy / D + 1)³

x, x' two generated images' features, y, y' two real ones', D their number. Of samples its estimate over a
subset is unbiased, so it may be below 0, and unlike the Fréchet distance it does not fall with more images. A
reconstruction x̂ᵢ has its own original among the N real images, which lowers the estimate by
2 (E k(x̂ᵢ, xᵢ) − E k(x̂ᵢ, xⱼ)) / N; an interpolation has two.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydantic import PositiveInt

from vaebench.base.described import describes
from vaebench.measure.metrics.fid import fid, image_kinds
from vaebench.measure.run import Run

__all__ = ["kid", "over_subsets", "squared_mmd"]


@describes({path.replace("fid", "kid", 1): replace(own, group="kid") for path, own in fid.describes.items()})
def kid(run: Run, *, subsets: PositiveInt = 100, subset_size: PositiveInt = 1000) -> dict:
    """Of reconstructions, interpolations and every density's samples.

    Args:
        run: the model.
        subsets: number of subsets that the estimate is a mean over, drawn without repetition within each.
        subset_size: images of either kind in a subset; where there are fewer, all of them are in it.

    Returns:
        ``{"kid": {kind: distance}}``; of another network's features than Inception's ``{"kid_classifier":
        …}``, say. ``{kind}_se`` is its standard error; see :func:`over_subsets`. A density that the
        method does not have is absent.
    """
    real = run.reference.features
    found: dict[str, float] = {}
    for kind in image_kinds(run) if len(real) > 1 else []:
        value, error = over_subsets(run.features(kind), real, subsets, subset_size, run.rng(f"kid {kind}"))
        found |= {kind: value, f"{kind}_se": error}
    return {run.reference.key("kid"): found}


kid.needs_features = True


def over_subsets(
    fake: np.ndarray, real: np.ndarray, subsets: int, most: int, rng: np.random.Generator
) -> tuple[float, float]:
    """The mean estimate over subsets of at most ``most`` of the features (n, D) and (m, D), and its error.

    The error is over both sets of images, by the delete-d jackknife (Shao and Wu, 1989): √(s / (n − s))
    times the deviation over subsets of s of the n images; n is the smaller set's, which errs on the large
    side. NaN where a subset is a whole set, or alone.
    """
    least = min(len(fake), len(real))
    size = min(most, least)
    estimates = [
        squared_mmd(fake[rng.choice(len(fake), size, False)], real[rng.choice(len(real), size, False)])
        for _ in range(subsets if size < max(len(fake), len(real)) else 1)
    ]
    if size == least or len(estimates) == 1:
        return float(np.mean(estimates)), float("nan")
    return float(np.mean(estimates)), float(np.std(estimates) * np.sqrt(size / (least - size)))


def squared_mmd(first: np.ndarray, second: np.ndarray) -> float:
    """The unbiased estimate of the squared MMD of features (n, D) and (m, D) under KID's kernel."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    n, m = len(first), len(second)
    within = (_kernel(first, first), n), (_kernel(second, second), m)
    same = sum((kernel.sum() - np.trace(kernel)) / (size * (size - 1)) for kernel, size in within)
    return float(same - 2 * _kernel(first, second).mean())


def _kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first @ second.T / first.shape[1] + 1) ** 3
