"""The pictures of one run: grids always, and others that belong to the metrics that the study lists.

| metric | picture |
| --- | --- |
| ``latent`` | ``latents-tsne.png``, ``latents-mds.png`` |
| ``smoothness`` | ``perturbed.png`` |
| ``disentanglement`` | ``traversals.png`` |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vaebench.measure.pictures.decoded import draw_perturbed, draw_traversals
from vaebench.measure.pictures.embeddings import draw_mds, draw_tsne
from vaebench.measure.pictures.grids import write_grids
from vaebench.measure.run import Run

__all__ = ["write_pictures"]

LEAST_MAPPED = 4
"""Images of which a map in two dimensions is made."""


def write_pictures(run: Run, metrics: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write a run's pictures.

    Args:
        run: the model; its seed determines every random draw.
        metrics: the study's ``evaluation.metrics``.
        folder: destination.

    Returns:
        The files written; none where training diverged.
    """
    written = write_grids(run, folder)
    if run.diverged_at_epoch is not None:
        return written
    listed = {spec["name"]: spec for spec in metrics}
    if "latent" in listed and len(run.latents["test_mean"]) >= LEAST_MAPPED:
        written += [folder / "latents-tsne.png", folder / "latents-mds.png"]
        draw_tsne(run, written[-2])
        draw_mds(run, written[-1])
    if "smoothness" in listed:
        written.append(folder / "perturbed.png")
        draw_perturbed(run, written[-1])
    if "disentanglement" in listed:
        written.append(folder / "traversals.png")
        options = {k: v for k, v in listed["disentanglement"].items() if k in ("batch", "votes")}
        draw_traversals(run, written[-1], **options)
    return written
