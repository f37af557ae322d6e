r"""A model put together from a point on the axes.

objective = likelihood of x given z + regularizer of q(z),   z ~ posterior q(z|x)

>>> spec = {
...     "image_shape": [1, 8, 8], "value_range": [0.0, 1.0], "train_size": 1000,
...     "network": {"name": "compact"}, "posterior": {"name": "gaussian"},
...     "likelihood": {"name": "gaussian", "variance": "mle"}, "regularizer": {"name": "kl"},
... }
>>> model = build_model(spec)
>>> model.loss(torch.rand(16, 1, 8, 8)).total.backward()
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from vaebench.base.errors import UserError
from vaebench.base.files import read_json, write_atomically, write_json
from vaebench.model.likelihoods import LIKELIHOODS
from vaebench.model.nets import NETWORKS
from vaebench.model.posteriors import POSTERIORS
from vaebench.model.posteriors.base import Latent
from vaebench.model.regularizers import REGULARIZERS
from vaebench.model.regularizers.base import Context

__all__ = ["VAE", "Losses", "build_model", "load_model", "save_model"]


@dataclass(frozen=True)
class Losses:
    """The minibatch objective in nats per image, its two parts, and the latents it was computed from."""

    total: Tensor
    reconstruction: Tensor
    regularization: Tensor
    latent: Latent


class VAE(nn.Module):
    """Encoder, posterior, decoder, likelihood and regularizer, each a value on its axis.

    Images come in two ranges: as stored (uint8 0 to 255, or float 0 to 1 where noise was added) and as
    the networks see them, ``value_range``; :meth:`to_model` and :meth:`to_unit` convert.
    """

    def __init__(self, network, posterior, likelihood, regularizer, value_range: tuple[float, float]):
        super().__init__()
        self.encoder = network.encoder(posterior.features)
        self.decoder = network.decoder(likelihood.channels)
        self.posterior = posterior
        self.likelihood = likelihood
        self.regularizer = regularizer
        self.latent_dim = network.latent_dim
        self.value_range = value_range

    def to_model(self, images: Tensor) -> Tensor:
        """Stored images to float32 in the model's value range."""
        low, high = self.value_range
        unit = images.float() / 255 if images.dtype == torch.uint8 else images
        return unit if (low, high) == (0.0, 1.0) else unit * (high - low) + low

    def to_unit(self, x: Tensor) -> Tensor:
        """The model's value range to [0, 1]."""
        low, high = self.value_range
        return x if (low, high) == (0.0, 1.0) else (x - low) / (high - low)

    def encode(self, x: Tensor) -> Latent:
        """q(z|x) for ``x`` (B, C, H, W) in the model's range: ``mean``, ``log_var``, ``z``, each (B, d)."""
        return self.posterior(self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        """E[x|z], (B, C, H, W) in the model's range, for ``z`` (B, d)."""
        return self.likelihood.mean(self.decoder(z))

    def render(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The image that ``z`` (B, d) is shown and measured as: :meth:`decode`, or a draw from p(x|z)."""
        return self.likelihood.render(self.decoder(z), generator)

    def loss(self, x: Tensor) -> Losses:
        """The minibatch objective for ``x`` (B, C, H, W) in the model's range."""
        latent = self.encode(x)
        reconstruction = self.likelihood.loss(self.decoder(latent.z), x)
        regularization = self.regularizer(latent, self.decode)
        return Losses(reconstruction + regularization, reconstruction, regularization, latent)


def build_model(spec: dict) -> VAE:
    """The model that ``spec`` (the content of ``spec.json``) describes, newly initialized.

    Weights come from torch's default generator: seed it first.

    Raises:
        UserError: an image size the network is not for, or a likelihood that does not fit the value range.
    """
    shape, value_range = tuple(spec["image_shape"]), tuple(map(float, spec["value_range"]))
    network = NETWORKS.build(spec["network"], shape)
    likelihood = LIKELIHOODS.build(spec["likelihood"], shape, network.activation)
    accepted = likelihood.value_range
    if accepted is not None and tuple(map(float, accepted)) != value_range:
        raise UserError(
            f"likelihood {spec['likelihood']['name']!r} needs images in {list(accepted)}, and this data "
            f"set's are in {list(value_range)}; choose another likelihood or set the source's value_range."
        )
    posterior = POSTERIORS.build(spec["posterior"], network.latent_dim)
    context = Context(network.latent_dim, spec["train_size"], shape)
    regularizer = REGULARIZERS.build(spec["regularizer"], context)
    if regularizer.needs_variance and not posterior.stochastic:
        raise UserError(
            f"regularizer {spec['regularizer']['name']!r} needs a posterior with a variance, and this one "
            "is deterministic; set posterior.name to gaussian or shared, or choose another regularizer."
        )
    return VAE(network, posterior, likelihood, regularizer, value_range)


def save_model(folder: Path, model: VAE, spec: dict) -> None:
    """Write ``model.safetensors`` and ``spec.json``, all that rebuilds the model."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    with write_atomically(folder / "model.safetensors") as path:
        path.write_bytes(save(tensors))
    write_json(folder / "spec.json", spec)


def load_model(folder: str | Path, device: str | torch.device = "cpu") -> VAE:
    """The trained model in ``folder``, in evaluation mode.

    Raises:
        UserError: a file is missing or damaged; says which stage makes it.
    """
    folder = Path(folder)
    remedy = "delete the folder and run `dvc repro` to train it again."
    for name in ("spec.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is missing; run `dvc repro` to train the model.")
    try:
        model = build_model(read_json(folder / "spec.json"))
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (ValueError, KeyError, TypeError, AttributeError, SafetensorError, UserError) as error:
        raise UserError(f"{folder} holds a damaged model ({error}); {remedy}") from None
    except RuntimeError as error:
        raise UserError(f"{folder}: weights and spec.json do not fit ({error}); {remedy}") from None
    return model.to(device).eval()
