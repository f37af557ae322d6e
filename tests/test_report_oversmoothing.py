"""The comparison of a fixed σx² with an estimated one on a study's page."""

import numpy as np
import pytest
from support.fake_study import write_study

from vaebench.measure.pictures import grids
from vaebench.report import oversmoothing
from vaebench.report.oversmoothing import before_and_after
from vaebench.report.page import write_page
from vaebench.report.results import read_results

FIXED = {"name": "gaussian", "variance": "fixed", "sigma2": 1.0}
MLE = {"name": "gaussian", "variance": "mle", "shape": "iso_i"}
TRAINABLE = MLE | {"variance": "trainable"}
KL, MMD = {"name": "kl"}, {"name": "mmd", "weight": 10.0}


def study(tmp_path, **methods):
    """Methods ``label=(likelihood, regularizer)`` with reconstructions in the layout of the pictures."""
    methods = {name: (name.upper(), *point) for name, point in methods.items()}
    folder = write_study(
        tmp_path, methods=methods, seeds=(0,), diverged=(), metrics=lambda d, m, s: {"mse": 4.5}
    )
    shown = np.zeros((grids.COLUMNS * grids.ROWS, 1, 28, 28))
    for name in methods:
        grids.save_grid(folder / f"images/mnist/{name}/0/reconstructions.png", shown, grids.COLUMNS)
    return read_results(folder)


def test_rows_are_cut_from_the_pictures_of_two_methods_that_differ_in_the_variance_alone(tmp_path):
    results = study(tmp_path, wae=(FIXED, MMD), trained=(TRAINABLE, KL), mle=(MLE, KL), vae=(FIXED, KL))
    (pair,) = before_and_after(results)
    assert [row["path"].split("/")[2] for row in pair["rows"]] == ["vae", "vae", "mle"]
    assert [row["row"] for row in pair["rows"]] == [0, 1, 1]
    assert (pair["wide"], pair["high"]) == (12 * 30 - 2, 28)
    write_page(results)
    html = (results.path / "index.html").read_text(encoding="utf-8")
    assert html.count("VAE: MSE 4.50") == html.count("MLE: MSE 4.50") == 1
    assert "--top: 30" in html


@pytest.mark.parametrize("other", [(MLE, MMD), (TRAINABLE, KL)], ids=["regularizer", "trainable"])
def test_without_such_a_pair_there_is_no_comparison(tmp_path, other):
    results = study(tmp_path, vae=(FIXED, KL), other=other)
    assert not list(before_and_after(results))
    write_page(results)
    assert "before-after" not in (results.path / "index.html").read_text("utf-8").split("</style>")[1]


def test_the_layout_is_that_of_the_pictures():
    assert (oversmoothing.ROWS, oversmoothing.GAP) == (grids.ROWS, grids.GAP)
