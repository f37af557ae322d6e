"""The notebook: it runs, runs again, and its committed outputs are what it gives."""

from __future__ import annotations

import ast
import json
import re
from types import SimpleNamespace

import pandas as pd
import pytest
from support.documents import blocks
from support.tiny_study import ROOT

from vaebench.model.regularizers import REGULARIZERS

CELLS = json.loads((ROOT / "notebooks/tutorial.ipynb").read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]
NUMBER = re.compile(r"-?\d+\.?\d*(?:e[+-]?\d+)?")


def run_cells(namespace: dict) -> list[str]:
    """The value of each cell's last expression as text, as Jupyter shows it."""
    pd.set_option("display.max_columns", 20, "display.width", 80)  # as in a notebook, whatever the terminal
    values = []
    for index, cell in enumerate(CODE):
        source = "".join(cell["source"])
        body = ast.parse(source)
        last = body.body.pop() if isinstance(body.body[-1], ast.Expr) else None
        exec(compile(body, f"cell {index}", "exec"), namespace)
        value = last and eval(compile(ast.Expression(last.value), f"cell {index}", "eval"), namespace)
        values.append("" if value is None or source.rstrip().endswith(";") else repr(value))
    return values


def committed(cell: dict) -> str:
    shown = [output["data"] for output in cell["outputs"] if output["output_type"] == "execute_result"]
    return "".join("".join(data["text/plain"]) for data in shown)


@pytest.fixture(scope="module")
def first(tmp_path_factory) -> SimpleNamespace:
    import matplotlib as mpl

    mpl.use("Agg")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("tutorial"))
        namespace: dict = {"__name__": "__main__"}
        return SimpleNamespace(values=run_cells(namespace), namespace=namespace)


@pytest.mark.pipeline
def test_the_tutorial_runs_and_its_numbers_bear_out_what_it_says(first):
    measured = first.namespace["measured"]
    mle, pca = measured["mle_iso_i"], measured["pca"]
    assert mle["mse"] < pca["mse"]
    assert mle["fd_mnist_lenet"]["gmm10"] < pca["fd_mnist_lenet"]["gmm10"]
    free, sparse = (measured[f"sparse_l1, {w}"]["latent"]["mean_absolute_code"] for w in (0.0, 0.1))
    assert sparse < free
    assert measured["sparse_l1, 0.1"]["mse"] == pytest.approx(measured["sparse_l1, 0.0"]["mse"], rel=0.1)
    assert mle["fd_mnist_lenet"]["gmm10"] < mle["fd_mnist_lenet"]["prior"]
    assert first.values[-1] == "True"


@pytest.mark.pipeline
def test_every_cell_that_shows_something_is_committed_with_it(first):
    for cell, value in zip(CODE, first.values, strict=True):
        assert cell["execution_count"]
        assert bool(committed(cell)) == bool(value)
    assert sum("image/png" in output.get("data", {}) for cell in CODE for output in cell["outputs"]) == 2


@pytest.mark.nightly
def test_run_a_second_time_after_the_guides_it_gives_what_is_committed(first, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    guide: dict = {}
    exec(blocks(ROOT / "docs/extending.md", "python")[0].text, guide)
    with REGULARIZERS.adding("latent_l1", guide["LatentL1"]):
        again = run_cells(first.namespace)
    for cell, value in zip(CODE, again, strict=True):
        before, now = (re.sub(r"\s|\[\d+ rows.*", "", text) for text in (committed(cell), value))
        assert NUMBER.sub("#", now) == NUMBER.sub("#", before)
        numbers = [[float(n) for n in NUMBER.findall(text)] for text in (now, before)]
        assert numbers[0] == pytest.approx(numbers[1], rel=0.15, abs=0.02)
