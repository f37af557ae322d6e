"""A study's folder under ``reports/``, read and checked.

reports/<study>/study.yaml                                   the study as it was run
reports/<study>/metrics/<dataset>/<method>/<seed>.json       numbers, or {"diverged_at_epoch": n}
reports/<study>/history/<dataset>/<method>/<seed>.csv        one row an epoch
reports/<study>/images/<dataset>/<method>/<seed>/*.png       grids
reports/<study>/provenance/<dataset>/<method>/<seed>/*.json  how each was made
reports/<study>/notes.md                                     what somebody makes of it, if it was written
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import yaml

from vaebench.base.errors import UserError
from vaebench.base.files import read_json

__all__ = ["Study", "collect", "flatten", "read_study", "spec_text"]

DIVERGED = "diverged_at_epoch"


@dataclass(frozen=True)
class Study:
    """``reports/<study>/`` and the parts of its ``study.yaml`` that a report speaks of."""

    path: Path
    content: dict

    @cached_property
    def _head(self) -> dict:
        return self.content["study"]

    @property
    def name(self) -> str:
        """The study's name, its folder's too."""
        return self._head["name"]

    @property
    def title(self) -> str:
        """What the study is about; its name where nothing is said."""
        return self._head.get("title") or self.name

    @property
    def paper(self) -> str | None:
        """The paper whose numbers stand beside ours."""
        return self._head.get("paper")

    @property
    def datasets(self) -> list[str]:
        """In the study's order."""
        return self._head["datasets"]

    @property
    def methods(self) -> list[str]:
        """In the study's order."""
        return self._head["methods"]

    @property
    def seeds(self) -> list[int]:
        """In the study's order."""
        return self._head["seeds"]

    @property
    def densities(self) -> list[str]:
        """In the study's order."""
        return self._head["densities"]

    @property
    def notes(self) -> list[str]:
        """The paragraphs of ``notes.md``; none where nobody wrote it."""
        path = self.path / "notes.md"
        try:
            text = path.read_text(encoding="utf-8") if path.exists() else ""
        except UnicodeDecodeError as error:
            raise UserError(f"{path} is not text in UTF-8: {error}") from None
        return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]

    def method(self, name: str) -> dict:
        """A method's entry in ``methods``."""
        return self.content.get("methods", {}).get(name, {})

    def label(self, method: str) -> str:
        """What tables call a method."""
        return self.method(method).get("label") or method

    def cells(self) -> Iterator[tuple[str, str, int]]:
        """Every (data set, method, seed) of the grid."""
        for dataset in self.datasets:
            for method in self.methods:
                for seed in self.seeds:
                    yield dataset, method, seed

    def metrics(self, dataset: str, method: str, seed: int) -> dict | None:
        """A run's metrics, nested; None where it has not been evaluated."""
        return _json(self.path / "metrics" / dataset / method / f"{seed}.json")

    def history(self, dataset: str, method: str, seed: int) -> pd.DataFrame | None:
        """A run's training curves, one row an epoch; None where it has not been trained."""
        path = self.path / "history" / dataset / method / f"{seed}.csv"
        if not path.exists():
            return None
        try:
            frame = pd.read_csv(path)
        except (ValueError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is not a CSV file of training curves: {error}") from None
        if "epoch" not in frame:
            raise UserError(f"{path} has no column 'epoch'; run its train stage again.")
        return frame

    def images(self, dataset: str, method: str, seed: int) -> list[Path]:
        """A run's pictures: reconstructions, samples in the densities' order, interpolations, the others."""
        kinds = ("recon", "sample", "interp", "travers", "latent")

        def place(path: Path) -> tuple:
            kind = next((i for i, kind in enumerate(kinds) if path.stem.startswith(kind)), len(kinds))
            density = path.stem.partition("-")[2]
            return kind, self.densities.index(density) if density in self.densities else -1, path.stem

        return sorted((self.path / "images" / dataset / method / str(seed)).glob("*.png"), key=place)

    def provenance(self, dataset: str, method: str, seed: int) -> dict[str, dict]:
        """How a run was made: the record of each stage, by the stage's name."""
        folder = self.path / "provenance" / dataset / method / str(seed)
        order = {"train": 0, "posthoc": 1, "evaluate": 2}
        paths = sorted(folder.glob("*.json"), key=lambda p: (order.get(p.stem, 9), p.stem))
        return {path.stem: _json(path) for path in paths}


def read_study(study_dir: str | Path) -> Study:
    """Open ``reports/<study>/``.

    Raises:
        UserError: ``study.yaml`` is missing or damaged.
    """
    path = Path(study_dir)
    source = path / "study.yaml"
    try:
        content = yaml.safe_load(source.read_text(encoding="utf-8"))
        head = content["study"]
        complete = all(isinstance(head[key], list) for key in ("datasets", "methods", "seeds", "densities"))
        complete = complete and isinstance(head["name"], str)
    except FileNotFoundError:
        raise UserError(f"{source} is not there; the tabulate stage writes it.") from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{source} is damaged ({error!r}); run the tabulate stage again.") from None
    if not complete:
        raise UserError(f"{source} is damaged (not a study's parameters); run the tabulate stage again.")
    return Study(path, content)


def collect(study_dir: str | Path) -> pd.DataFrame:
    """All numbers of a study, one a row.

    Returns:
        ``dataset, method, label, seed, metric, value, diverged``, in the study's order. A run that
        diverged has the row ``diverged_at_epoch``; a run that has not been evaluated has none.

    Raises:
        UserError: a metrics file is damaged; the message names it.
    """
    study = read_study(study_dir)
    rows = []
    for dataset, method, seed in study.cells():
        metrics = study.metrics(dataset, method, seed)
        if metrics is None:
            continue
        diverged = DIVERGED in metrics
        for path, value in flatten(metrics):
            rows.append((dataset, method, study.label(method), seed, path, value, diverged))
    columns = ["dataset", "method", "label", "seed", "metric", "value", "diverged"]
    return pd.DataFrame(rows, columns=columns).astype({"value": float, "diverged": bool})


def flatten(metrics: dict, prefix: str = "") -> Iterator[tuple[str, float]]:
    """The finite numbers of a nested mapping by dotted path; lists and texts are passed over.

    >>> dict(flatten({"fid": {"prior": 22.5}, "mse": 4}))
    {'fid.prior': 22.5, 'mse': 4.0}
    """
    for key, value in metrics.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            yield f"{prefix}{key}", float(value)


def spec_text(spec: dict | None) -> str:
    """A point on an axis in one line: its name, then what was set.

    >>> spec_text({"name": "gaussian", "variance": "mle", "epsilon": 0.001})
    'gaussian · mle · epsilon 0.001'
    """
    if not spec:
        return "none"
    options = [v if isinstance(v, str) else f"{k} {v}" for k, v in spec.items() if k != "name"]
    return " · ".join([str(spec.get("name", "none")), *options])


def _json(path: Path) -> dict | None:
    try:
        content = read_json(path)
    except FileNotFoundError:
        return None
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid JSON ({error}); run its stage again.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} does not hold a mapping; run its stage again.")
    return content
