"""Check that a recorded result can be reproduced: one cell, run in a temporary folder and compared."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory

import vaebench
from vaebench.base.errors import UserError
from vaebench.base.files import read_json
from vaebench.base.reading import mapping_or_empty, present, reading
from vaebench.report.results import flatten
from vaebench.study import paths
from vaebench.study.document import dump
from vaebench.study.params import Params
from vaebench.study.provenance import digest, other_arrays
from vaebench.study.resolve import changes, inputs, inputs_json, listed

__all__ = ["import_path", "verify"]

ARRAYS = "images", "labels", "factors"
MOST_NAMED = 5
"""Parameters or modules that a line names."""


def verify(
    params: Params,
    dataset: str,
    method: str,
    seed: int,
    *,
    recorded: Path | None = None,
    within: float = 0.0,
) -> list[str]:
    """Train, fit and evaluate one cell again; nothing that is recorded is touched.

    Args:
        params: the study.
        dataset: which cell of the grid, with ``method`` and ``seed``.
        method: see ``dataset``.
        seed: see ``dataset``.
        recorded: the folder with the cell's metrics, history and provenance, laid out as the repository;
            by default the current one. With another, data that are not prepared here are prepared.
        within: the relative difference up to which two numbers count as one; the history is compared where
            it is 0.

    Returns:
        A line for each number of the metrics that differs and for the first such row of the history; no
        line where both files are equal byte for byte.

    Raises:
        UserError: there is nothing to compare with, or a stage failed.
    """
    root = Path.cwd()
    elsewhere, recorded = recorded is not None, recorded or root
    cell = params.study.name, dataset, method, seed
    compared = paths.metrics_json(*cell), paths.history_csv(*cell)
    lent = paths.prepared_dir(*cell[:2]), paths.reference_dir(*cell[:2])
    present(recorded / compared[0], "evaluate")
    for path in compared[1], paths.provenance_json("train", *cell):
        present(recorded / path, "train")
    if not elsewhere:
        for path, stage in zip(lent, ("prepare", "reference"), strict=True):
            present(root / path, stage)
    with TemporaryDirectory(prefix="vaebench-verify-") as folder:
        scratch = Path(folder)
        (scratch / "params.yaml").write_text(_as_recorded(params, cell, recorded), encoding="utf-8")
        for path in lent:
            if (root / path).exists():
                (scratch / path).parent.mkdir(parents=True, exist_ok=True)
                (scratch / path).symlink_to(root / path)
        _run_stages(params, cell, root, scratch)
        if all((recorded / path).read_bytes() == (scratch / path).read_bytes() for path in compared):
            return []
        numbers = [*_metrics(compared[0], recorded, scratch, within)]
        if not within:
            numbers += _rows(compared[1], recorded, scratch)
        if not numbers:
            return []
        return [*_inputs(params, cell, recorded), *_data(cell, recorded, scratch), *numbers]


def _as_recorded(params: Params, cell: tuple, recorded: Path) -> str:
    """The study; what ``precision: auto`` was when the cell was trained, it is again."""
    content = params.model_dump(mode="json")
    if params.training_of(cell[2]).precision == "auto":
        path = recorded / paths.provenance_json("train", *cell)
        with reading(path, "train"):
            content["methods"][cell[2]]["training"]["precision"] = read_json(path)["precision"]
    return dump(content)


def _run_stages(params: Params, cell: tuple, root: Path, scratch: Path) -> None:
    _, dataset, method, seed = cell
    item = "--dataset", dataset, "--method", method, "--seed", str(seed)
    stages: list[tuple[str, ...]] = [
        (name, "--dataset", dataset)
        for name, path in (("prepare", paths.prepared_dir), ("reference", paths.reference_dir))
        if not (scratch / path(*cell[:2])).exists()
    ]
    fits = (("posthoc", *item, "--density", name) for name in params.study.densities)
    stages += [("train", *item), *fits, ("evaluate", *item)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DVC_")} | {
        "PYTHONPATH": os.pathsep.join(import_path(root)),
        "VAEBENCH_TRACKING": "off",
    }
    for stage, *more in stages:
        command = [sys.executable, "-m", f"stages.{stage}", *more]
        if subprocess.run(command, cwd=scratch, env=environment, check=False).returncode != 0:
            raise UserError(f"stage {stage} failed, see above; nothing was compared.")


def import_path(root: Path) -> list[str]:
    """This package and the stages first, then the caller's, in which a plug-in may lie."""
    own = [str(Path(vaebench.__file__).parents[1]), str(root)]
    return own + [str(root / entry) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]


def _inputs(params: Params, cell: tuple, folder: Path) -> Iterator[str]:
    """A line where the parameters or the code are not those that the cell was recorded with."""
    study, dataset, method, seed = cell
    for stage in ("train", "evaluate"):
        recorded = mapping_or_empty(folder / paths.provenance_json(stage, *cell)).get("digests", {})
        now = inputs(params, stage, dataset=dataset, method=method)
        resolved = mapping_or_empty(folder / inputs_json(stage, study, dataset=dataset, method=method))
        named = ", ".join(changes(resolved, now)[:MOST_NAMED] if resolved else []) or "edited since"
        if recorded.get("params") != digest([now["parameters"], seed]):
            yield f"the parameters of {stage} are not those recorded: {named}"
        if recorded.get("code") != digest(now["code"]):
            yield f"the code of {stage} is not that recorded: {named}"


def _data(cell: tuple, recorded: Path, scratch: Path) -> Iterator[str]:
    """A line where the prepared data are not those that the cell was measured on, or nothing says so."""
    path = paths.provenance_json("evaluate", *cell)
    before, now = (mapping_or_empty(folder / path).get("digests", {}) for folder in (recorded, scratch))
    now = {name: now[name] for name in ARRAYS if name in now}
    if others := other_arrays(before, now):
        yield f"the data's {listed(others)} are not those recorded"
    if unknown := [name for name in now if name not in before]:
        yield f"an older version recorded the cell, without the data's {listed(unknown)}: they may be others"


def _metrics(path: Path, root: Path, scratch: Path, within: float) -> Iterator[str]:
    with reading(root / path, "evaluate"):
        recorded = dict(flatten(read_json(root / path)))
    again = dict(flatten(read_json(scratch / path)))
    for name in sorted(recorded.keys() | again.keys()):
        before, now = recorded.get(name), again.get(name)
        if before is None or now is None or not math.isclose(before, now, rel_tol=within):
            yield f"{name}: recorded {before}, now {now}"


def _rows(path: Path, root: Path, scratch: Path) -> Iterator[str]:
    recorded, again = ((folder / path).read_text(encoding="utf-8").splitlines() for folder in (root, scratch))
    for epoch, (before, now) in enumerate(zip_longest(recorded, again)):
        if before != now:
            yield f"the history from epoch {epoch} on: recorded {before}, now {now}"
            return
