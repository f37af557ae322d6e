"""A paper as data: its tables in this package's own names, and the protocol of each.

``papers/<key>/`` holds ``paper.yaml`` (protocol, readings, tables), a CSV file per table with the columns
``dataset, method, column, value, std``, and ``claims.yaml``; docs/add-a-paper.md describes all of it. A study
is compared by name: its data sets and methods are called as in the tables. Where a paper's row is a number,
the name spells it with ``_`` for the point and ``m`` for minus, so that it can be part of a path:
``stochastic_m0_1`` is log10 σx² = −0.1.

    >>> frame = paper_values("takida2022")
    >>> frame.query("dataset == 'mnist' and method == 'mle_iso_i' and column == 'mse'").value.item()
    4.4
"""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import pandas as pd
import yaml
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator

from vaebench.base.errors import UserError
from vaebench.base.files import read_yaml
from vaebench.base.registry import explain
from vaebench.study.papers import paper_folder

__all__ = [
    "Paper",
    "PaperTable",
    "bandwidths",
    "matches",
    "paper_metric",
    "paper_values",
    "read_paper",
    "spell",
    "split_sweep",
    "unspell",
]

COLUMNS = [
    *("paper", "table", "dataset", "method", "column", "metric"),
    *("value", "std", "seeds", "rounding", "std_rounding"),
]

_SYNONYMS = {
    "fid.vae2": "fid.second_stage",
    "fid.gmm_10": "fid.gmm10",
    "fid.gmm_100": "fid.gmm100",
    "sigma_z2": "smoothness.sigma_z2",
    "latent.sigma_z2": "smoothness.sigma_z2",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reading(_Strict):
    """A metric of ours, and the methods whose number it is; all by default."""

    metric: str
    methods: list[str] = ["*"]


class Column(_Strict):
    """A column that a paper prints, and which metric of ours stands for it: the first reading that fits.

    Attributes:
        ours: the readings; empty where none of our numbers stands for it, and only claims speak of it.
        label: what tables call it; our metric's label by default.
        row: what the row's label ends in, where a paper has two rows for a method.
        scale: by which the printed value is multiplied.
        why: the reason for the reading.
    """

    ours: list[Reading]
    label: str | None = None
    row: str = ""
    scale: float = 1.0
    why: str = ""

    @field_validator("ours", mode="before")
    @classmethod
    def _one_metric(cls, value):
        return [{"metric": value}] if isinstance(value, str) else value

    def metric(self, method: str) -> str | None:
        """Our metric for a method; None where no reading fits."""
        return next((r.metric for r in self.ours if matches(method, r.methods)), None)


class DatasetName(_Strict):
    """A data set of the paper: its name in studies, and the number of training images."""

    ours: list[str] = []
    images: PositiveInt | None = None


class MethodName(_Strict):
    """A method of the paper by its name in studies; ``beside`` are patterns of those it stands beside."""

    ours: list[str] = []
    beside: list[str] = []


Epochs = PositiveInt | dict[str, PositiveInt]


class PaperTable(_Strict):
    """A table: its protocol, which rows of a study it shows, and how it is laid out.

    Attributes:
        number: as the paper counts; "Section 6.1" where the numbers stand in its text.
        epochs: of all data sets, or of each, if they are stated; ``longer`` has exceptions by method and
            data set.
        seeds: how many trainings stand behind a number, if not the paper's ``seeds``.
        datasets: patterns of the data sets that belong to it, ``!`` before those that do not; by default
            those that it prints. ``methods`` likewise, by default all.
        also: patterns of metrics of ours that are shown though the paper has no such column.
        rows: ``method``, ``dataset`` or ``level``, the number in a method's name.
        columns: the group and the label of a column: ``dataset``, ``method``, ``kind``, ``column`` or "".
        kind: what a column calls a sweep's kind, which stands for ``{}``.
        corner: the header of the rows, and of a sweep's axis in figures.
        ranked: within what the best is marked, ``column``, ``row`` or "" for nowhere.
    """

    number: str
    title: str
    epochs: Epochs = {}
    longer: dict[str, dict[str, PositiveInt]] = {}
    seeds: PositiveInt | None = None
    datasets: list[str] = []
    methods: list[str] = ["*"]
    also: list[str] = []
    rows: Annotated[str, Field(pattern="^(method|dataset|level)$")] = "method"
    columns: tuple[str, str] = ("dataset", "column")
    kind: str = "{}"
    corner: str = "Method"
    ranked: Annotated[str, Field(pattern="^(column|row|)$")] = "column"
    note: str = ""

    @property
    def heading(self) -> str:
        """``Table`` and its number, or what the numbers were taken from."""
        return self.number if len(self.number) > 5 else f"Table {self.number}"

    def schedule(self, dataset: str, method: str) -> int | None:
        """The epochs that the paper trains a method on a data set; None where it does not say."""
        own = self.longer.get(method, {}).get(dataset)
        return own or (self.epochs if isinstance(self.epochs, int) else self.epochs.get(dataset))


class PaperFile(_Strict):
    """The content of ``paper.yaml``."""

    name: str
    title: str
    cite: str
    seeds: PositiveInt
    datasets: dict[str, DatasetName] = {}
    methods: dict[str, MethodName] = {}
    columns: dict[str, Column]
    tables: dict[str, PaperTable]


@dataclass(frozen=True, eq=False)
class Paper:
    """A paper's folder, read and checked."""

    key: str
    folder: Path
    file: PaperFile
    values: pd.DataFrame

    @functools.cached_property
    def printed(self) -> dict[tuple[str, str, str], str]:
        """The table of every number, by data set, method and column, in the paper's order."""
        names = (self.values[name] for name in ("dataset", "method", "column"))
        return dict(zip(zip(*names, strict=True), self.values["table"], strict=True))

    def schedule(self, dataset: str, method: str, column: str) -> int | None:
        """The epochs that stand behind a printed number; None where the paper does not state them.

        A number that is not printed takes the schedule of the first table with the method on the data set,
        and a method that is in no table that of the first table which could show it there.
        """
        rows = [t for (d, m, _), t in self.printed.items() if (d, m) == (dataset, method)]
        number = self.printed.get((dataset, method, column), rows[0] if rows else None)
        tables = self.file.tables.values()
        if number is not None:
            return next(t for t in tables if t.number == number).schedule(dataset, method)
        known = (t.schedule(dataset, method) for t in tables if matches(method, t.methods))
        return next((epochs for epochs in known if epochs), None)

    def seeds(self, dataset: str, method: str, column: str) -> int:
        """Number of trainings behind a printed value."""
        number = self.printed.get((dataset, method, column))
        own = (t.seeds for t in self.file.tables.values() if t.number == number)
        return next(own, None) or self.file.seeds

    @property
    def name(self) -> str:
        """Name in tables and pages."""
        return self.file.name

    @property
    def cite(self) -> str:
        """Authors, title, venue and year."""
        return self.file.cite

    def dataset(self, ours: str) -> str:
        """The paper's name of a data set of a study."""
        return next((name for name, entry in self.file.datasets.items() if ours in entry.ours), ours)

    def method(self, ours: str, one_to_one: bool = False) -> str:
        """The paper's name of a method of a study.

        A method that merely stands beside a row has that row's name, unless the answer must be
        ``one_to_one``.
        """
        for name, entry in self.file.methods.items():
            if ours in entry.ours or (not one_to_one and matches(ours, entry.beside) and entry.beside):
                return name
        return ours

    def metric(self, column: str, method: str) -> str | None:
        """Our metric for a printed column of a method; ``our.<metric>`` is that metric."""
        entry = self.file.columns.get(column)
        return column.removeprefix("our.") if entry is None else entry.metric(method)

    def images(self, dataset: str) -> int | None:
        """Number of images that the paper trains on; None where it is not said."""
        found = (e.images for name, e in self.file.datasets.items() if fnmatchcase(dataset, name))
        return next(found, None)


def matches(name: str, patterns: list[str]) -> bool:
    """True if a name fits one of the patterns and none that begins with ``!``.

    >>> matches("ae", ["*"]), matches("ae", ["!a*"]), matches("ae", ["!b*"]), matches("ae", [])
    (True, False, True, False)
    """
    wanted = [p for p in patterns if not p.startswith("!")]
    if any(fnmatchcase(name, p[1:]) for p in patterns if p.startswith("!")):
        return False
    return any(fnmatchcase(name, p) for p in wanted) if wanted else bool(patterns)


def read_paper(key: str) -> Paper:
    """A paper by its key.

    Raises:
        UserError: it is not found, or its folder is damaged; the message names the file and the place.
    """
    return _read(key, paper_folder(key))  # the folder of a key depends on the workspace


@functools.cache
def _read(key: str, folder: Path) -> Paper:
    path = folder / "paper.yaml"
    try:
        file = PaperFile.model_validate(read_yaml(path))
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error, '', PaperFile)}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    values = [_read_table(folder, file, name) for name in file.tables]
    return Paper(key, folder, file, pd.concat(values, ignore_index=True).assign(paper=key)[COLUMNS])


def paper_values(paper: str | None) -> pd.DataFrame:
    """Every number of one paper, one per row.

    The columns are ``paper, table, dataset, method, column, metric, value, std, seeds, rounding,
    std_rounding``. ``metric`` is our path, ``table`` the paper's own numbering, ``std`` NaN where none
    is printed, ``seeds`` how many trainings stand behind it, ``rounding`` half a unit of the value's last
    printed digit and ``std_rounding`` of the deviation's, 0 without one. A number that the paper prints for
    several columns at once, ``SU+SL``, is a row for each. Without a paper the frame is empty.
    """
    return pd.DataFrame(columns=COLUMNS) if paper is None else read_paper(paper).values


def _read_table(folder: Path, file: PaperFile, name: str) -> pd.DataFrame:
    path = folder / f"{name}.csv"
    table = file.tables[name]
    try:
        frame = pd.read_csv(path, dtype={"value": str, "std": str})  # as text, which has the printed digits
        value, std = frame["value"], frame.get("std", pd.Series(math.nan, frame.index, object))
        frame = frame.assign(value=pd.to_numeric(value), std=pd.to_numeric(std))
        frame = frame.assign(rounding=value.map(_half_a_unit), std_rounding=std.map(_half_a_unit))
        frame = frame.assign(column=frame["column"].astype(str).str.split("+")).explode("column")
        numbers = ["value", "std", "rounding", "std_rounding"]
        frame = frame[["dataset", "method", "column", *numbers]].reset_index(drop=True)
    except FileNotFoundError:
        raise UserError(f"{path} is not there, but paper.yaml lists the table {name!r}.") from None
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{path} is not a table with the columns dataset, method, column, value: {error}"
        ) from None
    unknown = sorted(set(frame["column"]) - set(file.columns))
    if unknown:
        raise UserError(f"{path} has the column {unknown[0]!r}, which paper.yaml does not list in columns.")
    scale = frame["column"].map(lambda column: file.columns[column].scale)
    frame[numbers] = frame[numbers].mul(scale, axis=0)
    return frame.assign(
        table=table.number,
        metric=[file.columns[r.column].metric(r.method) for r in frame.itertuples()],
        seeds=table.seeds or file.seeds,
    )


def _half_a_unit(printed: str | float) -> float:
    """Half a unit of a printed number's last digit; 0 where none is printed.

    >>> _half_a_unit("1.50"), _half_a_unit("55"), _half_a_unit("8.0e-3"), _half_a_unit(math.nan)
    (0.005, 0.5, 5e-05, 0.0)
    """
    exponent = Decimal(str(printed).strip()).as_tuple().exponent
    return 0.5 * 10.0**exponent if isinstance(exponent, int) else 0.0


def paper_metric(path: str) -> str:
    """The name under which :func:`paper_values` holds a metric of ours.

    A Fréchet distance on a classifier's features has none: it is not the papers' FID.
    """
    return _SYNONYMS.get(path, path)


def spell(number: float | str) -> str:
    """A number as part of a name: -0.1 is ``m0_1``."""
    return f"{number}".replace("-", "m").replace(".", "_")


def unspell(name: str) -> float:
    """The number that :func:`spell` wrote."""
    return float(name.replace("m", "-").replace("_", "."))


def split_sweep(method: str) -> tuple[str, float] | None:
    """A method of a sweep as its kind and its level; None for any other.

    >>> split_sweep("stochastic_m0_5"), split_sweep("mle_iso_i")
    (('stochastic', -0.5), None)
    """
    match = re.fullmatch(r"(.+)_(m?\d+_\d+)", method)
    return (match[1], unspell(match[2])) if match else None


def bandwidths() -> pd.DataFrame:
    """Saha's Tables I and II: ``latent_dim, kde_samples, h_opt, h_corrected``; h_opt NaN where "> 1.0"."""
    values = read_paper("avae2024").values
    frame = values[values["dataset"] == "prior"].pivot(index="method", columns="column", values="value")
    sizes = [re.findall(r"\d+", method) for method in frame.index]  # of l16_m500
    frame["latent_dim"], frame["kde_samples"] = zip(*(map(int, pair) for pair in sizes), strict=True)
    frame = frame[["latent_dim", "kde_samples", *frame.columns[:-2]]]
    return frame.sort_values(["latent_dim", "kde_samples"], ignore_index=True)
