"""The negative log likelihood by importance sampling."""

from __future__ import annotations

import math

from pydantic import PositiveInt

from vaebench.measure.run import Run

__all__ = ["nll"]


def nll(run: Run, *, k: PositiveInt = 500, images: PositiveInt | None = None) -> dict:
    """−E ln (1/k) Σ_i p(x|z_i) p(z_i) / q(z_i|x), z_i ~ q(z|x), in nats per test image: an upper bound.

    Takida et al., Section 6.4, after Burda et al. The prior is N(0, I). Sums of weights are kept as
    logarithms, one decoded batch at a time, so memory does not grow with ``k``.

    Args:
        run: the model.
        k: importance samples per image.
        images: the most test images, drawn at random.

    Returns:
        ``nll``, or ``nll_discrete`` where p(x|z) is a probability and not a density; nothing where the
        posterior is deterministic and so has no density.
    """
    if not run.stochastic:
        return {}
    import torch

    from vaebench.measure.features.exact import exact

    model, generator = run.model, run.torch_generator("nll")
    rows = run.subset(len(run.data.split("test")), images, "nll")
    total = 0.0
    for x in run.images("test", rows):
        with exact():
            latent = model.encode(x)
            scale = (latent.log_var / 2).exp()
            sum_log_var = latent.log_var.double().sum(1)
            weights = torch.full((len(x),), -math.inf, dtype=torch.float64, device=x.device)
            for _ in range(k):
                noise = torch.randn(scale.shape, generator=generator, device=x.device)
                z = latent.mean + scale * noise
                log_ratio = (noise.double().square().sum(1) - z.double().square().sum(1) + sum_log_var) / 2
                weights = torch.logaddexp(weights, model.likelihood.log_prob(model.decoder(z), x) + log_ratio)
            total += (math.log(k) - weights).sum().item()
    return {"nll_discrete" if model.likelihood.discrete else "nll": total / len(rows)}
