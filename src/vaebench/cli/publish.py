"""Finished cells in a store, so that another clone can show and verify what was measured elsewhere.

A store is a folder, or a DVC remote by its name. ``STUDY/DATASET/METHOD/SEED/`` holds the metrics, the
history, the images, both provenances and ``cell.json``: the study's parameters, the images' names and the
digest of the weights, which lie once per model under ``weights/SHA256``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vaebench.base.errors import UserError
from vaebench.base.files import file_digest, read_json, write_folder, write_text
from vaebench.base.reading import present, reading
from vaebench.data.store import Prepared
from vaebench.report.outside import outside_images, record_outside
from vaebench.report.results import flatten
from vaebench.study import paths
from vaebench.study.document import dump
from vaebench.study.params import Params
from vaebench.study.provenance import digest, other_arrays
from vaebench.study.resolve import changes, listed, parameters

if TYPE_CHECKING:
    from dvc.fs import FileSystem

__all__ = ["Store"]

Cell = tuple[str, str, str, int]
CELL = "cell.json"


class Store:
    """Cells that were published at one place.

    Args:
        where: a folder, or the name of a DVC remote of this repository.
    """

    def __init__(self, where: str):
        self.fs, self.path = _open(where)

    def publish(self, params: Params, cell: Cell) -> None:
        """Write a finished cell; ``cell.json`` last, so that no half-written one is seen.

        Raises:
            UserError: the cell is not finished, or its metrics are of other weights or parameters.
        """
        files = _files(cell)
        for path, stage in zip(files.values(), ("evaluate", "train", "train", "evaluate"), strict=True):
            present(path, stage)
        weights = paths.model_dir(*cell) / "model.safetensors"
        with reading(weights, command="dvc pull"):
            sha256 = file_digest(weights)
        with reading(files["evaluate.json"], "evaluate"):
            measured = read_json(files["evaluate.json"]).get("model_sha256")
        if measured != sha256:
            raise UserError(f"the metrics are not of {weights}; `dvc repro` measures it again.")
        _check_parameters(params, cell)
        stored = self.fs.join(self.path, "weights", sha256)
        if not self.fs.exists(stored):
            self._put(weights, stored)
            self._put(paths.model_dir(*cell) / "spec.json", f"{stored}.json")
        if self.fs.exists(self._at(cell, CELL)):
            self.fs.rm_file(self._at(cell, CELL))
        for name, path in files.items():
            self._put(path, self._at(cell, name))
        images = sorted(paths.images_dir(*cell).glob("*.png"))
        for path in images:
            self._put(path, self._image(cell, path.name))
        names = [path.name for path in images]
        content = {"params": params.model_dump(mode="json"), "weights": sha256, "images": names}
        self._write(self._at(cell, CELL), json.dumps(content, indent=1))

    def cells(self, study: str) -> Iterator[Cell]:
        """The study's cells that are there, in order."""
        root = self.fs.join(self.path, study)
        for path in sorted(self.fs.find(root)) if self.fs.exists(root) else ():
            dataset, method, seed, name = self.fs.parts(path)[-4:]
            if name == CELL and seed.isdecimal():
                yield study, dataset, method, int(seed)

    def fetch(self, cell: Cell, folder: Path) -> Params:
        """Lay a cell into ``folder`` as a repository has it, without its weights; returns its study.

        Raises:
            UserError: it was not published here.
        """
        if not self.fs.exists(self._at(cell, CELL)):
            raise UserError(f"{self.path} does not hold {'-'.join(map(str, cell))}.")
        for name, path in _files(cell).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            self.fs.get_file(self._at(cell, name), str(folder / path))
        return self._params(cell)

    def record(self, study: Params, say: Callable[[str], None]) -> Iterator[Path]:
        """Make rows of the study's report of the cells that are there and not measured here.

        A clone that has no results of the study gets its ``study.yaml`` as it was run there. Numbers by a
        classifier that was trained there do not compare and are left out. So are, where the data set is
        prepared here, numbers by other images, labels or factors.

        Args:
            study: the active one.
            say: called with each cell that is left out, since it was trained or measured otherwise.
        """
        for cell in self.cells(study.study.name):
            if paths.metrics_json(*cell).is_file():
                continue
            params = self._params(cell)
            made = self._json(cell, "evaluate.json").get("digests", {})
            if different := [*_differences(params, study, cell), *_other_data(made, cell)]:
                say(f"{'-'.join(map(str, cell))} left out; there and in this study: {listed(different)}")
                continue
            metrics = self._json(cell, "metrics.json")
            run = paths.report_dir(cell[0]) / "study.yaml"
            if not run.is_file():
                write_text(run, dump(params.model_dump(mode="json")))
            row = record_outside(
                run.parent,
                params,
                params.methods[cell[2]].label or cell[2],
                {name: value for name, value in metrics.items() if not name.endswith("_classifier")},
                *(cell[1], cell[3]),
                origin="measured elsewhere",
                provenance={stage: self._json(cell, f"{stage}.json") for stage in ("train", "evaluate")},
            )
            with write_folder(outside_images(row)) as temporary:
                for image in self._json(cell, CELL).get("images", ()):
                    self.fs.get_file(self._image(cell, image), str(temporary / Path(image).name))
            yield row

    def table(self, study: str) -> Iterator[tuple[str, ...]]:
        """A row per cell: method, data set, seed, whether it is measured here too, where, some numbers."""
        yield "method", "data set", "seed", "here", "measured on", "commit", "metrics"
        for cell in self.cells(study):
            made, numbers = self._json(cell, "train.json"), dict(flatten(self._json(cell, "metrics.json")))
            shown = ", ".join(f"{name} {value:.4g}" for name, value in list(numbers.items())[:3])
            here = "yes" if paths.metrics_json(*cell).is_file() else "no"
            commit = (made.get("git_commit") or "unknown")[:7]
            yield cell[2], cell[1], str(cell[3]), here, made["device"], commit, shown

    def _at(self, cell: Cell, name: str) -> str:
        return self.fs.join(self.path, *map(str, cell), name)

    def _image(self, cell: Cell, name: str) -> str:
        return self.fs.join(self._at(cell, "images"), name)

    def _json(self, cell: Cell, name: str) -> dict:
        with reading(self._at(cell, name), command="vaebench publish"):
            return json.loads(self.fs.read_text(self._at(cell, name)))

    def _params(self, cell: Cell) -> Params:
        with reading(self._at(cell, CELL), command="vaebench publish"):
            return Params.model_validate(self._json(cell, CELL)["params"])

    def _put(self, source: Path, target: str) -> None:
        self.fs.makedirs(self.fs.parent(target), exist_ok=True)
        self.fs.put_file(str(source), target)

    def _write(self, target: str, text: str) -> None:
        self.fs.makedirs(self.fs.parent(target), exist_ok=True)
        self.fs.write_text(target, text)


def _files(cell: Cell) -> dict[str, Path]:
    return {
        "metrics.json": paths.metrics_json(*cell),
        "history.csv": paths.history_csv(*cell),
        "train.json": paths.provenance_json("train", *cell),
        "evaluate.json": paths.provenance_json("evaluate", *cell),
    }


def _check_parameters(params: Params, cell: Cell) -> None:
    for stage in ("train", "evaluate"):
        path = paths.provenance_json(stage, *cell)
        with reading(path, stage):
            recorded = read_json(path).get("digests", {}).get("params")
        if recorded != digest([parameters(params, stage, dataset=cell[1], method=cell[2]), cell[3]]):
            raise UserError(
                f"{path} is of other parameters than the study has now; `dvc repro` runs {stage} again."
            )


def _differences(there: Params, here: Params, cell: Cell) -> list[str]:
    """Parameters of the cell's numbers that differ; a method that ``here`` lacks is taken as it is there."""
    _, dataset, method, _ = cell
    if dataset not in here.study.datasets:
        return [f"the data set {dataset}"]
    here = here.model_copy(update={"methods": there.methods | here.methods})
    used = [
        {
            "parameters": {
                stage: parameters(params, stage, dataset=dataset, method=method)
                for stage in ("prepare", "reference", "train", "evaluate")
            }
        }
        for params in (there, here)
    ]
    return changes(*used)


def _other_data(made: dict, cell: Cell) -> list[str]:
    store = paths.prepared_dir(*cell[:2])
    arrays = Prepared.open(store).digests if store.exists() else {}
    return [f"the {name} of {cell[1]}" for name in other_arrays(made, arrays)]


def _open(where: str) -> tuple[FileSystem, str]:
    from dvc.exceptions import DvcException
    from dvc.fs import LocalFileSystem
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            if where in repo.config["remote"]:
                remote = repo.cloud.get_remote(where)
                return remote.fs, remote.fs.join(remote.path, "published")
    except DvcException as error:
        if not Path(where).is_dir() and "/" not in where:
            raise UserError(
                f"{where} is neither a folder nor a DVC remote that can be reached: {error}"
            ) from None
    return LocalFileSystem(), str(Path(where).resolve())
