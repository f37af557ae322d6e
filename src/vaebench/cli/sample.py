"""Samples of a trained model as a picture that can be looked at."""

from __future__ import annotations

import math
from pathlib import Path

from vaebench.base.errors import UserError
from vaebench.study.params import load_params
from vaebench.study.paths import density_dir, model_dir

__all__ = ["draw_samples", "find_model"]

WIDTH = 1000
"""Pixels that a picture is enlarged to, at most and by a whole number."""


def find_model(
    params: Path, name: str, density: str | None, dataset: str = "", model_seed: int | None = None
) -> tuple[Path, Path | None]:
    """The folders of a trained model and of a density.

    Args:
        params: the study's file.
        name: a method of the study, or a model's folder.
        density: a density of the study, or a fitted density's folder; None for the model's own prior.
        dataset: of the study; empty for its first.
        model_seed: that the model was trained with; None for the study's first.

    Raises:
        UserError: there is no such model or density; the message says what there is.
    """
    if Path(name, "spec.json").is_file():
        return Path(name), None if density is None else Path(density)
    active = load_params(params, specs=())
    if name not in active.methods:
        raise UserError(
            f"{name} is neither a method of {params} nor a folder with a trained model (spec.json); "
            f"methods are: {', '.join(active.methods)}."
        )
    dataset = dataset or active.study.datasets[0]
    active.check_defined(dataset=dataset)
    cell = active.study.name, dataset, name, active.study.seeds[0] if model_seed is None else model_seed
    model = model_dir(*cell)
    if not (model / "spec.json").is_file():
        stage = "-".join(map(str, cell))
        raise UserError(
            f"{name} is not trained on {dataset} with seed {cell[3]}: `dvc repro train@{stage}` does."
        )
    if density is None or Path(density, "density.json").is_file():
        return model, None if density is None else Path(density)
    folder = density_dir(*cell, density)
    if not folder.is_dir():
        fitted = ", ".join(sorted(path.parent.name for path in density_dir(*cell).glob("*/density.json")))
        raise UserError(
            f"no density {density} is fitted to {name} on {dataset}; there are: {fitted or 'none'}."
        )
    return model, folder


def draw_samples(model: Path, density: Path | None, out: Path, n: int, seed: int) -> None:
    """Write ``n`` samples to ``out``, enlarged to about :data:`WIDTH` pixels.

    Raises:
        UserError: the model has no prior, the density is absent, or ``out`` cannot be written.
    """
    _check(model, out, density)

    from PIL import Image

    from vaebench.densities.sampler import Sampler
    from vaebench.measure.pictures.grids import tile

    sampler = Sampler.load(model, {} if density is None else {"chosen": density})
    if density is None and sampler.prior_scale is None:
        raise _no_prior(model)
    images = sampler.sample(n, "prior" if density is None else "chosen", seed)
    picture = Image.fromarray(tile(images.numpy(), math.ceil(math.sqrt(n))))
    scale = max(1, WIDTH // picture.width)
    picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    try:
        picture.save(out)
    except (OSError, ValueError) as error:
        raise UserError(f"{out} could not be written: {error}.") from None


def _check(model: Path, out: Path, density: Path | None) -> None:
    if not out.parent.is_dir():
        raise UserError(f"{out} cannot be written: there is no folder {out.parent}.")
    if density is not None:
        from vaebench.densities.store import read_record

        if reason := read_record(density).get("absent"):
            raise UserError(f"{density} holds no density: {reason}")


def _no_prior(model: Path) -> UserError:
    fitted = Path(*("densities" if part == "models" else part for part in model.parts))
    available = ", ".join(path.parent.name for path in sorted(fitted.glob("*/density.json")))
    return UserError(
        "this method has no prior to sample from; name a fitted density with --density"
        + (f", one of: {available}." if available else ", which the posthoc stage fits.")
    )
