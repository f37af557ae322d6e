"""Decoded latents that were perturbed: at random, or along a factor's direction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vaebench.base.style import drawing, plain, save_png
from vaebench.measure.pictures.grids import render, save_grid, stored, tile

if TYPE_CHECKING:
    from vaebench.measure.run import Run

__all__ = ["draw_perturbed", "draw_traversals"]

IMAGES, DRAWS = 12, 3
VARIANCES = (1e-3, 1e-2)
STEPS = 11


def draw_perturbed(run: Run, path: Path) -> None:
    """Images decoded from μ(x) + ε, ε ~ N(0, s²I) (Takida et al., Figure D.3).

    From above: twelve test images, their reconstructions, three draws each with s² = 1e-3, and with 1e-2.
    """
    means = run.latents["test_mean"]
    shown = np.linspace(0, len(means) - 1, IMAGES).astype(int)
    rng = run.rng("perturbed")
    codes = [means[shown]]
    for variance in VARIANCES:
        codes += [
            means[shown] + variance**0.5 * rng.standard_normal((IMAGES, means.shape[1])) for _ in range(DRAWS)
        ]
    decoded = render(run, np.concatenate(codes).astype(np.float32))
    save_grid(path, np.concatenate([stored(run.data.split("test")[shown]), decoded]), IMAGES)


def draw_traversals(run: Run, path: Path, *, batch: int = 64, votes: int = 10_000) -> None:
    """One row per factor: an image's code moved along the factor's direction (Saha et al., Figure 3).

    The code's coordinate along the direction goes from one standard deviation below the codes' mean to one
    above it; what is orthogonal to the direction stays.

    Args:
        run: the model; its data set has factors.
        path: the file.
        batch, votes: of :func:`~vaebench.measure.metrics.disentanglement.latent_directions`.
    """
    from vaebench.measure.metrics.disentanglement import latent_directions

    names, directions = latent_directions(run, batch=batch, votes=votes)
    codes = run.latents["test_mean"]
    start = codes[len(codes) // 2]
    rows = []
    for direction in directions.astype(np.float32):
        along = codes @ direction
        target = along.mean() + along.std() * np.linspace(-1, 1, STEPS, dtype=np.float32)
        rows.append(start + (target - start @ direction)[:, None] * direction)
    picture = tile(render(run, np.concatenate(rows)), STEPS)
    high, wide = picture.shape[:2]
    with drawing(6.4, 6.4 * high / wide + 0.3) as figure:
        ax = figure.subplots()
        ax.imshow(picture, cmap="gray", vmin=0, vmax=255)
        pitch = [high / len(names), wide / STEPS]
        ax.set_yticks((np.arange(len(names)) + 0.5) * pitch[0], [plain(n.replace("_", " ")) for n in names])
        ax.set_xticks((np.array([0, STEPS // 2, STEPS - 1]) + 0.5) * pitch[1], ["−σ", "mean", "+σ"])
        ax.tick_params(length=0)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        save_png(figure, path)
