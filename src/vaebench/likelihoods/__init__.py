"""p(x|z): what the decoder's output means, and how well it explains an image.

    >>> likelihood = LIKELIHOODS.build({"name": "gaussian", "variance": "mle"}, (1, 28, 28), "sigmoid")
    >>> likelihood.channels
    1

Adding one: a subclass of :class:`~vaebench.likelihoods.base.Likelihood` in its own module, and a line here.
"""

from vaebench.likelihoods.base import Likelihood
from vaebench.registry import Registry

__all__ = ["LIKELIHOODS", "Likelihood"]

LIKELIHOODS = Registry(
    "likelihood",
    {
        "gaussian": "vaebench.likelihoods.gaussian:Gaussian",
        "bernoulli": "vaebench.likelihoods.bernoulli:Bernoulli",
        "mol": "vaebench.likelihoods.mol:MixtureOfLogistics",
        "l2": "vaebench.likelihoods.l2:L2",
    },
)
