"""Variational autoencoders re-run, compared and believed.

From a notebook or a script of one's own:

>>> import torch
>>> from vaebench import build_method
>>> model = build_method(
...     {"likelihood": {"name": "gaussian", "variance": "mle"}, "regularizer": {"name": "kl"}},
...     (1, 8, 8), network={"name": "compact", "latent_dim": 4}, train_size=1000,
... )
>>> model.decode(model.encode(torch.rand(2, 1, 8, 8)).mean).shape
torch.Size([2, 1, 8, 8])

``import vaebench`` alone does not import torch.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vaebench.api import ModelSpec, build_method, evaluate, evaluate_samples, load_model, train  # noqa: F401

_LIBRARY = ("ModelSpec", "build_method", "evaluate", "evaluate_samples", "load_model", "train")


def __getattr__(name: str):
    if name in _LIBRARY:
        from vaebench import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LIBRARY})
