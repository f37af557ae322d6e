"""Images to train on: the sources, each of which turns its owner's files into the prepared store.

What a source can be told in params.yaml is its keyword-only arguments.

    >>> SOURCES.check({"name": "digits", "validation": 200}, "datasets.digits.source")
    {'name': 'digits', 'validation': 200}

Adding one: a class with ``write(raw, store)`` in its own module, and a line here. One that reads files that
somebody publishes says which in the attribute ``published``, a :class:`~vaebench.data.raw.RawSet`, and how
many of their images train in the attribute ``training_images``.
"""

from collections.abc import Mapping

from vaebench.base.errors import UserError
from vaebench.base.registry import Registry

__all__ = ["SOURCES", "training_images"]

SOURCES = Registry(
    "source",
    {
        "digits": "vaebench.data.digits:Digits",
        "mnist_subset": "vaebench.data.mnist_subset:MnistSubset",
        "mnist": "vaebench.data.mnist:Mnist",
        "cifar10": "vaebench.data.cifar10:Cifar10",
        "celeba": "vaebench.data.celeba:CelebA",
        "celebahq": "vaebench.data.celebahq:CelebAHQ",
        "dsprites": "vaebench.data.dsprites:DSprites",
        "shapes3d": "vaebench.data.shapes3d:Shapes3D",
        "sprites": "vaebench.data.sprites:Sprites",
        "folder": "vaebench.data.folder:Folder",
        "arrays": "vaebench.data.arrays:Arrays",
        "torchvision": "vaebench.data.torchvision:Torchvision",
    },
)


def training_images(source: Mapping) -> int | None:
    """Number of training images of ``{name: …, option: …}`` by its published files, which are not read.

    None of a source of one's own, and of one that is not installed here.

    >>> training_images({"name": "mnist", "validation": 10_000})
    50000
    """
    try:
        return getattr(SOURCES.build(source), "training_images", None)
    except UserError:
        return None
