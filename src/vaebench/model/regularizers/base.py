"""Interface of a regularizer to the model and the training engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from vaebench.base.errors import UserError
from vaebench.model.posteriors.base import Latent

__all__ = ["Context", "Decoder", "Regularizer"]


@dataclass(frozen=True)
class Decoder:
    """Latents (B, d) to mean images (B, C, H, W), when called.

    Attributes:
        network: the decoder network, which gives the likelihood's parameters.
        mean: these to the mean image.
    """

    network: nn.Module
    mean: Callable[[Tensor], Tensor] = lambda raw: raw

    def __call__(self, z: Tensor) -> Tensor:
        """E[x|z]."""
        return self.mean(self.network(z))


@dataclass(frozen=True)
class Context:
    """Facts about the model and the data that a regularizer may use.

    Attributes:
        latent_dim: d.
        train_size: images in the training split.
        image_shape: (C, H, W).
    """

    latent_dim: int
    train_size: int
    image_shape: tuple[int, int, int]


class Regularizer(nn.Module):
    """A weighted penalty, and the hooks by which it takes part in training.

    Attributes:
        prior_scale: standard deviation of the isotropic Gaussian that is the model's own prior; None
            where the method has no prior.
        held_out: training images, drawn anew every ``redraw_every`` epochs, that do not drive SGD and
            whose encodings go to :meth:`refresh`.
        refresh_every: steps between two calls of :meth:`refresh`; 0 for never.
        redraw_every: epochs between two draws of the held-out images.
        adversary: a network with its own optimizer, trained on :meth:`adversary_loss`. Its parameters
            get no gradient from :meth:`forward`.
        adversary_learning_rate: of that optimizer.
        starts_from_validation: True if :meth:`end_epoch` should also be called before the first epoch.
        needs_variance: True if a deterministic posterior is refused.
        formula: the term in one line, as :class:`~vaebench.model.likelihoods.base.Likelihood` has it.
        citation: the publication.
    """

    formula: ClassVar[str | dict] = ""
    citation: ClassVar[str | dict] = ""
    prior_scale: float | None = 1.0
    held_out: int = 0
    refresh_every: int = 0
    redraw_every: int = 1
    adversary_learning_rate: float = 1e-3
    starts_from_validation: bool = False
    needs_variance: ClassVar[bool] = False

    def __init__(self, context: Context):
        super().__init__()
        self.context = context
        self.adversary: nn.Module | None = None

    def forward(self, latent: Latent, decoder: Decoder) -> Tensor:
        """The weighted penalty, a scalar, mean over the batch, in nats where it has a unit.

        Args:
            latent: the batch's posteriors and draws.
            decoder: maps (B, d) to mean images (B, C, H, W).
        """
        raise NotImplementedError

    def refresh(self, z: Tensor) -> None:
        """Take the held-out images' encodings, (held_out, d), made in evaluation mode without gradient."""

    def adversary_loss(self, latent: Latent) -> Tensor:
        """Objective of the adversary, a scalar; ``latent`` carries no gradient."""
        raise NotImplementedError

    def end_epoch(self, validation_residual: Tensor) -> None:
        """Adapt to the model's present reconstructions.

        Args:
            validation_residual: (N,), each validation image's Σ (x − x̂)².
        """

    def comparable(self, value: float) -> float:
        """Value of :meth:`forward` on a scale that stays the same over epochs.

        The learning-rate schedule and early stopping follow the reconstruction plus this.
        """
        return value

    def monitor(self) -> dict[str, float]:
        """Numbers for the history's row of this epoch; waits for the device."""
        return {}

    def log_var(self, latent: Latent) -> Tensor:
        """The posterior's ln σ², for a penalty that cannot do without."""
        if latent.log_var is None:
            raise UserError(
                f"the regularizer {type(self).__name__} needs a posterior with a variance, and this method's "
                "is deterministic; set posterior.name to gaussian or shared, or choose another regularizer."
            )
        return latent.log_var
