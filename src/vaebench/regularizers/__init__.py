"""What holds q(z) or the decoder in shape: the second term of the objective.

    >>> context = Context(latent_dim=16, train_size=60_000, image_shape=(1, 28, 28))
    >>> regularizer = REGULARIZERS.build({"name": "kl"}, context)

Adding one: a subclass of :class:`~vaebench.regularizers.base.Regularizer` in its own module, and a line here.
"""

from vaebench.registry import Registry
from vaebench.regularizers.base import Context, Regularizer

__all__ = ["REGULARIZERS", "Context", "Regularizer"]

REGULARIZERS = Registry(
    "regularizer",
    {
        "none": "vaebench.regularizers.none:NoRegularizer",
        "kl": "vaebench.regularizers.kl:KL",
        "beta_tc": "vaebench.regularizers.beta_tc:BetaTC",
        "factor_tc": "vaebench.regularizers.factor_tc:FactorTC",
        "mmd": "vaebench.regularizers.mmd:MMD",
        "adversarial": "vaebench.regularizers.adversarial:Adversarial",
        "rae_l2": "vaebench.regularizers.rae_l2:RaeL2",
        "rae_gp": "vaebench.regularizers.rae_gp:RaeGP",
        "kde_kl": "vaebench.regularizers.kde_kl:KdeKL",
    },
)
