"""Cost of a study on this machine: measured steps, times its schedule, less what is done.

An epoch's seconds are the median that trainings of the cell recorded here, or else what ``vaebench plan``
measured and keeps in ``.vaebench/costs.json``. Nothing here imports torch.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from vaebench.base.errors import UserError
from vaebench.base.files import read_json, write_json
from vaebench.base.processor import processor
from vaebench.base.reading import mapping_or_empty
from vaebench.study import paths
from vaebench.study.params import Params
from vaebench.study.provenance import digest

__all__ = [
    "Cost",
    "Forecast",
    "Row",
    "duration",
    "fitting",
    "forecast",
    "keep_cost",
    "keep_fit",
    "known_cost",
    "known_fit",
    "parse_duration",
]

COSTS = Path(".vaebench/costs.json")


@dataclass(frozen=True)
class Cost:
    """Measured cost of one method on one data set.

    Attributes:
        step: seconds per step.
        epoch: seconds per epoch, with the validation and the refreshes of a KDE set.
        cell_bytes: on disk, per seed: weights, latents and, while it trains, its checkpoint.
        precision: of the networks.
        share: part of its threads' time that other processes left to this one while it was measured.
        latents: how many a density is fitted to, and their dimension.
    """

    step: float
    epoch: float
    cell_bytes: int
    precision: str
    share: float
    latents: tuple[int, int]


@dataclass(frozen=True)
class Row:
    """One method on one data set.

    Attributes:
        dataset: its name.
        method: its name.
        epochs: of its schedule.
        cost: None where nothing was measured here yet.
        epoch: seconds per epoch: recorded by trainings here, or else ``cost.epoch``; None without either.
        evaluation: seconds of an evaluation as recorded here; None where there was none yet.
        seeds: of the study.
        done: those whose metrics are there.
        reached: epochs that the others' checkpoints hold.
        fits: seconds of fitting a seed's densities, of those that were measured.
    """

    dataset: str
    method: str
    epochs: int
    cost: Cost | None
    epoch: float | None
    evaluation: float | None
    seeds: int
    done: int
    reached: int = 0
    fits: float = 0.0

    @property
    def after_training(self) -> float:
        """Seconds of one seed's densities and, where it is known, its evaluation."""
        return self.fits + (self.evaluation or 0.0)

    @property
    def seed_seconds(self) -> float | None:
        """Of one seed: training and what comes after it."""
        return None if self.epoch is None else self.epoch * self.epochs + self.after_training


@dataclass(frozen=True)
class Forecast:
    """Rows of a study; ``slots`` stages run at a time."""

    rows: tuple[Row, ...]
    slots: int = 1

    @property
    def unknown(self) -> list[str]:
        """The methods of which nothing is measured."""
        return [f"{row.method} on {row.dataset}" for row in self.rows if row.epoch is None]

    @property
    def share(self) -> float:
        """The median of the rows' :attr:`Cost.share`; 1 where none was measured."""
        return statistics.median([row.cost.share for row in self.rows if row.cost] or [1.0])

    def seconds(self, left: bool = False) -> float:
        """Of all rows that are known, or of what is ``left`` of them."""
        total = 0.0
        for row in self.rows:
            total += (row.seed_seconds or 0.0) * (row.seeds - row.done if left else row.seeds)
            total -= (row.epoch or 0.0) * row.reached if left else 0.0
        return max(0.0, total) / self.slots

    def line(self) -> str:
        """Progress of the study and the time left, in one line."""
        done, cells = sum(row.done for row in self.rows), sum(row.seeds for row in self.rows)
        if len(self.unknown) == len(self.rows):
            return (
                f"{done} of {cells} cells are measured; `vaebench plan` says what the others will cost here"
            )
        reached = sum(row.reached for row in self.rows)
        begun = f", {reached} epochs of the others are trained" if reached else ""
        unmeasured = (
            f", without {len(self.unknown)} methods that are not measured yet" if self.unknown else ""
        )
        left = duration(self.seconds(left=True))
        return f"{done} of {cells} cells are measured{begun}; about {left} left{unmeasured}"


def forecast(params: Params, slots: int = 1) -> Forecast:
    """From what is recorded and measured; see :class:`Forecast`."""
    return Forecast(
        tuple(
            _row(params, dataset, method, slots)
            for dataset in params.study.datasets
            for method in params.study.methods
        ),
        slots,
    )


def fitting(plan: Forecast, budget: float) -> list[str]:
    """The part of the rows that fits into ``budget`` seconds, in lines."""
    known = [(row, seconds / plan.slots) for row in plan.rows if (seconds := row.seed_seconds) is not None]
    per_seed = sum(seconds for _, seconds in known)
    if not known or not per_seed:
        return ["nothing is measured, so nothing can be said"]
    left = plan.seconds(left=True)
    if left <= budget:
        return [f"all that is left fits: {duration(left)}"]
    if seeds := int(budget // per_seed):
        return [f"all methods with {seeds} of {known[0][0].seeds} seeds: {duration(seeds * per_seed)}"]
    total, fits = 0.0, []
    for row, seconds in known:
        if total + seconds <= budget:
            total += seconds
            fits.append(row.method)
    lines = []
    if fits:
        lines.append(f"one seed, whole schedule: {', '.join(dict.fromkeys(fits))}: {duration(total)}")
    fixed = sum(row.after_training for row, _ in known) / plan.slots
    share = (budget - fixed) / (per_seed - fixed)
    epochs = {row.method: math.floor(row.epochs * share) for row, _ in known}
    if min(epochs.values()) > 0:
        listed = ", ".join(f"{method} {count}" for method, count in epochs.items())
        lines.append(f"or one seed of all methods with fewer epochs: {listed}")
    return lines or ["nothing: a single epoch of all methods takes longer; take fewer methods"]


def known_cost(params: Params, dataset: str, method: str, slots: int) -> Cost | None:
    """Cost of this method as ``vaebench plan`` measured it here."""
    try:
        kept = read_json(COSTS)[_key(params, dataset, method, slots)]
        return Cost(**kept | {"latents": tuple(kept["latents"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep_cost(params: Params, dataset: str, method: str, slots: int, cost: Cost) -> None:
    """Keep what was measured; see :func:`known_cost`."""
    _keep(_key(params, dataset, method, slots), asdict(cost))


def known_fit(density: dict, latents: tuple[int, int]) -> float | None:
    """Seconds of a density's fit as ``vaebench plan`` measured it here."""
    return mapping_or_empty(COSTS).get(_fit_key(density, latents))


def keep_fit(density: dict, latents: tuple[int, int], seconds: float) -> None:
    """Keep what was measured; see :func:`known_fit`."""
    _keep(_fit_key(density, latents), seconds)


def duration(seconds: float) -> str:
    """In words, e.g. ``"3.4 h"``."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}" if seconds < 9.95 * size else f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def parse_duration(text: str) -> float:
    """Seconds of ``"8h"``, ``"90m"``, ``"1.5d"`` or ``"30s"``.

    Raises:
        UserError: it is none of these.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)", text.strip())
    if match is None:
        raise UserError(f"{text!r} is no duration; write 8h, 90m or 2d.")
    return float(match[1]) * {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}[match[2]]


def _keep(key: str, content: object) -> None:
    write_json(COSTS, mapping_or_empty(COSTS) | {key: content})


def _fit_key(density: dict, latents: tuple[int, int]) -> str:
    return digest([processor(), density, list(latents)])


def _key(params: Params, dataset: str, method: str, slots: int) -> str:
    point, settings = params.methods[method], params.training_of(method)
    axes = point.model_dump(exclude={"label", "training"})
    schedule = settings.batch_size, settings.precision
    return digest([processor(), slots, params.datasets[dataset].model_dump(), axes, schedule])


def _row(params: Params, dataset: str, method: str, slots: int) -> Row:
    cells = [(params.study.name, dataset, method, seed) for seed in params.study.seeds]
    cost = known_cost(params, dataset, method, slots)
    epochs = list(_recorded("train", cells, "epoch_median"))
    others = [(*cell[:2], other, cell[3]) for cell in cells for other in params.study.methods]
    evaluations = list(_recorded("evaluate", cells, "stage")) or list(_recorded("evaluate", others, "stage"))
    densities = [params.densities[name] for name in params.study.densities]
    fits = [known_fit(density, cost.latents) or 0.0 for density in densities] if cost else []
    finished = [paths.metrics_json(*cell).is_file() for cell in cells]
    return Row(
        dataset=dataset,
        method=method,
        epochs=params.training_of(method).epochs,
        cost=cost,
        epoch=statistics.median(epochs) if epochs else cost.epoch if cost else None,
        evaluation=statistics.median(evaluations) if evaluations else None,
        seeds=len(cells),
        done=sum(finished),
        reached=sum(_reached(cell) for cell, ready in zip(cells, finished, strict=True) if not ready),
        fits=sum(fits),
    )


def _reached(cell: tuple) -> int:
    """Epochs in the cell's checkpoint, which its first line ends with."""
    try:
        with (paths.checkpoint_dir(*cell) / "checkpoint.pt").open("rb") as file:
            return int(file.readline(1000).split()[-1])
    except (OSError, ValueError, IndexError):
        return 0


def _recorded(stage: str, cells: Iterable[tuple], part: str) -> Iterable[float]:
    for cell in cells:
        try:
            yield float(read_json(paths.provenance_json(stage, *cell))["seconds"][part])
        except (OSError, ValueError, KeyError, TypeError):
            continue
