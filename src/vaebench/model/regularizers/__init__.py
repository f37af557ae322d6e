"""Regularizers of q(z) or of the decoder: the second term of the objective.

    >>> from vaebench.model.regularizers.base import Context
    >>> context = Context(latent_dim=16, train_size=60_000, image_shape=(1, 28, 28))
    >>> regularizer = REGULARIZERS.build({"name": "kl"}, context)

Adding one: a subclass of :class:`~vaebench.model.regularizers.base.Regularizer` in its own module,
and a line here.
"""

from vaebench.base.registry import Registry

__all__ = ["REGULARIZERS"]

REGULARIZERS = Registry(
    "regularizer",
    {
        "none": "vaebench.model.regularizers.none:NoRegularizer",
        "kl": "vaebench.model.regularizers.kl:KL",
        "beta_tc": "vaebench.model.regularizers.beta_tc:BetaTC",
        "factor_tc": "vaebench.model.regularizers.factor_tc:FactorTC",
        "mmd": "vaebench.model.regularizers.mmd:MMD",
        "adversarial": "vaebench.model.regularizers.adversarial:Adversarial",
        "rae_l2": "vaebench.model.regularizers.rae_l2:RaeL2",
        "rae_gp": "vaebench.model.regularizers.rae_gp:RaeGP",
        "kde_kl": "vaebench.model.regularizers.kde_kl:KdeKL",
    },
)
