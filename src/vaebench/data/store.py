"""The prepared store: one folder of ``.npy`` files that every later stage maps into memory.

| file | holds |
| --- | --- |
| ``images.npy`` | (N, C, H, W), C order; uint8 in 0..255, or float32 in [0, 1] plus unclipped noise |
| ``labels.npy`` | (N,) int64, where the set has labels |
| ``factors.npy`` | (N, F) int64, the index of each factor's value, where the set has known factors |
| ``meta.json`` | the rest, see :class:`Meta` |

A split is a range of rows, so that reading it copies nothing. :class:`Prepared` reads the store, in
numpy alone; :class:`StoreWriter` writes it, in memory that does not grow with it.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveInt,
    ValidationError,
    model_validator,
)

from vaebench.base.errors import UserError
from vaebench.base.files import read_json, replace_folder, write_json
from vaebench.base.reading import reading
from vaebench.base.registry import explain
from vaebench.data.raw import RawFiles
from vaebench.data.value_range import ValueRange

__all__ = ["Meta", "Prepared", "StoreWriter"]

Range = tuple[NonNegativeInt, PositiveInt]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
CHECKED_AT_ONCE = 64 * 2**20
"""Bytes of float images that are looked through for NaN at a time."""


class Splits(BaseModel):
    """Rows [first, last + 1) of each split; ``validation`` may be absent."""

    model_config = ConfigDict(extra="forbid")

    train: Range
    validation: Range | None = None
    test: Range


class Meta(BaseModel):
    """The content of ``meta.json``."""

    model_config = ConfigDict(extra="forbid")

    dataset: str
    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    """(C, H, W)."""
    dtype: Literal["uint8", "float32"]
    splits: Splits
    value_range: tuple[Literal[-1, 0], Literal[1]]
    """Values to which 0 and 255 are mapped for the model."""
    labels: bool = False
    """True if there is a ``labels.npy``."""
    factor_names: Annotated[list[str], Field(min_length=1)] | None = None
    factor_sizes: Annotated[list[PositiveInt], Field(min_length=1)] | None = None
    noise: dict[str, Any] | None = None
    sources: dict[str, Sha256] = {}
    """Each raw file's SHA-256."""
    pixels: Sha256 | None = None
    """SHA-256 of the images in C order, by which a checkpoint knows the data that it was trained on.

    No training reads labels or factors; of what is measured by them, :attr:`Prepared.digests` are recorded.
    """

    @model_validator(mode="after")
    def _factors_agree(self) -> Self:
        if len(self.factor_names or []) != len(self.factor_sizes or []):
            raise ValueError("factor_names and factor_sizes should be of one length")
        return self


class Prepared:
    """A store, open for reading.

    Attributes:
        path: its folder.
        images: (N, C, H, W), memory-mapped.
        labels: (N,) int64 or None.
        factors: (N, F) int64 or None.
        meta: the content of ``meta.json``.
    """

    def __init__(
        self,
        path: Path,
        images: np.ndarray,
        labels: np.ndarray | None,
        factors: np.ndarray | None,
        meta: dict[str, Any],
    ):
        self.path = path
        self.images = images
        self.labels = labels
        self.factors = factors
        self.meta = meta

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Map the store in ``path`` and check it.

        Raises:
            UserError: a file is missing, truncated, of a wrong type or shape, disagrees with
                ``meta.json``, or holds NaN; it names the file and the way out.
        """
        path = Path(path)
        meta = _read_meta(path / "meta.json")
        labels = factors = None
        with reading(path / "images.npy", "prepare"):
            images = _map(path / "images.npy", np.dtype(meta.dtype), (None, *meta.shape))
            _check_finite(images)
        with reading(path / "meta.json", "prepare"):
            for name, rows in meta.splits.model_dump(exclude_none=True).items():
                if not rows[0] < rows[1] <= len(images):
                    raise ValueError(f"split {name} is rows {rows[0]} to {rows[1]} of {len(images)}")
        if meta.labels or (path / "labels.npy").exists():
            with reading(path / "labels.npy", "prepare"):
                labels = _map(path / "labels.npy", np.dtype(np.int64), (len(images),))
                if labels.min() < 0:
                    raise ValueError("a label is negative")
        if meta.factor_sizes is not None:
            with reading(path / "factors.npy", "prepare"):
                shape = len(images), len(meta.factor_sizes)
                factors = _map(path / "factors.npy", np.dtype(np.int64), shape)
                if factors.min() < 0 or (factors.max(axis=0) >= meta.factor_sizes).any():
                    raise ValueError(f"a factor is outside its sizes {meta.factor_sizes}")
        return cls(path, images, labels, factors, _plain(meta))

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of ``images``, ``labels`` and ``factors`` in C order, of those that are there.

        A store that was prepared before ``meta.json`` had that of the images lacks theirs.
        """
        images = {"images": self.meta["pixels"]} if "pixels" in self.meta else {}
        others = {"labels": self.labels, "factors": self.factors}
        return images | {n: hashlib.sha256(a.data).hexdigest() for n, a in others.items() if a is not None}

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return tuple(self.meta["shape"])

    @property
    def value_range(self) -> ValueRange:
        """(0, 1) or (-1, 1): the range that the model sees."""
        return ValueRange(*self.meta["value_range"])

    def rows(self, split: str) -> slice:
        """The rows of ``train``, ``validation`` or ``test``, which index images, labels and factors."""
        try:
            return slice(*self.meta["splits"][split])
        except KeyError:
            raise UserError(
                f"{self.path} has no split {split!r}; it has {', '.join(self.meta['splits'])}. "
                "Sources that can hold images back for validation have an option `validation`."
            ) from None

    def split(self, split: str) -> np.ndarray:
        """The images of a split, a view of :attr:`images`."""
        return self.images[self.rows(split)]


class StoreWriter:
    """Writes a store batch by batch; ``with`` it, and the store appears only if the block succeeds.

    Args:
        out: the store's folder; an older store there is replaced at the end.
        dataset: the set's name.
        raw: the raw files that were read, for ``meta["sources"]``.
        seed: for sources that draw something.

    >>> with StoreWriter(Path("/dev/shm/example"), "zeros") as store:
    ...     store.append(np.zeros((4, 1, 8, 8), np.uint8))
    ...     store.describe(splits={"train": (0, 3), "test": (3, 4)})
    """

    def __init__(self, out: Path, dataset: str, *, raw: RawFiles | None = None, seed: int = 0):
        self.out = out
        self.seed = seed
        self.count = 0
        self._dataset = dataset
        self._raw = raw
        self._partial = out.with_name(f".{out.name}.partial")
        self._labels: list[np.ndarray] = []
        self._factors: list[np.ndarray] = []
        self._description: dict[str, Any] | None = None
        self._pixels = hashlib.sha256()

    def __enter__(self) -> Self:
        """Start in an empty folder beside ``out``."""
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        self._file = (self._partial / "images.npy").open("wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Put the store in its place, or, after an error, leave no trace of it."""
        try:
            with self._file:
                if kind is None:
                    if self._description is None or self.count == 0:
                        raise ValueError("a store needs images and describe()")
                    self._file.seek(0)
                    self._write_header()
            if kind is None:
                self._finish()
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)

    def append(
        self, images: np.ndarray, labels: np.ndarray | None = None, factors: np.ndarray | None = None
    ) -> None:
        """Add a batch.

        Args:
            images: (B, C, H, W), uint8 or float32, of the same type and shape in every call.
            labels: (B,) integers, in every call or in none.
            factors: (B, F) integers, in every call or in none.
        """
        if self._file.tell() == 0:
            if images.dtype not in (np.uint8, np.float32) or images.ndim != 4:
                raise ValueError(f"images must be (B, C, H, W), uint8 or float32, not {_kind(images)}")
            self._dtype, self._shape = images.dtype, images.shape[1:]
            self._write_header()
        if images.dtype != self._dtype or images.shape[1:] != self._shape:
            raise ValueError(f"this batch is {_kind(images)}, the ones before {self._shape}, {self._dtype}")
        for part in (labels, factors):
            if part is not None and len(part) != len(images):
                raise ValueError(f"{len(part)} labels or factors for {len(images)} images")
        pixels = np.ascontiguousarray(images).reshape(-1)
        pixels.tofile(self._file)
        self._pixels.update(pixels.data)
        for parts, part in ((self._labels, labels), (self._factors, factors)):
            if part is not None:
                parts.append(np.array(part, np.int64, order="C"))
        self.count += len(images)

    def describe(
        self,
        *,
        splits: dict[str, tuple[int, int]],
        value_range: tuple[int, int] = (0, 1),
        factors: dict[str, int] | None = None,
        noise: dict[str, Any] | None = None,
    ) -> None:
        """Say what ``meta.json`` holds beyond what the images show.

        Args:
            splits: rows [first, last + 1) of ``train``, ``test`` and perhaps ``validation``.
            value_range: values of black and white that the model sees.
            factors: each factor's name and number of values, in the order of the columns.
            noise: the noise that was added to the images.
        """
        self._description = {"splits": splits, "value_range": value_range, "noise": noise}
        if factors is not None:
            self._description |= {"factor_names": list(factors), "factor_sizes": list(factors.values())}

    def _write_header(self) -> None:
        np.lib.format.write_array_header_1_0(
            self._file,
            {"descr": self._dtype.str, "fortran_order": False, "shape": (self.count, *self._shape)},
        )

    def _finish(self) -> None:
        for name, parts in (("labels", self._labels), ("factors", self._factors)):
            if parts:
                np.save(self._partial / f"{name}.npy", np.concatenate(parts))
        meta = Meta(  # type: ignore[arg-type]
            dataset=self._dataset,
            shape=self._shape,
            dtype="uint8" if self._dtype == np.uint8 else "float32",
            labels=bool(self._labels),
            sources=self._raw.sources if self._raw else {},
            pixels=self._pixels.hexdigest(),
            **self._description,
        )
        write_json(self._partial / "meta.json", _plain(meta))
        Prepared.open(self._partial)
        replace_folder(self.out, self._partial)


def _plain(meta: Meta) -> dict[str, Any]:
    return meta.model_dump(mode="json", exclude_none=True)


def _read_meta(path: Path) -> Meta:
    with reading(path, "prepare"):
        content = read_json(path)
        try:
            return Meta.model_validate(content)
        except ValidationError as error:
            raise ValueError(explain(error, "", Meta)) from None


def _map(path: Path, dtype: np.dtype, shape: tuple[int | None, ...]) -> np.ndarray:
    array = np.lib.format.open_memmap(path, mode="r")
    right = len(shape) == array.ndim and all(
        want in (None, have) for want, have in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not right or not array.flags.c_contiguous:
        wanted = ", ".join("N" if size is None else str(size) for size in shape)
        raise ValueError(f"it is {_kind(array)} where ({wanted}), {dtype.name} in C order is expected")
    if path.stat().st_size != array.offset + array.nbytes:
        raise ValueError("it is longer than its header says")
    return array


def _check_finite(images: np.ndarray) -> None:
    if images.dtype == np.uint8:
        return
    step = max(1, CHECKED_AT_ONCE // images[0].nbytes)
    for first in range(0, len(images), step):
        finite = np.isfinite(images[first : first + step]).all(axis=(1, 2, 3))
        if not finite.all():
            raise ValueError(f"image {first + int(finite.argmin())} holds NaN or infinity")


def _kind(array: np.ndarray) -> str:
    return f"{array.shape}, {array.dtype}"
