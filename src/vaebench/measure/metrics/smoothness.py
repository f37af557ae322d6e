r"""Smoothness of the decoder, and mutual information of z and x (Takida et al., Section 4.2, C and D.1).

With μ the decoder, z₀ = μ_φ(x) the posterior mean and J its Jacobian there, sums over an image's values in
the model's value range:

    gap(s²) = E ‖μ(z₀ + ε) − μ(z₀ + ε')‖²,  ε, ε' ~ N(0, s² I)                      Eq. (5)
    els     = E ‖J‖_F² / d_z                                                       Eq. (C.7)

so that gap(s²) → 2 · d_z · els · s² as s → 0 (Eq. (6) and (C.8) leave out the division by d_z, Table 1 does
not). The Jacobian's norm is exact: one pass through the decoder, linearized, per latent dimension.

    mi_bound = E_{z ~ q(z|x)} [ln q(z|x) − ln E_{x'} q(z|x')]                      Eq. (D.1)

For one shared σz² and z = z₀ + σz·ε this is D.1 with the constant d_z/2, read as the draws' own ‖ε‖²/2,
whose mean it is. x' runs over the other images of a batch of 10,000. Without x itself this is an upper
bound of the mutual information (the leave-one-out bound of Poole et al., 2019); with it, the value could
not pass ln 10,000 = 9.2, and Table 1 reaches 82.3. With x it is a lower bound,
InfoNCE with the known q(z|x): ``mi_lower``. The information lies between the two, and Theorem 1 says that it
is at most the KL.
"""

from __future__ import annotations

import math
import warnings
from typing import Literal

import numpy as np
from pydantic import PositiveInt

from vaebench.base.described import Described, describes
from vaebench.measure.run import Run

__all__ = ["mutual_information_bounds", "smoothness"]

MI_BATCH = 10_000


@describes(
    {
        "smoothness.gap_1e-2": Described(
            "gap(1e-2)",
            group="smoothness",
            help="Change of the decoder's output under noise of variance 1e-2 in z.",
        ),
        "smoothness.gap_1e-3": Described(
            "gap(1e-3)",
            group="smoothness",
            help="Change of the decoder's output under noise of variance 1e-3 in z.",
        ),
        "smoothness.els": Described(
            "ELS",
            group="smoothness",
            help="Expected local smoothness: how fast the decoder's output moves with z. 0 ignores z.",
        ),
        "smoothness.mi_bound": Described(
            "MI bound",
            group="smoothness",
            help="Upper bound of the mutual information of z and x in nats, the paper's (D.1).",
        ),
        "smoothness.mi_lower": Described(
            "MI, lower bound",
            group="smoothness",
            help="Lower bound of the mutual information of z and x in nats, InfoNCE.",
        ),
        "smoothness.sigma_z2": Described("σz²", group="smoothness", help="Mean variance of the posterior."),
    }
)
def smoothness(
    run: Run, *, split: Literal["train", "test"] = "test", images: PositiveInt | None = None
) -> dict:
    """The gap at s² = 1e-2 and 1e-3, the expected local smoothness, σz² and the bound on I(x; z) in nats.

    Args:
        run: the model.
        split: of the images; Takida et al.'s Table 1 is on the training set.
        images: the most images, drawn at random.

    Returns:
        ``{"smoothness": {"gap_1e-2", "gap_1e-3", "els", "sigma_z2", "mi_bound", "mi_lower"}}``; ``sigma_z2``
        is the posterior's variance, mean over images and dimensions; it and both bounds are absent where the
        posterior is deterministic, the bounds also where there is one image.
    """
    means = run.latents[f"{split}_mean"]
    rows = run.subset(len(means), images, f"smoothness {split}")
    values = {"gap_1e-2": _gap(run, means[rows], 1e-2), "gap_1e-3": _gap(run, means[rows], 1e-3)}
    values["els"] = _local_smoothness(run, means[rows])
    if run.stochastic:
        std = run.latents[f"{split}_std"][rows]
        values["sigma_z2"] = float(np.square(std, dtype=np.float64).mean())
        if len(rows) > 1:
            rng = run.rng("mutual information")
            values["mi_lower"], values["mi_bound"] = mutual_information_bounds(means[rows], std, rng)
    return {"smoothness": values}


def mutual_information_bounds(
    mean: np.ndarray, std: np.ndarray, rng: np.random.Generator, batch: int = MI_BATCH
) -> tuple[float, float]:
    """A lower and an upper bound on I(x; z), in nats, of Gaussian posteriors.

    Args:
        mean, std: (N, d), row i of q(z|x_i).
        rng: draws one z per image and puts the images into batches.
        batch: images per batch; the batches' values are averaged by their sizes. The lower bound is at most
            the logarithm of it.
    """
    import torch

    order = rng.permutation(len(mean))
    noise = rng.standard_normal(mean.shape)
    parts = max(1, round(len(mean) / batch))
    lower = upper = 0.0
    for rows in np.array_split(order, parts):
        centre, scale = (torch.from_numpy(a[rows].astype(np.float64)) for a in (mean, std))
        z = centre + scale * torch.from_numpy(noise[rows])
        precision = scale.square().reciprocal()
        log_scale = scale.log().sum(1)
        constant = (precision * centre.square()).sum(1) / 2 + log_scale
        for start in range(0, len(rows), 1000):
            part = z[start : start + 1000]
            log_density = part @ (precision * centre).T - part.square() @ precision.T / 2 - constant
            own = torch.arange(start, start + len(part))
            squares = torch.from_numpy(noise[rows[start : start + 1000]]).square().sum(1)
            conditional = -squares / 2 - log_scale[own]
            log_density[torch.arange(len(part)), own] = -math.inf
            others = torch.logsumexp(log_density, 1)
            upper += (conditional - others + math.log(len(rows) - 1)).sum().item()
            lower += (conditional - torch.logaddexp(others, conditional) + math.log(len(rows))).sum().item()
    return lower / len(mean), upper / len(mean)


def _gap(run: Run, means: np.ndarray, variance: float) -> float:
    rng = run.rng(f"gap {variance}")
    first, second = (
        means + math.sqrt(variance) * rng.standard_normal(means.shape, dtype=np.float32) for _ in range(2)
    )
    total = 0.0
    for a, b in zip(run.decode(first), run.decode(second), strict=True):
        total += (a - b).double().square().sum().item()
    return total / len(means)


def _local_smoothness(run: Run, means: np.ndarray) -> float:
    import torch

    from vaebench.base.precision import exact

    total = 0.0
    for start in range(0, len(means), run.batch_size):
        z = torch.from_numpy(means[start : start + run.batch_size]).to(run.device, torch.float32)
        with exact(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of its own tracing
            _, times_jacobian = torch.func.linearize(run.model.decode, z)
        for axis in range(z.shape[1]):
            tangent = torch.zeros_like(z)
            tangent[:, axis] = 1
            with exact():
                total += times_jacobian(tangent).double().square().sum().item()
    return total / (len(means) * means.shape[1])
