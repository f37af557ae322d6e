"""Feature networks, and the references that distances between sets of images are taken to.

A *reference* is a feature network and the real test images' features, made once per data set
(:mod:`vaebench.measure.features.reference`). A network's keyword-only arguments are its options in
params.yaml, its base class :class:`~vaebench.measure.features.base.FeatureNetwork`.

    >>> FEATURES.check({"name": "inception"}, "evaluation.features")
    {'name': 'inception'}
    >>> distance_key("inception"), distance_key("classifier")
    ('fid', 'fd_classifier')
"""

from vaebench.base.registry import Registry

__all__ = ["FAMILIES", "FEATURES", "distance_key", "family_key", "feature_network", "is_distance"]

FEATURES = Registry(
    "features",
    {
        "none": "vaebench.measure.features.none:NoFeatures",
        "inception": "vaebench.measure.features.inception:Inception",
        "classifier": "vaebench.measure.features.classifier:Classifier",
        "mnist_lenet": "vaebench.measure.features.mnist_lenet:MnistLenet",
        "dinov2": "vaebench.measure.features.fidelity:DinoV2",
        "clip": "vaebench.measure.features.fidelity:Clip",
        "vgg16": "vaebench.measure.features.fidelity:Vgg16",
    },
)

FAMILIES = ("prd", "kid", "dc")
"""Numbers of images' features besides the Fréchet distance; see :func:`family_key`."""


def distance_key(network: str) -> str:
    """Key of the Fréchet distance by a network in a metrics file: only by Inception is it FID."""
    return "fid" if network == "inception" else f"fd_{network}"


def family_key(family: str, network: str) -> str:
    """Key of another number that a network's features give.

    >>> family_key("prd", "inception"), family_key("prd", "classifier")
    ('prd', 'prd_classifier')
    """
    return family if network == "inception" else f"{family}_{network}"


def is_distance(key: str) -> bool:
    """True if ``key`` is that of a Fréchet distance by any network.

    >>> is_distance("fid"), is_distance("fd_classifier"), is_distance("prd")
    (True, True, False)
    """
    return key == "fid" or key.startswith("fd_")


def feature_network(key: str) -> str:
    """The network of a key: the inverse of :func:`distance_key` and of :func:`family_key`.

    >>> feature_network("fd_mnist_lenet"), feature_network("kid")
    ('mnist_lenet', 'inception')
    """
    return key.partition("_")[2] or "inception"
