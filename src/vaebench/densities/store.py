"""A fitted density's files, ``density.json`` and ``arrays.npz``; reading distrusts them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vaebench.base.files import read_json, write_atomically, write_json
from vaebench.base.reading import reading
from vaebench.densities import DENSITIES
from vaebench.densities.base import Density

__all__ = [
    "load_density",
    "read_arrays",
    "read_record",
    "save_absent",
    "write_arrays",
    "write_record",
]


def write_record(directory: Path, name: str, options: dict, fitted: dict) -> None:
    """Write ``density.json``: the options and the fitted values. It comes last and completes the folder."""
    write_json(directory / "density.json", {"name": name, "options": options, "fitted": fitted})


def save_absent(directory: str | Path, name: str, reason: str) -> None:
    """Record that the method has no density ``name``, with the reason."""
    write_json(Path(directory) / "density.json", {"name": name, "absent": reason})


def read_record(directory: Path) -> dict:
    """``density.json``: a string ``name`` and either ``absent`` or the mappings ``options`` and ``fitted``.

    Raises:
        UserError: naming the file.
    """
    path = directory / "density.json"
    with reading(path, "posthoc"):
        record = read_json(path)
        if not isinstance(record.get("name"), str):
            raise ValueError("it names no density")
        if "absent" not in record and not all(isinstance(record.get(k), dict) for k in ("options", "fitted")):
            raise ValueError("'options' and 'fitted' must be mappings")
    return record


def write_arrays(directory: Path, **arrays: Any) -> None:
    """``arrays.npz``, uncompressed; the same arrays give the same bytes."""
    with write_atomically(directory / "arrays.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)


def read_arrays(directory: Path, **dimensions: int) -> dict[str, np.ndarray]:
    """The arrays of ``arrays.npz`` that ``dimensions`` lists, each with its number of dimensions.

    Raises:
        UserError: a missing or damaged file, a pickle, an absent array, a wrong dtype or number of
            dimensions, a value that is not finite.
    """
    path = directory / "arrays.npz"
    with reading(path, "posthoc"):
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in dimensions}
        for name, array in arrays.items():
            if array.dtype != np.float64 or array.ndim != dimensions[name]:
                raise ValueError(f"{name} must be float64 with {dimensions[name]} dimension(s)")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds values that are not finite")
    return arrays


def load_density(directory: str | Path) -> Density | None:
    """The density that was saved in ``directory``; None where it records that the method has none.

    Raises:
        UserError: a missing, damaged or inconsistent file, named.
    """
    directory = Path(directory)
    record = read_record(directory)
    if "absent" in record:
        return None
    with reading(directory, "posthoc"):
        options = DENSITIES.check({**record["options"], "name": record["name"]}, "density.json")
        return DENSITIES.load(options.pop("name")).load(directory, options, record["fitted"])
