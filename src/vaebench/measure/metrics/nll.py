"""The negative log likelihood by importance sampling."""

from __future__ import annotations

import math

from pydantic import PositiveInt

from vaebench.base.described import Described, describes
from vaebench.measure.metrics.spread import with_error
from vaebench.measure.run import Run

__all__ = ["nll"]


@describes(
    {
        "nll": Described(
            "NLL",
            "lower",
            "likelihood",
            help="−ln p(x) in nats per image by importance sampling. Of a density, so it can be negative, "
            "and a small variance can lead in it with bad pictures.",
        ),
        "nll_discrete": Described(
            "NLL, discrete p(x|z)",
            "lower",
            "likelihood",
            help="−ln p(x) in nats per image of a decoder over discrete values; NLL is of a density.",
        ),
        "bits_per_dim": Described(
            "bits per dimension", "lower", "units", help="−ln p(x) in bits per pixel and channel."
        ),
        "nll_images": Described("images of the NLL", group="units", measures=False),
        "nll_discrete_images": Described("images of the NLL", group="units", measures=False),
    }
)
def nll(run: Run, *, k: PositiveInt = 500, images: PositiveInt | None = None) -> dict:
    """−E ln (1/k) Σ_i p(x|z_i) p(z_i) / q(z_i|x), z_i ~ q(z|x), in nats per test image: an upper bound.

    Takida et al., Section 6.4, after Burda et al. The prior is N(0, I). Sums of weights are kept as
    logarithms, one decoded batch at a time, so memory does not grow with ``k``.

    Where Σx is estimated from the image (:attr:`Likelihood.plug_in`), it is one per image, the mean of its
    estimates over the k draws (Eqs. (G.7) and (G.15)), and the weights are of the same draws. Such a p(x|z)
    does not integrate to 1 over x: the value bounds no likelihood, and depends on ε.

    Args:
        run: the model.
        k: importance samples per image.
        images: the most test images, drawn at random, the same for every model and seed.

    Returns:
        ``nll`` with its standard error over the images, ``nll_se``, their number ``nll_images``, and
        ``bits_per_dim``, the bits per pixel and channel of one of 256 levels, a density taken as constant
        over a level; the prefix is ``nll_discrete`` where p(x|z) is a probability and not a density.
        ``bits_per_dim`` is absent where Σx is estimated from the image, and for Bernoulli, whose probability
        of two levels does not add up to 1 over 256. Nothing where the posterior is deterministic and so has
        no density.
    """
    if not run.stochastic:
        return {}
    import torch

    rows = run.shared_subset(len(run.data.split("test")), images, "nll")
    generator = run.torch_generator("nll")
    values = torch.cat([_of_batch(run, x, k, generator) for x in run.images("test", rows)])
    likelihood = run.model.likelihood
    name = "nll_discrete" if likelihood.discrete else "nll"
    found = with_error(name, values) | {f"{name}_images": len(rows)}
    if likelihood.normalized and not likelihood.plug_in:
        level = 0.0 if likelihood.discrete else math.log(255 / _width(run))
        size = math.prod(run.data.shape)
        found["bits_per_dim"] = (found[name] / size + level) / math.log(2)
    return found


nll.needs_likelihood = True


def _of_batch(run: Run, x, k: int, generator):
    """−ln of each image's mean weight, (B,) float64."""
    import torch

    from vaebench.base.precision import exact

    model = run.model
    with exact():
        latent = model.encode(x)
        scale = (latent.log_var / 2).exp()
        sum_log_var = latent.log_var.double().sum(1)
        shared: tuple = ()
        if model.likelihood.plug_in:
            start = generator.get_state()
            total = torch.zeros((), dtype=torch.float64, device=x.device)
            for _ in range(k):
                z = latent.mean + scale * torch.randn(scale.shape, generator=generator, device=x.device)
                total = total + model.likelihood.variance(model.decoder(z), x).double()
            shared = ((total / k).to(scale.dtype),)
            generator.set_state(start)
        weights = torch.full((len(x),), -math.inf, dtype=torch.float64, device=x.device)
        for _ in range(k):
            noise = torch.randn(scale.shape, generator=generator, device=x.device)
            z = latent.mean + scale * noise
            log_ratio = (noise.double().square().sum(1) - z.double().square().sum(1) + sum_log_var) / 2
            density = model.likelihood.log_prob(model.decoder(z), x, *shared)
            weights = torch.logaddexp(weights, density + log_ratio)
    return (math.log(k) - weights).cpu()


def _width(run: Run) -> float:
    low, high = run.data.value_range
    return high - low
