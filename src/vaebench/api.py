"""The library: a model from a folder or from a point on the axes, its training, the metrics of any model.

Images are (B, C, H, W) in the data set's value range, latents (B, d).

>>> import tempfile, torch
>>> from pathlib import Path
>>> from vaebench import evaluate
>>> from vaebench.data.preparation import prepare
>>> data = prepare({"name": "digits"}, Path(tempfile.mkdtemp(), "digits"))
>>> class Mean:
...     '''The model that encodes every image as nothing and decodes it as grey.'''
...     def encode(self, x):
...         return torch.zeros(len(x), 2)
...     def decode(self, z):
...         return torch.full((len(z), 1, 8, 8), 0.3)
>>> round(evaluate(Mean(), data)["psnr"], 1)
8.5
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, Protocol

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from vaebench.base.errors import UserError
from vaebench.base.files import write_folder
from vaebench.base.registry import explain
from vaebench.data.store import Prepared
from vaebench.densities import DENSITIES
from vaebench.densities.base import Density, NoDensity
from vaebench.measure.features.reference import Reference, load_reference
from vaebench.measure.metrics import METRICS
from vaebench.measure.run import Run
from vaebench.measure.run import evaluate as measure
from vaebench.model.posteriors.base import Latent
from vaebench.model.vae import VAE, ModelSpec, load_model
from vaebench.study.params import Training, needing
from vaebench.training.encode import encode_data
from vaebench.training.loop import Outcome
from vaebench.training.loop import train as fit

__all__ = [
    "Autoencoder",
    "Measured",
    "ModelSpec",
    "build_method",
    "evaluate",
    "evaluate_samples",
    "load_model",
    "train",
]


class Autoencoder(Protocol):
    """A model that :func:`evaluate` measures; a :class:`~vaebench.model.vae.VAE` is one."""

    def encode(self, x: Tensor) -> Latent | tuple[Tensor, Tensor] | Tensor:
        """q(z|x): a Latent, or mean and ln σ² (B, d) each, or the code (B, d) of a deterministic encoder."""

    def decode(self, z: Tensor) -> Tensor:
        """E[x|z], (B, C, H, W)."""


def build_method(
    method: Mapping[str, Any],
    image_shape: tuple[int, int, int],
    *,
    network: Mapping[str, Any],
    train_size: int,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> VAE:
    """A point on the axes as a newly initialized model.

    Args:
        method: as an entry of ``methods`` in params.yaml: ``likelihood``, ``regularizer``, ``posterior``.
        image_shape: (C, H, W).
        network: as ``datasets.<d>.network`` in params.yaml.
        train_size: the number of training images, which some regularizers need.
        value_range: of the images that the model sees.

    Raises:
        UserError: an unknown value or option, or a combination that does not fit.

    >>> model = build_method(
    ...     {"likelihood": {"name": "bernoulli"}, "regularizer": {"name": "kl", "weight": 4.0}},
    ...     (1, 8, 8), network={"name": "compact"}, train_size=1000,
    ... )
    >>> model.loss(torch.rand(16, 1, 8, 8)).total.backward()
    """
    point = {key: value for key, value in method.items() if key not in ("label", "training")}
    try:
        spec = ModelSpec(
            image_shape=image_shape,
            value_range=value_range,
            train_size=train_size,
            network=dict(network),
            **point,
        )
    except ValidationError as error:
        raise UserError(explain(error, "method", ModelSpec)) from None
    return spec.build()


def train(
    model: VAE,
    data: Prepared | str | Path,
    epochs: int,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    on_epoch: Callable[[list[dict]], None] = lambda history: None,
    **schedule: Any,
) -> Outcome:
    """Train a model in place, as the *train* stage does, without checkpoints.

    Args:
        model: newly initialized.
        data: a prepared data set, or its folder.
        epochs: passes over the training images.
        seed: determines batch order and noise.
        device: where the images and the model go.
        on_epoch: called with the history after each epoch.
        schedule: other keys of ``training`` in params.yaml: ``batch_size``, ``learning_rate``, ….

    Returns:
        The history and, where the training diverged, the epoch. The model is in evaluation mode.

    Raises:
        UserError: an unknown key, or data that do not fit the method.

    >>> import tempfile
    >>> from vaebench.data.preparation import prepare
    >>> data = prepare({"name": "digits"}, Path(tempfile.mkdtemp(), "digits"))
    >>> model = build_method({"likelihood": {"name": "l2"}, "regularizer": {"name": "kl"}}, data.shape,
    ...                      network={"name": "compact"}, train_size=len(data.split("train")))
    >>> len(train(model, data, epochs=2, batch_size=50).history)
    2
    """
    try:
        settings = Training.model_validate({"epochs": epochs, **schedule})
    except ValidationError as error:
        raise UserError(explain(error, "train", Training)) from None
    return fit(
        model,
        _open(data),
        settings,
        seed=seed,
        device=torch.device(device),
        on_epoch=on_epoch,
        say=lambda line: None,
    )


def evaluate(
    model: Autoencoder,
    data: Prepared | str | Path,
    metrics: Sequence[str | Mapping[str, Any]] = ("reconstruction",),
    *,
    densities: Mapping[str, Mapping[str, Any]] | None = None,
    reference: Reference | str | Path | None = None,
    prior_scale: float | None = 1.0,
    seed: int = 0,
    samples: int = 10_000,
    batch_size: int = 500,
    device: str | torch.device = "cpu",
) -> Measured:
    """The metrics of a model, as the *evaluate* stage computes them.

    Args:
        model: a model of vaebench, or any object with ``encode`` and ``decode`` (see :class:`Autoencoder`)
            that takes and gives images in the data set's value range.
        data: a prepared data set, or its folder.
        metrics: names, or ``{"name": …, option: …}`` as under ``evaluation.metrics`` in params.yaml.
        densities: densities to sample latents from, as in params.yaml, each fitted to the training
            images' encodings; by default the prior alone.
        reference: real images' features that ``fid`` and ``prd`` compare with; see
            :func:`vaebench.measure.features.reference.build_reference`.
        prior_scale: standard deviation of the model's prior N(0, s²I), None where it has none. A model of
            vaebench knows its own.
        seed: of every random draw.
        samples: images generated per set.
        batch_size: images at a time.
        device: where the model is.

    Returns:
        Nested numbers, ``{"mse": …, "fid": {"prior": …}}``; what the model has not is absent. As a row of a
        study: :meth:`Measured.record`, with pictures that are drawn now, of the model as it was measured.

    Raises:
        UserError: an unknown metric or option, a metric that needs what is not given.

    >>> import tempfile
    >>> from vaebench.data.preparation import prepare
    >>> data = prepare({"name": "digits"}, Path(tempfile.mkdtemp(), "digits"))
    >>> model = build_method({"likelihood": {"name": "l2"}, "regularizer": {"name": "kl"}}, data.shape,
    ...                      network={"name": "compact"}, train_size=len(data.split("train")))
    >>> measured = evaluate(model, data, ["reconstruction", "latent"])
    >>> measured["kl"] > measured["kl_se"] > 0, "entropy" in measured["latent"]
    (True, True)
    """
    from vaebench.measure.pictures.grids import grids

    data = _open(data)
    device = torch.device(device)
    specs = [{"name": metric} if isinstance(metric, str) else metric for metric in metrics]
    _check_metrics(specs, model, reference)
    if isinstance(reference, str | Path):
        reference = load_reference(reference, device)
    if isinstance(model, VAE):
        measured: Any = model.to(device).eval()
    else:
        measured = _Foreign(model, data, prior_scale, device)
    latents = encode_data(measured, data, device)
    specified = {"prior": {"name": "prior"}} if densities is None else densities
    run = Run(
        model=measured,
        data=data,
        latents=latents,
        densities={name: _fit(spec, latents, seed) for name, spec in specified.items()},
        reference=reference,
        device=device,
        seed=seed,
        samples=samples,
        batch_size=batch_size,
    )
    return Measured(measure(run, specs), data.path.name, grids(run))


def evaluate_samples(
    images: np.ndarray | Tensor, reference: Reference | str | Path, density: str = "prior"
) -> Measured:
    """The Fréchet distance of a generator's samples to the real images; needs no encoder.

    Args:
        images: (n, C, H, W), uint8 or float in [0, 1].
        reference: of the data set; see :func:`evaluate`.
        density: name under which the samples are reported; by default the model's own prior.

    Returns:
        ``{"fid": {density: …}}``, or the name of the distance in the reference's features.
    """
    from vaebench.measure.pictures.grids import first

    folder = Path(reference) if isinstance(reference, str | Path) else None
    loaded = reference if isinstance(reference, Reference) else load_reference(reference)
    if loaded is None:
        raise UserError(f"{folder} holds no features; the study's evaluation.features is none.")
    distance = loaded.distance(loaded.encode(images))
    picture = first(torch.as_tensor(images).detach().cpu().numpy())
    name = folder.name if folder else ""
    return Measured({loaded.name: {density: distance}}, name, {f"samples-{density}": picture})


class Measured(dict):
    """Nested metrics, which :meth:`record` puts into a study's tables and page.

    Attributes:
        dataset: name of the data set's folder.
        pictures: uint8 (H, W) or (H, W, 3), by name: what ``samples-prior`` and others show on the page.
    """

    def __init__(
        self, metrics: Mapping[str, Any], dataset: str, pictures: Mapping[str, np.ndarray] | None = None
    ):
        super().__init__(metrics)
        self.dataset, self.pictures = dataset, pictures or {}

    def record(
        self, study: str, label: str, *, dataset: str = "", seed: int | None = None, root: str | Path = "."
    ) -> Path:
        """Make these numbers a row of a study, marked as brought from outside; verdicts leave it out.

        `vaebench report` then shows it in the tables, and on the page with its images.

        Args:
            study: its name; ``reports/<study>`` has been tabulated.
            label: the row's name.
            dataset: of the study; by default that of the data's or reference's folder, or the first.
            seed: of the study; by default its first.
            root: the repository.

        Returns:
            The file written.

        Raises:
            UserError: there is no such study, data set or seed.
        """
        from vaebench.measure.pictures.grids import save_pictures
        from vaebench.report.outside import outside_images, record_outside
        from vaebench.report.results import read_results

        folder = Path(root, "reports", study)
        params = read_results(folder).params
        own = self.dataset if self.dataset in params.study.datasets else ""
        path = record_outside(folder, params, label, self, dataset or own, seed)
        with write_folder(outside_images(path)) as temporary:
            save_pictures(self.pictures, temporary)
        return path


def _open(data: Prepared | str | Path) -> Prepared:
    return data if isinstance(data, Prepared) else Prepared.open(data)


def _check_metrics(specs: Sequence[Mapping[str, Any]], model: Autoencoder, reference: object) -> None:
    for spec in specs:
        METRICS.check(spec, "metrics")
    if not isinstance(model, VAE) and (asking := needing("likelihood", specs)):
        raise UserError(
            f"metrics {' and '.join(asking)} ask for p(x|z), and a model with encode and decode alone has "
            "none."
        )
    if reference is None and (comparing := needing("features", specs)):
        raise UserError(
            f"metrics {' and '.join(comparing)} compare features with those of real images: give reference=, "
            "the result of vaebench.measure.features.reference.build_reference(data, 'classifier', seed=0, "
            "folder=…), or its folder."
        )


def _fit(spec: Mapping[str, Any], latents: dict, seed: int) -> Density | None:
    density = DENSITIES.build(spec)
    try:
        density.fit(latents, seed)
    except NoDensity:
        return None
    return density


class _Foreign:
    """An object with ``encode`` and ``decode`` as the metrics want a model."""

    def __init__(self, model: Autoencoder, data: Prepared, prior_scale: float | None, device: torch.device):
        for name in ("encode", "decode"):
            if not callable(getattr(model, name, None)):
                raise UserError(
                    f"a {type(model).__name__} has no {name}(); evaluate needs encode and decode."
                )
        if isinstance(model, nn.Module):
            model.to(device).eval()
        self.decode, self.prior_scale = model.decode, prior_scale
        self._encode = model.encode
        with torch.no_grad():
            images = data.value_range.to_model(torch.from_numpy(data.split("test")[:2].copy()).to(device))
            decoded = self.decode(self.encode(images).mean).shape
        if decoded != images.shape:
            raise UserError(f"decode gives {tuple(decoded)} where the images are {tuple(images.shape)}.")

    def encode(self, x: Tensor) -> Latent:
        match self._encode(x):
            case Tensor() as code:
                return Latent(code, None, code)
            case (mean, log_var):
                return Latent(mean, log_var, mean)
            case latent:
                return latent

    def render(self, z: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.decode(z)

    def _refuse(self) -> NoReturn:
        raise UserError(
            "a metric asks for p(x|z), and a model with encode and decode alone has none; a metric that does "
            "says so by needs_likelihood = True, and is then left out."
        )

    decoder = likelihood = property(_refuse)
