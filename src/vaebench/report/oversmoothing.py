"""Before and after: the same test images, reconstructed with σx² fixed and with σx² estimated.

A study has such a pair where two methods differ in σx² alone: a Gaussian likelihood of fixed variance and one
of maximum likelihood, with one regularizer and one posterior.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vaebench.report.entries import DASH, Entry
from vaebench.report.results import Cell, Results

__all__ = ["before_and_after"]

ROWS, GAP = 8, 2
"""Layout of ``reconstructions.png``, whose even rows are originals; see ``measure/pictures/grids.py``."""


def before_and_after(results: Results) -> Iterator[dict]:
    """One comparison per data set that has a pair: rows cut out of the two methods' pictures, from the top.

    Each row is the picture's ``path``, its ``row``, its ``label`` and the test ``mse`` of the
    method; ``wide`` × ``high`` pixels are one row's. A sound pair is preferred to one that is not.
    """
    for dataset in results.study.datasets:
        pairs = [pair for pair in _pairs(results) if all(_picture(results, dataset, m) for m in pair)]
        if not pairs:
            continue
        pair = min(pairs, key=lambda methods: sum((dataset, m) in results.flags for m in methods))
        paths = [path for method in pair if (path := _picture(results, dataset, method))]
        size = _row_size(paths[0])
        if size is None or size != _row_size(paths[1]):
            continue
        labels = [{"label": results.label(m), "mse": _mse(results, dataset, m)} for m in pair]
        before, after = (path.relative_to(results.path).as_posix() for path in paths)
        rows = [
            {"path": before, "row": 0, "label": "test images"},
            {"path": before, "row": 1, **labels[0]},
            {"path": after, "row": 1, **labels[1]},
        ]
        yield {"dataset": dataset, "rows": rows, "wide": size[0], "high": size[1], "gap": GAP}


def _pairs(results: Results) -> list[tuple[str, str]]:
    def gaussians(variance: str) -> list[str]:
        methods = [(name, results.method(name).likelihood) for name in results.study.methods]
        return [n for n, like in methods if (like["name"], like.get("variance")) == ("gaussian", variance)]

    def rest(name: str) -> tuple:
        return results.method(name).regularizer, results.method(name).posterior

    return [(a, b) for a in gaussians("fixed") for b in gaussians("mle") if rest(a) == rest(b)]


def _picture(results: Results, dataset: str, method: str) -> Path | None:
    cells = (Cell(dataset, method, seed) for seed in results.study.seeds)
    paths = (path for cell in cells for path in results.images.get(cell, []))
    return next((path for path in paths if path.stem == "reconstructions"), None)


def _row_size(path: Path) -> tuple[int, int] | None:
    """Width and height of a row of images; None where the picture has not so many rows."""
    from PIL import Image

    with Image.open(path) as picture:
        width, height = picture.size
    high, left = divmod(height + GAP, ROWS)
    return None if left else (width, high - GAP)


def _mse(results: Results, dataset: str, method: str) -> str:
    rows = results.measured.query("dataset == @dataset and method == @method and metric == 'mse'")
    return next((Entry.of(r).ours for r in rows.itertuples()), DASH)
