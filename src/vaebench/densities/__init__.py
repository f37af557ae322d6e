"""Densities to sample latents from: the model's own prior, or one fitted to the latents after training.

    >>> import numpy as np
    >>> density = DENSITIES.build({"name": "gaussian"})
    >>> density.fit({"train_mean": np.eye(4, 2, dtype="float32"), "prior_scale": 1.0}, seed=0)
    >>> density.sample(3, np.random.default_rng(0)).shape
    (3, 2)

What is fitted: ``gaussian`` and ``gmm`` take the posterior *means* of the training images, also where the
posterior is stochastic, as the published code of Ghosh et al. (2020) does, whose settings Takida et al. use;
``second_stage`` takes samples z ~ q(z|x), as Dai & Wipf (2019) do. Latents are never standardized.

A fitted density is a folder: ``density.json`` ({"name", "options", "fitted"}, or {"name", "absent"} where a
method has no such density) and arrays as ``.npz`` or ``.safetensors``, never a pickle.
"""

from vaebench.base.registry import Registry

__all__ = ["DENSITIES"]

DENSITIES = Registry(
    "density",
    {
        "prior": "vaebench.densities.prior:Prior",
        "gaussian": "vaebench.densities.gaussian:GaussianDensity",
        "gmm": "vaebench.densities.gmm:GMM",
        "second_stage": "vaebench.densities.second_stage:SecondStage",
    },
)
