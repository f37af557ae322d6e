r"""Distance of the test images' encodings from a Gaussian (Saha et al., Section IV-B2, Tables V and VI).

    kl       = ½ (tr S + m·m − d − ln det S), the Gaussian N(m, S) fitted to the encodings against N(0, I)
    entropy  = (1/N) Σ_j −ln q₋ⱼ(w_j),  q₋ⱼ(w) = 1/(N − 1) Σ_{i≠j} h^(−d) exp(−‖w − w_i‖²/2h²)

over whitened encodings w, with AVAE's corrected bandwidth h and, as there, without (2π)^(−d/2). Eq. (12)
lacks the −ln. ``entropy_capped`` adds to q₋ⱼ the constant of the authors' code, the kernel at the 1 − 5e-4
quantile of its chi-square, which bounds the entropy from above. Neither is d/2 for a standard normal, so a
normal sample of the same size goes through the same estimator and is reported with them.

A fitted S makes the KL of N encodings too large: by about d(d + 3)/4N where they are the prior's own, 0.4
nats for d = 64 and N = 3,000. Values of different N do not compare.

The eigenvalues of S are the variances along the principal axes. Where q(z) matches the prior they are all 1,
for AVAE 1 − h²; an axis that training has abandoned shows as a small one, whatever basis the latents are in.
"""

from __future__ import annotations

import math

import numpy as np

from vaebench.base.described import Described, describes
from vaebench.measure.run import Run

__all__ = ["gaussian_kl", "latent", "leave_one_out_entropy", "whiten"]

QUANTILE = 1 - 5e-4
COLLAPSED = 0.05
"""Variance below which a principal axis counts as collapsed."""


@describes(
    {
        "latent.kl": Described(
            "KL(q(z)‖p(z))",
            "lower",
            "latent",
            help="Of the Gaussian fitted to all encodings to N(0, I), in nats.",
        ),
        "latent.kl_corrected": Described(
            "KL(q(z)‖own prior)",
            "lower",
            "latent",
            help="Of the Gaussian fitted to all encodings to the method's own prior, in nats.",
        ),
        "latent.variance_least": Described("least variance of an axis", group="latent"),
        "latent.variance_largest": Described("largest variance of an axis", group="latent"),
        "latent.variance_mean": Described("mean variance of an axis", group="latent"),
        "latent.axes_collapsed": Described("axes below 0.05", group="latent"),
        "latent.entropy": Described(
            "entropy",
            "higher",
            "latent",
            help="Of the whitened encodings: lower than a normal sample's where they are not Gaussian.",
        ),
        "latent.entropy_normal": Described("entropy of N(0, I)", group="latent"),
        "latent.entropy_capped": Described(
            "entropy, capped",
            "higher",
            "latent",
            help="Of the whitened encodings, with the authors' constant, which bounds it.",
        ),
        "latent.entropy_normal_capped": Described("entropy of N(0, I), capped", group="latent"),
    }
)
def latent(run: Run) -> dict:
    """The encodings' Gaussian against the prior, and the entropy of what is left after whitening, in nats.

    Encodings are the posterior means of the test images, at most ``run.samples`` of them.

    Returns:
        ``{"latent": …}`` with the principal axes' ``variance_least``, ``variance_largest``, ``variance_mean``
        and ``axes_collapsed``, the number of variances below 0.05; ``kl`` to N(0, I); ``kl_corrected`` to the
        model's own prior, which for AVAE is N(0, (1 − h²)I) and for methods without one N(0, I); ``entropy``,
        ``entropy_capped``, and ``entropy_normal``, ``entropy_normal_capped`` of the normal sample. Where a
        dimension never varies the variances are all that there is; where there are fewer encodings than
        dimensions, nothing.
    """
    means = run.latents["test_mean"]
    codes = means[run.subset(len(means), run.samples, "latent")].astype(np.float64)
    count, dim = codes.shape
    if count <= dim:
        return {}
    axes = _axes(codes)
    whitened = whiten(codes)
    if whitened is None:
        return {"latent": axes}
    from vaebench.model.kde import bandwidth

    h = bandwidth(dim, count)
    entropy, capped = leave_one_out_entropy(whitened, h)
    normal = whiten(run.rng("normal").standard_normal((count, dim)))
    entropy_normal, normal_capped = leave_one_out_entropy(normal, h)
    return {
        "latent": axes
        | {
            "kl": gaussian_kl(codes),
            "kl_corrected": gaussian_kl(codes, run.prior_scale or 1.0),
            "entropy": entropy,
            "entropy_capped": capped,
            "entropy_normal": entropy_normal,
            "entropy_normal_capped": normal_capped,
        }
    }


def _axes(codes: np.ndarray) -> dict:
    variances = np.linalg.eigvalsh(np.atleast_2d(np.cov(codes, rowvar=False)))
    return {
        "variance_least": float(variances[0]),
        "variance_largest": float(variances[-1]),
        "variance_mean": float(variances.mean()),
        "axes_collapsed": int((variances < COLLAPSED).sum()),
    }


def gaussian_kl(codes: np.ndarray, scale: float = 1.0) -> float:
    """KL(N(m, S) ‖ N(0, scale² I)) in nats, m and S the mean and covariance of ``codes`` (N, d)."""
    codes = codes / scale
    mean, covariance = codes.mean(axis=0), np.atleast_2d(np.cov(codes, rowvar=False))
    _, log_determinant = np.linalg.slogdet(covariance)
    return float(np.trace(covariance) + mean @ mean - codes.shape[1] - log_determinant) / 2


def whiten(codes: np.ndarray) -> np.ndarray | None:
    """``codes`` (N, d) in principal axes, with mean 0 and covariance I; None where that is singular."""
    centred = codes - codes.mean(axis=0)
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(codes, rowvar=False)))
    if len(codes) <= codes.shape[1] or values[0] <= 1e-14 * values[-1]:
        return None
    return centred @ (vectors / np.sqrt(values))


def leave_one_out_entropy(points: np.ndarray, h: float) -> tuple[float, float]:
    """The entropy of ``points`` (N, d) by a kernel density estimate of bandwidth ``h``, and with the cap."""
    import torch

    from vaebench.model.kde import log_kernel_at, squared_distances

    count, dim = points.shape
    z = torch.from_numpy(points.astype(np.float32))
    density = []
    for start in range(0, count, 1000):
        exponents = squared_distances(z[start : start + 1000], z) * (-0.5 / h**2)
        rows = torch.arange(len(exponents))
        exponents[rows, rows + start] = -math.inf
        density.append(torch.logsumexp(exponents, 1))
    log_density = torch.cat(density).double() - math.log(count - 1) - dim * math.log(h)
    floor = torch.tensor(log_kernel_at(QUANTILE, dim, h), dtype=torch.float64)
    return -log_density.mean().item(), -torch.logaddexp(log_density, floor).mean().item()
