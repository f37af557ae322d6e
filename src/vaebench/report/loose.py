"""Numbers of ours that no training stands behind: ``reports/<name>/numbers.json``.

    {"paper": "avae2024", "numbers": [{"dataset": "prior", "method": "l10_m500", "column": "h_opt",
     "value": 0.765, "std": 0.001, "n": 6}, …], "provenance": {…}}

By the paper's names, so that its claims are judged on them as on a study's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, FiniteFloat, PositiveInt

from vaebench.base.files import read_json, write_json
from vaebench.base.reading import reading
from vaebench.report.claims.comparison import Key
from vaebench.report.statistics import Sample

__all__ = ["NUMBERS", "LooseNumbers", "read_numbers", "write_numbers"]

NUMBERS = "numbers.json"


@dataclass(frozen=True)
class LooseNumbers:
    """The numbers of one folder, of the paper whose names they have."""

    name: str
    paper: str
    numbers: Mapping[Key, Sample]


class _Number(BaseModel):
    model_config = ConfigDict(extra="forbid")

    dataset: str
    method: str
    column: str
    value: FiniteFloat
    std: FiniteFloat
    n: PositiveInt


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    paper: str
    numbers: list[_Number]
    provenance: dict


def write_numbers(folder: Path, paper: str, numbers: Mapping[Key, Sample], provenance: dict) -> Path:
    """Write ``numbers.json`` into a folder under ``reports/``.

    Args:
        folder: ``reports/<name>``.
        paper: the key of the paper whose names the keys are.
        numbers: means with their deviation, each of two draws or more.
        provenance: how they came about.
    """
    rows = [
        {"dataset": key[0], "method": key[1], "column": key[2], "value": s.mean, "std": s.std, "n": s.n}
        for key, s in numbers.items()
    ]
    write_json(folder / NUMBERS, {"paper": paper, "numbers": rows, "provenance": provenance})
    return folder / NUMBERS


def read_numbers(folder: Path) -> LooseNumbers:
    """The numbers of a folder under ``reports/``.

    Raises:
        UnreadableError: the file is missing or damaged.
    """
    path = folder / NUMBERS
    with reading(path, command="vaebench bandwidths --write"):
        file = _File.model_validate(read_json(path))
    numbers = {(r.dataset, r.method, r.column): Sample(r.value, r.std, r.n) for r in file.numbers}
    return LooseNumbers(folder.name, file.paper, numbers)
