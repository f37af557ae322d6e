"""The decoder's variance as it was estimated (Takida et al., Section 5.3, Table 3)."""

from __future__ import annotations

from typing import Literal

import numpy as np

from vaebench.base.described import Described, describes
from vaebench.measure.run import Run

__all__ = ["variance"]


@describes(
    {
        "variance.overall": Described(
            "σ̂² overall", group="variance", help="The estimated variance of the decoder."
        ),
        "variance.SU": Described("σ̂² SU", group="variance", help="The estimated variance of the decoder."),
        "variance.SL": Described("σ̂² SL", group="variance", help="The estimated variance of the decoder."),
        "variance.BU": Described("σ̂² BU", group="variance", help="The estimated variance of the decoder."),
        "variance.BL": Described("σ̂² BL", group="variance", help="The estimated variance of the decoder."),
    }
)
def variance(run: Run, *, split: Literal["train", "test"] = "test") -> dict:
    """The mean of Σx's diagonal over images, in the model's value range squared, z ~ q(z|x).

    Iso-I's and Diag-I's is one for all images, estimated on the training images whatever ``split`` is;
    Iso-D's and Diag-D's by maximum likelihood is of each image, with ε (ε/d for Iso-D).

    Args:
        run: the model.
        split: of the images; Takida et al.'s Table 3 is on the training set.

    Returns:
        ``{"variance": {"overall": …}}`` and, where noise was added to the images, the same over each of the
        partitions ``SU``, ``SL``, ``BU``, ``BL``; nothing where the likelihood has no Gaussian variance.
    """
    import torch

    from vaebench.base.precision import exact
    from vaebench.data.noise import partitions

    model, generator = run.model, run.torch_generator("variance")
    rows = np.arange(len(run.data.split(split)))
    noisy = "noise" in run.data.meta
    labels = np.asarray(run.data.labels[run.data.rows(split)]) if noisy else None
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    start = 0
    for x in run.images(split, rows):
        with exact():
            latent = model.encode(x)
            z = latent.mean
            if run.stochastic:
                noise = torch.randn(z.shape, generator=generator, device=z.device)
                z = z + (latent.log_var / 2).exp() * noise
            estimate = model.likelihood.variance(model.decoder(z), x)
        if estimate is None:
            return {}
        estimate = estimate.expand_as(x).double().cpu().numpy()
        masks: dict = {"overall": (slice(None), np.ones(x.shape[1:], bool))}
        if noisy:
            masks |= partitions(labels[start : start + len(x)], tuple(x.shape[1:]))
        for name, (images, pixels) in masks.items():
            part = estimate[images][:, pixels]
            sums[name] = sums.get(name, 0.0) + part.sum()
            counts[name] = counts.get(name, 0) + part.size
        start += len(x)
    return {"variance": {name: sums[name] / counts[name] for name in sums if counts[name]}}


variance.needs_likelihood = True
