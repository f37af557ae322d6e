r"""A model made from a point on the axes.

objective = likelihood of x given z + regularizer of q(z),   z ~ posterior q(z|x)

>>> spec = ModelSpec(
...     image_shape=(1, 8, 8), train_size=1000, network={"name": "compact"},
...     likelihood={"name": "gaussian", "variance": "mle"}, regularizer={"name": "kl"},
... )
>>> model = spec.build()
>>> model.loss(torch.rand(16, 1, 8, 8)).total.backward()
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, PositiveInt
from safetensors.torch import load_file, save
from torch import Tensor, nn

from vaebench.base.errors import UserError
from vaebench.base.files import read_json, write_atomically, write_json
from vaebench.base.reading import reading
from vaebench.data.value_range import ValueRange
from vaebench.model.likelihoods import LIKELIHOODS
from vaebench.model.nets import NETWORKS
from vaebench.model.posteriors import POSTERIORS
from vaebench.model.posteriors.base import Latent
from vaebench.model.regularizers import REGULARIZERS
from vaebench.model.regularizers.base import Context, Decoder

__all__ = ["VAE", "Losses", "ModelSpec", "load_model", "save_model"]


class ModelSpec(BaseModel):
    """Everything that determines a model but its weights; the content of ``spec.json``.

    Attributes:
        image_shape: (C, H, W).
        value_range: of the images that the model sees.
        train_size: number of training images, which some regularizers need.
        network: ``{"name": …, option: …}``, and so are the next three.
        likelihood: see :data:`~vaebench.model.likelihoods.LIKELIHOODS`.
        regularizer: see :data:`~vaebench.model.regularizers.REGULARIZERS`.
        posterior: see :data:`~vaebench.model.posteriors.POSTERIORS`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    image_shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    value_range: tuple[float, float] = (0.0, 1.0)
    train_size: PositiveInt
    network: dict[str, Any]
    likelihood: dict[str, Any]
    regularizer: dict[str, Any] = {"name": "none"}
    posterior: dict[str, Any] = {"name": "gaussian"}

    def build(self) -> VAE:
        """The model, newly initialized.

        Weights come from torch's default generator: seed it first.

        Raises:
            UserError: an unknown value or option of an axis, an image size that the network is not for, a
                likelihood that does not fit the value range, a regularizer that does not fit the posterior.
        """
        return VAE(self)


@dataclass(frozen=True)
class Losses:
    """The minibatch objective in nats per image, its two parts, and the latents it was computed from."""

    total: Tensor
    reconstruction: Tensor
    regularization: Tensor
    latent: Latent


class VAE(nn.Module):
    """Encoder, posterior, decoder, likelihood and regularizer, each a value on its axis.

    Images are in ``value_range``, which converts them (:class:`~vaebench.data.value_range.ValueRange`).

    Args:
        spec: its values on the axes; see :meth:`ModelSpec.build`.
    """

    def __init__(self, spec: ModelSpec):
        super().__init__()
        network = NETWORKS.build(spec.network, spec.image_shape)
        likelihood = LIKELIHOODS.build(spec.likelihood, spec.image_shape, network.activation)
        posterior = POSTERIORS.build(spec.posterior, network.latent_dim)
        context = Context(network.latent_dim, spec.train_size, spec.image_shape)
        regularizer = REGULARIZERS.build(spec.regularizer, context)
        _check_fit(spec, likelihood, posterior, regularizer)
        self.spec = spec
        self.value_range = ValueRange(*spec.value_range)
        self.latent_dim = network.latent_dim
        self.encoder = network.encoder(posterior.features)
        self.decoder = network.decoder(likelihood.channels)
        self.posterior = posterior
        self.likelihood = likelihood
        self.regularizer = regularizer

    @property
    def prior_scale(self) -> float | None:
        """Standard deviation of the model's own prior N(0, s²I); None where the method has none."""
        return self.regularizer.prior_scale

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
        regularization = self.regularizer(latent, Decoder(self.decoder, self.likelihood.mean))
        return Losses(reconstruction + regularization, reconstruction, regularization, latent)


def _check_fit(spec: ModelSpec, likelihood, posterior, regularizer) -> None:
    accepted = likelihood.value_range
    if accepted is not None and tuple(accepted) != spec.value_range:
        raise UserError(
            f"likelihood {spec.likelihood['name']!r} needs images in {list(accepted)}, and this data "
            f"set's are in {list(spec.value_range)}; choose another likelihood or set the source's "
            "value_range."
        )
    if regularizer.needs_variance and not posterior.stochastic:
        raise UserError(
            f"regularizer {spec.regularizer['name']!r} needs a posterior with a variance, and this one "
            "is deterministic; set posterior.name to gaussian or shared, or choose another regularizer."
        )


def save_model(folder: Path, model: VAE) -> None:
    """Write ``model.safetensors`` and ``spec.json``, all that rebuilds the model."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    with write_atomically(folder / "model.safetensors") as path:
        path.write_bytes(save(tensors))
    write_json(folder / "spec.json", model.spec.model_dump(mode="json"))


_OLDER = ("prior_scale", "diverged_at_epoch")
"""Keys that a model saved by version 0.1.0 or before may have in its spec.json."""


def load_model(folder: str | Path, device: str | torch.device = "cpu") -> VAE:
    """The trained model in ``folder``, in evaluation mode.

    Raises:
        UserError: a file is missing or damaged; says which stage makes it.
    """
    folder = Path(folder)
    weights = folder / "model.safetensors"
    with reading(folder, "train"):
        content = read_json(folder / "spec.json")
        known = {key: value for key, value in content.items() if key not in _OLDER}
        model = ModelSpec.model_validate(known).build()
        with reading(weights, "train"):
            tensors = load_file(weights)
        model.load_state_dict(tensors)
    return model.to(device).eval()
