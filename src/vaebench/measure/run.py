"""A trained model with everything that its metrics need.

    run = Run.open(
        prepared=Path("data/prepared/quickstart/digits"),
        model=Path("data/models/quickstart/digits/vae/0"),
        densities={"prior": Path("data/densities/quickstart/digits/vae/0/prior")},
        reference=Path("data/reference/quickstart/digits"),
        seed=0,
    )
    evaluate(run, [{"name": "reconstruction"}, {"name": "fid"}])

Every random draw comes from (seed, a tag), so a metric's value depends neither on which other metrics are
computed nor on their order.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vaebench.base.errors import UserError
from vaebench.measure.clock import Clock
from vaebench.measure.interpolation import interpolate
from vaebench.measure.metrics import METRICS

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vaebench.data.store import Prepared
    from vaebench.densities.base import Density
    from vaebench.measure.features.reference import Reference
    from vaebench.model.vae import VAE

__all__ = ["Run", "evaluate"]


@dataclass
class Run:
    """A trained model, its data and densities, and the reference and settings that measuring needs.

    Attributes:
        model: in evaluation mode, on ``device``.
        data: the prepared data set.
        latents: ``train_mean``, ``test_mean`` (N, d) and, of a stochastic posterior, ``train_std``,
            ``test_std``, row by row as the data set's splits.
        densities: the fitted densities by name; None where a method has none.
        reference: the feature network and the real features; None where no metric needs them.
        device: where the model is.
        seed: of every random draw.
        samples: images generated per set, and latents per estimate.
        batch_size: images on the device at a time.
        diverged_at_epoch: the epoch at which training failed; None where it did not.
        clock: seconds by part: ``decoding``, ``features``, and each metric less these.
    """

    model: VAE
    data: Prepared
    latents: Mapping[str, np.ndarray]
    densities: Mapping[str, Density | None]
    reference: Reference | None
    device: torch.device
    seed: int
    samples: int = 10_000
    batch_size: int = 500
    diverged_at_epoch: int | None = None
    clock: Clock = field(default_factory=Clock, init=False, repr=False)
    _features: dict[str, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def open(
        cls,
        *,
        prepared: Path,
        model: Path,
        densities: Mapping[str, Path],
        reference: Path | None,
        seed: int,
        samples: int = 10_000,
        batch_size: int = 500,
        device: str | torch.device = "cpu",
    ) -> Run:
        """Read what the earlier stages wrote.

        Raises:
            UserError: a file is missing or damaged.
        """
        import torch

        from vaebench.data.store import Prepared
        from vaebench.densities.saved import load_latents
        from vaebench.densities.store import load_density
        from vaebench.measure.features.reference import load_reference
        from vaebench.model.vae import load_model

        device = torch.device(device)
        latents = load_latents(model / "latents.npz")
        diverged = latents.get("diverged")
        return cls(
            model=load_model(model, device),
            data=Prepared.open(prepared),
            latents=latents,
            densities={name: load_density(folder) for name, folder in densities.items()},
            reference=None if reference is None else load_reference(reference, device),
            device=device,
            seed=seed,
            samples=samples,
            batch_size=batch_size,
            diverged_at_epoch=None if diverged is None else int(diverged),
        )

    @property
    def prior_scale(self) -> float | None:
        """Standard deviation of the model's own prior; None without one."""
        return self.model.prior_scale

    @property
    def stochastic(self) -> bool:
        """True if the posterior has a variance."""
        return "test_std" in self.latents

    def rng(self, tag: str) -> np.random.Generator:
        """A generator that depends on the seed and ``tag`` alone."""
        return np.random.default_rng([self.seed, zlib.crc32(tag.encode())])

    def torch_generator(self, tag: str) -> torch.Generator:
        """As :meth:`rng`, on the device."""
        import torch

        seed = int(self.rng(tag).integers(2**63 - 1))
        return torch.Generator(self.device).manual_seed(seed)

    def subset(self, size: int, most: int | None, tag: str) -> np.ndarray:
        """At most ``most`` of ``size`` rows, in order: all of them, or a random choice without repetition."""
        if most is None or size <= most:
            return np.arange(size)
        return np.sort(self.rng(tag).choice(size, most, replace=False))

    @staticmethod
    def shared_subset(size: int, most: int | None, tag: str) -> np.ndarray:
        """As :meth:`subset`, but the same rows whatever the seed, so that models compare on one set."""
        if most is None or size <= most:
            return np.arange(size)
        rng = np.random.default_rng(zlib.crc32(tag.encode()))
        return np.sort(rng.choice(size, most, replace=False))

    def images(self, split: str, rows: np.ndarray) -> Iterator[Tensor]:
        """The images of ``rows`` of a split, batch by batch, on the device in the model's value range."""
        images = self.data.split(split)
        for start in range(0, len(rows), self.batch_size):
            yield self.to_model(images[rows[start : start + self.batch_size]])

    def to_model(self, images: np.ndarray) -> Tensor:
        """Stored images (n, C, H, W) on the device in the model's value range."""
        import torch

        return self.data.value_range.to_model(torch.from_numpy(np.array(images)).to(self.device))

    def decode(self, z: np.ndarray) -> Iterator[Tensor]:
        """The mean images of ``z`` (n, d), batch by batch, on the device in the model's value range."""
        return self._in_batches(self.model.decode, z)

    def _in_batches(self, function: Callable[[Tensor], Tensor], z: np.ndarray) -> Iterator[Tensor]:
        import torch

        from vaebench.base.precision import exact

        for start in range(0, len(z), self.batch_size):
            batch = torch.from_numpy(z[start : start + self.batch_size]).to(self.device, torch.float32)
            with self.clock.part("decoding"), exact():
                images = function(batch)
            yield images

    def render(self, z: np.ndarray) -> Iterator[Tensor]:
        """Images decoded from ``z``, as images like the real ones: of 8 bits where those are uint8."""
        import torch

        generator = self.torch_generator("render")
        for x in self._in_batches(lambda batch: self.model.render(batch, generator), z):
            unit = self.data.value_range.to_unit(x).clamp(0, 1)
            yield (unit * 255).round().to(torch.uint8) if self.data.images.dtype == np.uint8 else unit

    def codes(self, kind: str, draw: int = 0) -> np.ndarray:
        """The latents (n, d) of a set of images that :meth:`features` knows."""
        means, again = self.latents["test_mean"], f" {draw}" if draw else ""
        if kind == "recon":
            return means[self.subset(len(means), self.samples, kind + again)]
        if kind in ("interp_mid", "interp_random"):
            rng = self.rng(f"interpolation{again}")
            first = rng.integers(len(means), size=self.samples)
            second = (first + rng.integers(1, len(means), size=self.samples)) % len(means)
            ratio = rng.uniform(size=self.samples) if kind == "interp_random" else np.full(self.samples, 0.5)
            return interpolate(means[first], means[second], ratio)
        return self.densities[kind].sample(  # type: ignore[union-attr]
            self.samples, self.rng(f"sample {kind}{again}")
        )

    def features(self, kind: str, draw: int = 0) -> np.ndarray:
        """Features (n, D) float32 of a set of generated images; of the first draw extracted once.

        Args:
            kind: ``recon`` (reconstructions of test images from the posterior mean), ``interp_mid`` or
                ``interp_random`` (spherical interpolations of random pairs of test images, half-way or
                at a random point), or a density's name (its samples decoded).
            draw: number of the draw.
        """
        if self.reference is None:
            raise UserError(
                "a metric compares images by features, and there are none to compare with: set "
                "evaluation.features to a network, inception or classifier say."
            )
        if draw:
            return self.reference.stream(self.render(self.codes(kind, draw)))
        if kind not in self._features:
            with self.clock.part("features"):
                self._features[kind] = self.reference.stream(self.render(self.codes(kind)))
        return self._features[kind]


def evaluate(
    run: Run, specs: Sequence[Mapping[str, Any]], say: Callable[[str], None] = lambda line: None
) -> dict:
    """The metrics that ``specs`` name, merged into one nested mapping of plain numbers.

    A value that is not finite was not computed and is left out. A run that diverged has no metrics: its
    mapping is ``{"diverged_at_epoch": n}``.

    Args:
        run: the model.
        specs: ``{name: …, option: …}`` of each metric.
        say: called with a line before each metric.

    Raises:
        UserError: an unknown metric or option.
    """
    if run.diverged_at_epoch is not None:
        return {"diverged_at_epoch": run.diverged_at_epoch}
    merged: dict = {}
    for index, spec in enumerate(specs, 1):
        say(f"measuring {spec['name']}, {index} of {len(specs)}")
        with run.clock.part(spec["name"]):
            result = METRICS.build(spec, run)
        if not isinstance(result, Mapping):
            raise UserError(
                f"metric {spec['name']!r} returned {result!r}; it should be a mapping of names to numbers, "
                "an empty one where it does not apply."
            )
        _merge(merged, result, spec["name"])
    return merged


def _merge(into: dict, more: Mapping, metric: str, path: str = "") -> None:
    for key, value in more.items():
        where, old = f"{path}{key}", into.get(key)
        if isinstance(value, Mapping):
            inner = old if isinstance(old, dict) else {}
            _merge(inner, value, metric, f"{where}.")
            if not inner:
                continue
            new: dict | float = inner
        else:
            number = _number(value, metric, where)
            if not math.isfinite(number):
                continue
            new = number
        if old is not None and new is not old:
            raise UserError(
                f"metric {metric!r} returned {where}, which another metric of the study has written."
            )
        into[key] = new


def _number(value: object, metric: str, where: str) -> int | float:
    try:
        number = value.item() if hasattr(value, "item") else value
    except ValueError:
        number = None
    if isinstance(number, int | float):
        return int(number) if isinstance(number, int) else number
    raise UserError(
        f"metric {metric!r} returned {value!r} as {where}; it should be a number, NaN where it cannot be "
        "computed."
    )
