r"""Kernel density estimates in a latent space, and AVAE's bandwidth (Saha et al., Section III-B4).

    q(z) = (1/m) Σ_i h^(−l) exp(−‖z − c_i‖² / 2h²)

for m centres in l dimensions; like the prior that it is compared with, it leaves out (2π)^(−l/2).

Eq. (10): h_opt maximizes E ln q(z) over z ~ N(0, I) where the centres are drawn from N(0, I) too. (The paper
prints E q(z); the logarithm is what minimizes its KL and what gives its Table I.) Eq. (11): the latents that
AVAE converges to are narrower by the kernel, and h = h_opt/√(1 + h_opt²) accounts for it.

    >>> round(bandwidth(16, 10_000), 2)
    0.59
"""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import torch
from torch import Tensor

from vaebench.base.files import read_json, write_json
from vaebench.base.precision import no_autocast

__all__ = [
    "bandwidth",
    "bandwidth_table",
    "corrected",
    "log_density",
    "log_kernel_at",
    "optimal_bandwidth",
    "squared_distances",
]

CACHE = Path(".vaebench/cache")
POINTS, PAIRS, DRAWS = 1_000, 5_000_000, 6
"""Points that E ln q is averaged over, least number of distances computed in all, and h_opt's draws."""


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """‖a_i − b_j‖², (n, m) for (n, l) and (m, l), in the inputs' precision, never below 0.

    By ‖a‖² + ‖b‖² − 2a·b around b's mean, which keeps the terms, and so their rounding, small.
    """
    centre = b.detach().mean(0)
    a, b = a - centre, b - centre
    with no_autocast(a):
        products = a @ b.T
    return (a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * products).clamp_min(0)


def log_density(z: Tensor, centres: Tensor, h: float) -> Tensor:
    """ln q(z) without the (2π)^(−l/2), (n,) in nats, for points (n, l) and centres (m, l)."""
    count, dim = centres.shape
    exponents = squared_distances(z, centres) * (-0.5 / h**2)
    return torch.logsumexp(exponents, 1) - math.log(count) - dim * math.log(h)


def log_kernel_at(quantile: float, dim: int, h: float) -> float:
    """ln of the kernel h^(−l) exp(−r²/2h²) at the distance r that its own draws exceed with 1 − ``quantile``.

    r²/h² is that quantile of a chi-square with l degrees of freedom.
    """
    from scipy.stats import chi2

    return -float(chi2.ppf(quantile, dim)) / 2 - dim * math.log(h)


def corrected(h_opt: float) -> float:
    """Eq. (11): h_opt/√(1 + h_opt²), below 1."""
    return h_opt / math.sqrt(1 + h_opt**2)


def bandwidth(latent_dim: int, samples: int, cache: Path | None = None) -> float:
    """The corrected bandwidth for a KDE of ``samples`` centres in ``latent_dim`` dimensions.

    Args:
        latent_dim: l.
        samples: m.
        cache: folder that keeps results; ``.vaebench/cache`` by default. Seconds to compute: the mean over
            six draws, as single ones scatter by up to a tenth in few dimensions.
    """
    cache = CACHE if cache is None else cache
    path = cache / f"bandwidth-l{latent_dim}-m{samples}.json"
    settings = {
        "latent_dim": latent_dim,
        "samples": samples,
        "points": POINTS,
        "pairs": PAIRS,
        "draws": DRAWS,
    }
    try:
        kept = read_json(path)
        if kept["settings"] == settings and kept["h_opt"] > 0:
            return corrected(float(kept["h_opt"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    h_opt = statistics.fmean(optimal_bandwidth(latent_dim, samples, seed) for seed in range(DRAWS))
    write_json(path, {"settings": settings, "h_opt": h_opt})
    return corrected(h_opt)


def optimal_bandwidth(latent_dim: int, samples: int, seed: int = 0) -> float:
    """h_opt of Eq. (10) by one draw, on the CPU, the same every time.

    Small KDEs are drawn several times over, so that the average covers as many distances as for large ones.
    """
    generator = torch.Generator().manual_seed(seed)
    trials = min(max(1, PAIRS // (POINTS * samples)), 20)
    distances = torch.cat(
        [
            squared_distances(
                _points(latent_dim, generator),
                torch.randn(samples, latent_dim, generator=generator),
            )
            for _ in range(trials)
        ]
    )
    few = distances[:: max(1, len(distances) // 100)]
    log_h2 = _newton(few, latent_dim, math.log(0.5))
    return round(math.exp(_newton(distances, latent_dim, log_h2) / 2), 4)


def bandwidth_table(
    latent_dims: tuple[int, ...] = (10, 20, 40, 50, 70, 100),
    samples: tuple[int, ...] = (500, 1000, 2000, 5000, 10_000),
    seeds: int = DRAWS,
) -> list[dict]:
    """Tables I and II of Saha et al.: ``latent_dim``, ``samples``, ``h_opt``, ``h_corrected``, ``error``.

    ``h_opt`` is the mean over ``seeds`` draws, ``error`` its standard error.
    """
    rows = []
    for dim in latent_dims:
        for count in samples:
            found = [optimal_bandwidth(dim, count, seed) for seed in range(seeds)]
            h_opt = statistics.fmean(found)
            error = statistics.stdev(found) / math.sqrt(seeds)
            rows.append(
                {
                    "latent_dim": dim,
                    "samples": count,
                    "h_opt": h_opt,
                    "h_corrected": corrected(h_opt),
                    "error": error,
                }
            )
    return rows


def _points(dim: int, generator: torch.Generator) -> Tensor:
    """Draws from N(0, I), (POINTS, l), whose norms are evenly spaced quantiles: less noise in the mean."""
    crowd = torch.randn(8 * POINTS, dim, generator=generator)
    return crowd[crowd.norm(dim=1).argsort()[4::8]]  # by norm, one of eight neighbours each


def _newton(distances: Tensor, dim: int, log_h2: float) -> float:
    """The u = ln h² that maximizes E ln q, by Newton's method from ``log_h2``, steps of at most 1.

    With D = d²/2h² and w ∝ exp(−D), f' = E⟨D⟩_w − l/2 and f'' = E[Var_w D − ⟨D⟩_w]. Where f is not concave
    the step is that of expectation maximization, which always climbs.
    """
    step = 1.0
    while abs(step) > 1e-3:
        mean, curvature = _moments(distances, log_h2)
        step = -(mean - dim / 2) / curvature if curvature < 0 else math.log(2 * mean / dim)
        step = max(-1.0, min(1.0, step))
        log_h2 += step
    return log_h2


def _moments(distances: Tensor, log_h2: float) -> tuple[float, float]:
    """E⟨D⟩_w and E[Var_w D − ⟨D⟩_w]."""
    mean, curvature = 0.0, 0.0
    for part in distances.split(max(1, 1_000_000 // distances.shape[1])):
        scaled = part * (0.5 * math.exp(-log_h2))
        weighted = torch.softmax(-scaled, 1).mul_(scaled)
        first = weighted.sum(1).double()
        second = weighted.mul_(scaled).sum(1).double()
        mean += first.sum().item()
        curvature += (second - first.square() - first).sum().item()
    return mean / len(distances), curvature / len(distances)
