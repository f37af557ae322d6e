"""What a trained model is measured by, and the registry that names it.

A metric is a function ``f(run, *, options) -> dict``; its mapping is merged into the metrics file. What
cannot be computed for a model is absent from it.

    >>> METRICS.check({"name": "nll", "k": 500}, "evaluation.metrics.0")
    {'name': 'nll', 'k': 500}
"""

from vaebench.metrics.run import Run, evaluate
from vaebench.registry import Registry

__all__ = ["BY_FEATURES", "METRICS", "Run", "evaluate"]

METRICS = Registry(
    "metric",
    {
        "reconstruction": "vaebench.metrics.reconstruction:reconstruction",
        "fid": "vaebench.metrics.fid:fid",
        "nll": "vaebench.metrics.nll:nll",
        "smoothness": "vaebench.metrics.smoothness:smoothness",
        "variance": "vaebench.metrics.variance:variance",
        "latent": "vaebench.metrics.latent:latent",
        "prd": "vaebench.metrics.prd:prd",
        "disentanglement": "vaebench.metrics.disentanglement:disentanglement",
    },
)

BY_FEATURES = {"fid", "prd"}
"""Those that compare sets of images by a network's features."""
