r"""The aggregate posterior seen from above: two-dimensional maps of latents and of the prior.

t-SNE keeps neighbours and so shows clusters and gaps (Takida et al., Figures D.4, E.5, J.6). Metric
multidimensional scaling keeps distances, so that its map of a standard normal is a disc that the map of
matched latents must look like (Saha et al., Figure 1). It minimizes Σ_{i<j} (‖x_i − x_j‖ − δ_ij)² from the
principal axes by the Guttman transform (de Leeuw, 1977).

t-SNE is of draws from q(z|x), one per test image; multidimensional scaling of posterior means, as the tables
of Saha et al. are: the noise of q(z|x) would fill the axes that a VAE has collapsed. Colours are labels, or
the first factor of a factor set.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vaebench.base.palette import colour
from vaebench.base.style import drawing, save_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from vaebench.measure.run import Run

__all__ = ["draw_mds", "draw_tsne", "metric_mds"]

TSNE_POINTS, MDS_POINTS = 2_000, 500
"""The most points of a map: of t-SNE latents and prior samples together, of MDS each of the two."""

PRIOR = "#f08cc0"
CLASSES = 12
"""More labels than these have no legend: colours repeat."""


def draw_tsne(run: Run, path: Path) -> None:
    """Latents by colour, and in pink as many samples of the model's own prior where it has one."""
    from sklearn.manifold import TSNE

    codes, labels = _latents(run, TSNE_POINTS // 2, noise=True)
    if run.prior_scale is not None:
        prior = run.rng("prior t-SNE").standard_normal(codes.shape) * run.prior_scale
        codes = np.concatenate([codes, prior])
    perplexity = min(30.0, (len(codes) - 1) / 3)
    start = _principal(codes)
    start *= 1e-4 / max(start.std(), 1e-12)
    start += 1e-6 * run.rng("t-SNE").standard_normal(start.shape)
    settings = {"init": start.astype(np.float32), "max_iter": 500, "random_state": run.seed}
    points = TSNE(2, perplexity=perplexity, **settings).fit_transform(codes)
    with drawing(4.6, 3.6) as figure:
        ax = figure.subplots()
        ax.scatter(*points[len(labels) :].T, s=4, c=PRIOR, linewidths=0)
        _scatter(ax, points[: len(labels)], labels)
        ax.set_aspect("equal", "datalim")
        _legend(figure, run, labels, "prior" if len(points) > len(labels) else "")
        save_png(figure, path)


def draw_mds(run: Run, path: Path) -> None:
    """Posterior means on the left, and on the right, at the same scale, as many draws from N(0, I)."""
    codes, labels = _latents(run, MDS_POINTS, noise=False)
    maps = metric_mds(codes), metric_mds(run.rng("prior MDS").standard_normal(codes.shape))
    side = max(np.abs(points).max() for points in maps) * 1.05
    with drawing(6.8, 3.3) as figure:
        axes = figure.subplots(1, 2)
        _scatter(axes[0], maps[0], labels)
        axes[1].scatter(*maps[1].T, s=5, c=PRIOR, linewidths=0)
        for ax, title in zip(axes, ("latents", "N(0, I)"), strict=True):
            ax.set(title=title, xlim=(-side, side), ylim=(-side, side), aspect="equal")
            _bare(ax)
        _legend(figure, run, labels, "N(0, I)")
        save_png(figure, path)


def metric_mds(points: np.ndarray, iterations: int = 300, tolerance: float = 1e-6) -> np.ndarray:
    """A map (n, 2) of ``points`` (n, d) whose distances are as near as can be to theirs, centred.

    Args:
        points: points that are mapped.
        iterations: at most so many.
        tolerance: the relative fall of the stress at which it ends.
    """
    wanted, found = _distances(points.astype(np.float64)), _principal(points)
    stress = np.inf
    for _ in range(iterations):
        distances = _distances(found)
        before, stress = stress, np.square(distances - wanted).sum()
        if before - stress <= tolerance * max(stress, 1e-12):
            break
        ratio = np.divide(wanted, distances, out=np.zeros_like(wanted), where=distances > 0)
        found = (ratio.sum(axis=1)[:, None] * found - ratio @ found) / len(found)
    return found


def _principal(points: np.ndarray) -> np.ndarray:
    """(n, 2): ``points`` along their two principal axes, the second 0 where there is one dimension."""
    centred = (points - points.mean(axis=0)).astype(np.float64)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    found = np.zeros((len(points), 2))
    found[:, : len(axes)] = centred @ axes.T
    return found


def _distances(points: np.ndarray) -> np.ndarray:
    from scipy.spatial.distance import pdist, squareform

    return squareform(pdist(points))


def _latents(run: Run, most: int, *, noise: bool) -> tuple[np.ndarray, np.ndarray]:
    """At most ``most`` posterior means, or draws from q(z|x), (n, d), and their colours, (n,) integers."""
    means = run.latents["test_mean"]
    rows = run.subset(len(means), most, "map")
    codes = means[rows]
    if noise and run.stochastic:
        codes = codes + run.latents["test_std"][rows] * run.rng("map noise").standard_normal(codes.shape)
    if run.data.labels is not None:
        labels = np.asarray(run.data.labels[run.data.rows("test")])
    elif run.data.factors is not None:
        labels = np.asarray(run.data.factors[run.data.rows("test"), 0])
    else:
        labels = np.zeros(len(means), np.int64)
    return codes, labels[rows]


def _legend(figure: Figure, run: Run, labels: np.ndarray, prior: str) -> None:
    """Draw the legend to the right: labels, or the values of the first factor, and the prior."""
    from matplotlib.lines import Line2D

    known = run.data.labels is not None or run.data.factors is not None
    classes: np.ndarray | list = np.unique(labels) if known else []
    names = {str(label): colour(label) for label in classes} if len(classes) <= CLASSES else {}
    if prior:
        names[prior] = PRIOR
    dots = [Line2D([], [], ls="", marker="o", ms=5, color=tone, label=name) for name, tone in names.items()]
    if dots:
        factors = run.data.meta.get("factor_names")
        title = "label" if run.data.labels is not None else factors[0] if factors else ""
        figure.legend(handles=dots, title=title if len(dots) > 1 else "", loc="outside right center")


def _scatter(ax: Axes, points: np.ndarray, labels: np.ndarray) -> None:
    ax.scatter(*points.T, s=7, c=[colour(label) for label in labels], linewidths=0)
    _bare(ax)


def _bare(ax: Axes) -> None:
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
