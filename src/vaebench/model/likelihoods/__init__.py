"""Likelihoods p(x|z): the meaning of the decoder's output, and the first term of the objective.

    >>> likelihood = LIKELIHOODS.build({"name": "gaussian", "variance": "mle"}, (1, 28, 28), "sigmoid")
    >>> likelihood.channels
    1

Adding one: a subclass of :class:`~vaebench.model.likelihoods.base.Likelihood` in its own module,
and a line here.
"""

from vaebench.base.registry import Registry

__all__ = ["LIKELIHOODS"]

LIKELIHOODS = Registry(
    "likelihood",
    {
        "gaussian": "vaebench.model.likelihoods.gaussian:GaussianLikelihood",
        "bernoulli": "vaebench.model.likelihoods.bernoulli:Bernoulli",
        "mol": "vaebench.model.likelihoods.mol:MixtureOfLogistics",
        "l2": "vaebench.model.likelihoods.l2:L2",
    },
)
