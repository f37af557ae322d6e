"""Posteriors q(z|x): the meaning of an encoder's features, and the draw of a latent from them.

A posterior asks the encoder for ``features`` numbers per image and turns them into a
:class:`~vaebench.model.posteriors.base.Latent`.

    >>> import torch
    >>> posterior = POSTERIORS.build({"name": "shared", "sigma2": 0.01}, 8)
    >>> posterior.features, posterior(torch.zeros(3, 8)).z.shape
    (8, torch.Size([3, 8]))

Adding one: a subclass of :class:`~vaebench.model.posteriors.base.Posterior` in its own module, and a line
here.
"""

from vaebench.base.registry import Registry

__all__ = ["POSTERIORS"]

POSTERIORS = Registry(
    "posterior",
    {
        "gaussian": "vaebench.model.posteriors.gaussian:GaussianPosterior",
        "shared": "vaebench.model.posteriors.shared:Shared",
        "deterministic": "vaebench.model.posteriors.deterministic:Deterministic",
    },
)
