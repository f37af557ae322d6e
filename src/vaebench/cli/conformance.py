"""Requirements on an axis value: the checks of ``vaebench check``, and of our own values in tests.

=========  ==========================================================================================
described  a docstring, annotated and documented options, and what tables need: a label
gradients  in float64 they are those of finite differences, in random directions
bf16       steps in bf16 leave losses and weights finite
resumes    what is saved brings back all that the next result depends on
repeats    a seed determines the result, bit by bit
memory     no tensor more is kept after more steps
=========  ==========================================================================================

A value that takes part in training is checked in a small model of which the other axes have simple values.
"""

from __future__ import annotations

import copy
import gc
import inspect
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from vaebench.base.errors import UserError
from vaebench.cli.networks import SHAPES
from vaebench.data.store import Prepared
from vaebench.densities.base import NoDensity
from vaebench.densities.store import load_density
from vaebench.measure.features.base import FeatureNetwork
from vaebench.measure.features.frechet import moments
from vaebench.measure.features.reference import Reference, build_reference, load_reference
from vaebench.measure.run import Run, evaluate
from vaebench.model.likelihoods import LIKELIHOODS
from vaebench.model.vae import VAE, ModelSpec
from vaebench.report.describe import describe, is_measure
from vaebench.study.params import Training, registry
from vaebench.training.encode import encode_data
from vaebench.training.state import are_finite_weights
from vaebench.training.step import Step

__all__ = ["AXES", "CHECKS", "Finding", "check_value"]

CHECKS = ("described", "gradients", "bf16", "resumes", "repeats", "memory")

BATCH, IMAGES, TRAIN_SIZE = 4, 64, 100_000
DIRECTIONS, STEPS = 3, 3
TOLERANCE = 1e-4
"""Of a slope, relative to what is usual for a random direction."""


class Fault(Exception):  # noqa: N818
    """A fault of a value; the message is a sentence."""


class NotApplicable(Exception):  # noqa: N818
    """A check that does not apply; the message is the reason."""


@dataclass(frozen=True)
class Finding:
    """Result of one check."""

    check: str
    status: Literal["ok", "fails", "not applicable"]
    detail: str


def check_value(axis: str, name: str, options: Mapping[str, Any] | None = None) -> Iterator[Finding]:
    """Check a registered value, one finding per check of :data:`CHECKS`.

    Args:
        axis: one of :data:`AXES`.
        name: of the value.
        options: its options; others have their defaults.

    Raises:
        UserError: an unknown name or option.
    """
    known = registry(axis).options(name)
    if bare := [option for option, found in known.items() if found.annotation is found.empty]:
        yield Finding("described", "fails", f"without annotation, which is its schema: {', '.join(bare)}")
        return
    spec = registry(axis).check({"name": name, **(options or {})}, axis)
    with torch.random.fork_rng(devices=[]):
        trial = AXES[axis](axis, spec)
        for check in CHECKS:
            yield _finding(check, getattr(trial, check))


def _finding(check: str, run: Callable[[], str]) -> Finding:
    try:
        with _older_objects_aside():
            return Finding(check, "ok", run())
    except (NotApplicable, NoDensity) as reason:
        return Finding(check, "not applicable", str(reason))
    except (Fault, UserError) as fault:
        return Finding(check, "fails", str(fault))
    except Exception as error:  # whatever a contribution raises is a finding
        return Finding(check, "fails", f"{type(error).__name__}: {error}")


def _not(reason: str) -> Callable[[Any], str]:
    def check(self: Any) -> str:
        raise NotApplicable(reason)

    return check


class _Trial:
    """The checks of a value; subclasses know what the values of an axis do."""

    def __init__(self, axis: str, spec: dict[str, Any]):
        self.axis, self.spec = axis, spec
        self.value = registry(axis).load(spec["name"])

    def described(self) -> str:
        wanting = [*self._undocumented(), *self.unlabelled()]
        if wanting:
            raise Fault("; ".join(wanting))
        options = registry(self.axis).options(self.spec["name"])
        return f"docstring and {len(options)} options"

    def _undocumented(self) -> Iterator[str]:
        own = self.value.__doc__ or ""
        if not own:
            yield "it has no docstring"
        known = f"{own} {inspect.getdoc(inspect.getmodule(self.value)) or ''}"
        for name in registry(self.axis).options(self.spec["name"]):
            if name not in known:
                yield f"the docstring does not mention option {name!r}"

    def unlabelled(self) -> Iterator[str]:
        """Descriptions that tables need and do not find, in sentences."""
        return iter(())


class _Trained(_Trial):
    """A likelihood, a regularizer, a posterior or a network, in a small model."""

    def __init__(self, axis: str, spec: dict[str, Any]):
        super().__init__(axis, spec)
        self.shape = self._shape()
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randint(0, 256, (IMAGES, *self.shape), generator=generator, dtype=torch.uint8)

    def _shape(self) -> tuple[int, int, int]:
        for shape in SHAPES if self.axis == "network" else ():
            try:
                registry("network").build(self.spec, shape)
            except UserError:
                continue
            return shape
        return (1, 8, 8)

    def model(self, seed: int = 0) -> VAE:
        """A new model with the value in it."""
        axes: dict[str, dict[str, Any]] = {
            "network": {"name": "compact", "latent_dim": 4},
            "likelihood": {"name": "l2"},
            "regularizer": {"name": "kl"},
            "posterior": {"name": "gaussian"},
        }
        axes[self.axis] = self.spec
        accepted = LIKELIHOODS.build(axes["likelihood"], self.shape, "sigmoid").value_range
        torch.manual_seed(seed)
        return ModelSpec(
            image_shape=self.shape, value_range=accepted or (0.0, 1.0), train_size=TRAIN_SIZE, **axes
        ).build()

    def part(self, model: VAE, x: Tensor) -> Tensor:
        """The part of the objective that is the value's."""
        losses = model.loss(x)
        parts = {"likelihood": losses.reconstruction, "regularizer": losses.regularization}
        return parts.get(self.axis, losses.total)

    def gradients(self) -> str:
        model = self.model().double().train()
        _begin_epoch(model)
        x = model.value_range.to_model(self.images[:BATCH]).double()
        gradient = self._gradient(model, x)
        usual = sum(float(g.square().mean()) for g in gradient.values()) ** 0.5
        worst = 0.0
        for number in range(DIRECTIONS):
            direction = _direction(gradient, number)
            slope = sum(float((gradient[name] * step).sum()) for name, step in direction.items())
            found = [self._difference(model, x, direction, size) for size in (1e-5, 1e-6, 1e-7)]
            worst = max(worst, min(abs(value - slope) for value in found))
        if not worst <= TOLERANCE * usual:
            raise Fault(
                f"they differ from finite differences in float64 by {worst:.1e}, where {usual:.1e} is usual: "
                "a wrong formula, something detached, or something computed in float32"
            )
        return f"as finite differences in float64 in {DIRECTIONS} directions, to {worst / usual:.0e}"

    def _gradient(self, model: VAE, x: Tensor) -> dict[str, Tensor]:
        twin = copy.deepcopy(model)
        torch.manual_seed(1)
        value = self.part(twin, x)
        if not value.requires_grad:
            raise NotApplicable("it depends on no weight")
        adversary = twin.regularizer.adversary
        opponent = {id(p) for p in adversary.parameters()} if adversary is not None else set()
        weights = {n: p for n, p in twin.named_parameters() if id(p) not in opponent and p.requires_grad}
        found = torch.autograd.grad(value, list(weights.values()), materialize_grads=True)
        return dict(zip(weights, found, strict=True))

    def _difference(self, model: VAE, x: Tensor, direction: Mapping[str, Tensor], size: float) -> float:
        values = []
        for sign in (1, -1):
            twin = copy.deepcopy(model)
            with torch.no_grad():
                for name, weight in twin.named_parameters():
                    if name in direction:
                        weight += sign * size * direction[name]
            torch.manual_seed(1)
            values.append(self.part(twin, x).item())
        return (values[0] - values[1]) / (2 * size)

    def bf16(self) -> str:
        course = _Course(self.model(), self.images, "bf16")
        course.take(STEPS)
        if not np.isfinite(course.losses).all():
            raise Fault(f"the losses of {STEPS} steps are {course.losses}")
        if not are_finite_weights(course.model.state_dict()):
            raise Fault(f"weights are not finite after {STEPS} steps")
        return f"{STEPS} steps, all finite"

    def resumes(self) -> str:
        course = _Course(self.model(), self.images)
        course.take(STEPS)
        course.end_epoch()
        saved = course.state()
        course.take(STEPS)
        again = _Course(self.model(seed=1), self.images)
        again.restore(saved)
        again.take(STEPS)
        if course.losses[STEPS:] != again.losses:
            raise Fault(
                f"the losses after it went on from its state are {again.losses}, without the break "
                f"{course.losses[STEPS:]}: something is kept that is neither a parameter nor a buffer"
            )
        return f"{STEPS} steps after it went on from its state are the same bits"

    def repeats(self) -> str:
        first, same = (self._losses() for _ in range(2))
        if first != same:
            raise Fault(
                f"the losses of two trainings of one seed are {first} and {same}: torch's generator is the "
                "only one that a seed sets"
            )
        return f"{STEPS} steps of one seed are the same bits"

    def _losses(self) -> list[float]:
        course = _Course(self.model(), self.images)
        course.take(STEPS)
        return course.losses

    def memory(self) -> str:
        course = _Course(self.model(), self.images)
        weights = sum(p.nbytes for p in course.model.parameters())
        course.take(STEPS)
        return _growth(lambda: course.take(STEPS), f"{STEPS} more steps", weights)


class _Course:
    """A training of some steps, as the training loop takes them."""

    def __init__(self, model: VAE, images: Tensor, precision: Literal["bf16", "fp32"] = "fp32"):
        settings = Training(epochs=1, batch_size=BATCH, precision=precision, compile="never")
        self.model = model.train()
        self.losses: list[float] = []
        self.step = Step(model, images, settings, False, say=lambda line: None)
        self._taken = 0
        torch.manual_seed(2)
        _begin_epoch(model)

    def take(self, steps: int) -> None:
        """Take steps and note the loss of each, with the adversary's added."""
        for _ in range(steps):
            self.step.sums.zero_()
            self.step(torch.arange(BATCH) + BATCH * self._taken)
            self.losses.append(float(self.step.sums[0] + self.step.sums[3]))
            self._taken += 1

    def end_epoch(self) -> None:
        """Run the hooks between two epochs, as the loop does."""
        self.model.regularizer.end_epoch(torch.rand(16))
        _begin_epoch(self.model)

    def state(self) -> dict:
        """As a checkpoint holds it."""
        model, step = self.model.state_dict(), self.step.state_dict()
        return copy.deepcopy(
            {"model": model, "step": step, "random": torch.get_rng_state(), "at": self._taken}
        )

    def restore(self, saved: dict) -> None:
        """Go on from a checkpoint."""
        self.model.load_state_dict(saved["model"])
        self.step.load_state_dict(saved["step"])
        torch.set_rng_state(saved["random"])
        self._taken = saved["at"]


def _begin_epoch(model: VAE) -> None:
    if held_out := model.regularizer.held_out:
        weight = next(model.parameters())
        model.regularizer.refresh(torch.randn(held_out, model.latent_dim, dtype=weight.dtype))


def _direction(gradient: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """A random step per weight tensor, each of length 1."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, like in gradient.items():
        step = torch.randn(like.shape, generator=generator, dtype=like.dtype)
        found[name] = step / step.norm()
    return found


@contextmanager
def _older_objects_aside() -> Iterator[None]:
    """Collect and count new objects alone: those of torch and its like are a hundred times as many."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _growth(more: Callable[[], object], what: str, scale: int = 0) -> str:
    before = _kept()
    more()
    grown = _kept() - before
    if grown > 0:
        raise Fault(f"{grown:,} bytes of tensors more are kept after {what}: detach what is kept for later")
    return f"no tensor more is kept after {what}" + (
        f"; the model's weights are {scale:,} bytes" if scale else ""
    )


def _kept() -> int:
    gc.collect()
    return sum(found.nbytes for found in gc.get_objects() if type(found) in (Tensor, nn.Parameter))


class _Density(_Trial):
    """A density, on latents of a mixture."""

    gradients = _not("a density is fitted, not trained by the objective")
    bf16 = _not("latents are float32")

    def __init__(self, axis: str, spec: dict[str, Any]):
        super().__init__(axis, spec)
        rng = np.random.default_rng(0)
        means = rng.standard_normal((300, 3)) + 4 * rng.integers(0, 2, (300, 1))
        self.latents = {
            "train_mean": means.astype(np.float32),
            "test_mean": means[:50].astype(np.float32),
            "train_std": np.full((300, 3), 0.1, np.float32),
            "test_std": np.full((50, 3), 0.1, np.float32),
            "prior_scale": np.array(1.0, np.float32),
        }

    def fitted(self, seed: int = 0) -> Any:
        """The density, fitted."""
        density = registry(self.axis).build(self.spec)
        density.fit(self.latents, seed)
        return density

    @staticmethod
    def drawn(density: Any) -> np.ndarray:
        """Its first samples."""
        samples = density.sample(20, np.random.default_rng(0))
        if samples.shape != (20, 3) or samples.dtype != np.float32 or not np.isfinite(samples).all():
            raise Fault(
                f"it samples {samples.shape}, {samples.dtype}, and not 20 finite float32 latents of 3"
            )
        return samples

    def resumes(self) -> str:
        density = self.fitted()
        with tempfile.TemporaryDirectory() as folder:
            density.save(Path(folder))
            again = load_density(folder)
        if not np.array_equal(self.drawn(density), self.drawn(again)):
            raise Fault("after save and load it draws other samples of one seed")
        return "saved and loaded, it draws the same bits"

    def repeats(self) -> str:
        first, same = (self.drawn(self.fitted()) for _ in range(2))
        if not np.array_equal(first, same):
            raise Fault("two fits of one seed draw other samples of one seed")
        return "two fits of one seed draw the same bits"

    def memory(self) -> str:
        density = self.fitted()
        return _growth(lambda: self.drawn(density), "sampling")


class _Features(_Trial):
    """A feature network, on pictures of bars with labels."""

    gradients = _not("no objective is differentiated through it")
    bf16 = _not("features are taken in float32")

    def __init__(self, axis: str, spec: dict[str, Any]):
        super().__init__(axis, spec)
        self.data = _bars(24)

    def unlabelled(self) -> Iterator[str]:
        """Class attributes that tables need and do not find, in sentences."""
        for name in ("label", "compares", "about"):
            if not isinstance(getattr(self.value, name, None), str):
                yield f"the class has no {name!r}"

    @contextmanager
    def reference(self) -> Iterator[tuple[Reference, Path]]:
        """The reference of the data set and its folder."""
        with tempfile.TemporaryDirectory() as folder:
            made = build_reference(self.data, self.spec, 0, Path(folder))
            if made is None:
                raise NotApplicable("it has no features")
            if made.features.ndim != 2 or not np.isfinite(made.features).all():
                raise Fault(f"its features are {made.features.shape}, and not (N, D) finite numbers")
            yield made, Path(folder)

    def resumes(self) -> str:
        with self.reference() as (made, folder):
            json.loads((folder / "reference.json").read_text(encoding="utf-8"))
            again, images = load_reference(folder), self.data.split("train")
            if again is None or not np.array_equal(made.encode(images), again.encode(images)):
                raise Fault("loaded from its folder it gives other features")
        return "loaded from its folder it gives the same bits"

    def repeats(self) -> str:
        with self.reference() as (made, _):
            whole = made.encode(self.data.split("train"))
            single = np.concatenate([made.encode(image[None]) for image in self.data.split("train")[:5]])
        with self.reference() as (again, _):
            if not np.array_equal(again.encode(self.data.split("train")), whole):
                raise Fault("two networks of one seed give other features")
        if not np.allclose(single, whole[:5], rtol=1e-3, atol=1e-4 * np.abs(whole).max()):
            raise Fault("an image's features depend on the others in its batch")
        return "a seed determines the features, whatever the batch"

    def memory(self) -> str:
        with self.reference() as (made, _):
            return _growth(lambda: made.encode(self.data.split("train")), "encoding")


class _Pixels(FeatureNetwork):
    """The pixels themselves."""

    label, compares, about = "FD pixels", "within a study", "pixels"

    def load(self, folder, device, learned):
        return lambda images: images.flatten(1)


class _Metric(_Trial):
    """A metric, of a small model that was not trained."""

    gradients = _not("nothing is trained by a metric")
    bf16 = _not("measurements are exact")
    resumes = _not("a metric keeps nothing")

    def run(self) -> Run:
        """A model and all that measuring it needs."""
        data, device = _bars(), torch.device("cpu")
        torch.manual_seed(0)
        spec = ModelSpec(
            image_shape=data.shape,
            train_size=len(data.split("train")),
            network={"name": "compact", "latent_dim": 4},
            likelihood={"name": "gaussian", "variance": "mle"},
            regularizer={"name": "kl"},
        )
        model = spec.build().eval()
        latents = encode_data(model, data, device)
        densities = {name: registry("density").build({"name": name}) for name in ("prior", "gaussian")}
        for density in densities.values():
            density.fit(latents, 0)
        real = data.split("test").reshape(len(data.split("test")), -1) / np.float32(255)
        reference = Reference("inception", _Pixels().load(None, None, {}), real, *moments(real), device)
        return Run(model, data, latents, densities, reference, device, seed=0, samples=100)

    def measured(self, state: int = 0) -> dict[str, float]:
        """Its numbers by their dotted path, with torch's default generator in some ``state``."""
        run = self.run()
        weights = {name: value.clone() for name, value in run.model.state_dict().items()}
        torch.manual_seed(state)
        found = dict(_flat(evaluate(run, [self.spec])))
        if any(not torch.equal(value, weights[name]) for name, value in run.model.state_dict().items()):
            raise Fault("it changes the model's weights")
        if not found:
            raise NotApplicable("it has no number for a model with a Gaussian posterior")
        return found

    def unlabelled(self) -> Iterator[str]:
        """The numbers that tables show by their path alone."""
        for path in self.measured():
            if is_measure(path) and describe(path).label == path:
                yield f"{path} has no label: give it one by vaebench.base.described.describes"

    def repeats(self) -> str:
        first, same = self.measured(0), self.measured(1)
        if first != same:
            changed = [name for name in first if first[name] != same.get(name)]
            raise Fault(
                f"a second measurement gives other numbers: {', '.join(changed)}; draw from run.rng(tag)"
            )
        return f"{len(first)} numbers, the same bits twice"

    def memory(self) -> str:
        run = self.run()
        evaluate(run, [self.spec])
        return _growth(lambda: evaluate(run, [self.spec]), "measuring")


def _flat(content: Mapping, path: str = "") -> Iterator[tuple[str, float]]:
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _bars(count: int = 240) -> Prepared:
    """At most 240 pictures (1, 16, 16) of a bar: its direction is the label, all of it the factors."""
    factors = np.stack(np.meshgrid(*map(np.arange, (2, 6, 5)), indexing="ij"), -1).reshape(-1, 3)
    factors = np.random.default_rng(1).permutation(np.concatenate([factors] * 4))[:count]
    images = np.random.default_rng(0).integers(0, 40, (len(factors), 1, 16, 16)).astype(np.uint8)
    for image, (turned, place, brightness) in zip(images, factors, strict=True):
        picture = image[0].T if turned else image[0]
        picture[2 * place : 2 * place + 4] += np.uint8(40 * brightness + 30)
    half = len(images) // 2
    meta = {
        "dataset": "bars",
        "shape": list(images.shape[1:]),
        "splits": {"train": [0, half], "test": [half, len(images)]},
        "value_range": [0, 1],
        "factor_names": ["turned", "place", "brightness"],
        "factor_sizes": [2, 6, 5],
    }
    return Prepared(Path("bars"), images, factors[:, 0].copy(), factors, meta)


AXES: dict[str, type[_Trial]] = {
    "network": _Trained,
    "likelihood": _Trained,
    "regularizer": _Trained,
    "posterior": _Trained,
    "density": _Density,
    "features": _Features,
    "metric": _Metric,
}
"""The axes whose values can be checked."""
