"""Metrics of a trained model, and the registry that names them.

A metric is a function ``f(run, *, options) -> dict``; its mapping is merged into the metrics file. What
cannot be computed for a model is absent from it. One with the attribute ``needs_features = True`` compares
sets of images by a network's features, one with ``needs_likelihood = True`` asks for p(x|z), which models of
other libraries do not give.

    >>> METRICS.check({"name": "nll", "k": 500}, "evaluation.metrics.0")
    {'name': 'nll', 'k': 500}
"""

from vaebench.base.registry import Registry

__all__ = ["METRICS"]

METRICS = Registry(
    "metric",
    {
        "reconstruction": "vaebench.measure.metrics.reconstruction:reconstruction",
        "fid": "vaebench.measure.metrics.fid:fid",
        "kid": "vaebench.measure.metrics.kid:kid",
        "nll": "vaebench.measure.metrics.nll:nll",
        "smoothness": "vaebench.measure.metrics.smoothness:smoothness",
        "variance": "vaebench.measure.metrics.variance:variance",
        "latent": "vaebench.measure.metrics.latent:latent",
        "prd": "vaebench.measure.metrics.prd:prd",
        "coverage": "vaebench.measure.metrics.coverage:coverage",
        "disentanglement": "vaebench.measure.metrics.disentanglement:disentanglement",
    },
)
