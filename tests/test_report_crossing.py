"""Which axis moves a metric, and where a sweep of the likelihood is stable."""

import numpy as np
import pytest
from support.fake_study import write_study

from vaebench.report.crossing import crossing_tables, shares
from vaebench.report.render import markdown
from vaebench.report.results import read_results
from vaebench.report.sweeps import sweep_tables
from vaebench.report.tables import write_tables

LIKELIHOODS = ("gaussian", "bernoulli", "l2")
REGULARIZERS = ("kl", "mmd", "none")
PAIRS = {f"{x}_{z}": (f"{x} {z}", {"name": x}, {"name": z}) for x in LIKELIHOODS for z in REGULARIZERS}


def test_shares_of_additive_of_interacting_and_of_equal_values():
    rows, columns = np.array([0.0, 3.0, 6.0])[:, None], np.array([1.0, 2.0])
    first, second, rest = shares(rows + columns)
    assert (first, second) == pytest.approx((36 / 37.5, 1.5 / 37.5))
    assert rest == pytest.approx(0, abs=1e-12)
    assert shares(np.array([[1.0, -1.0], [-1.0, 1.0]])) == pytest.approx((0, 0, 1))
    assert shares(np.full((2, 3), 0.1)) is None


def numbers(dataset, method, seed):
    x, z = method.split("_")
    i, j = LIKELIHOODS.index(x), REGULARIZERS.index(z)
    found = {
        "mse": 10.0 + i + 0.1 * j,
        "fd_classifier": {"prior": 100.0 ** (j + 1)},
        "prd": {"recall": i * j / 4},
    }
    return found if z != "kl" else {**found, "nll": 5.0}


def test_the_axis_that_moves_a_metric_is_named(tmp_path):
    folder = write_study(tmp_path, paper=None, methods=PAIRS, diverged=(), images=False, metrics=numbers)
    study = read_results(folder)
    (table,) = crossing_tables(study)
    shown = {label: [round(cell.mean, 2) for cell in cells] for label, cells in table.rows}
    assert shown["MSE"] == [0.99, 0.01, 0.0]
    assert shown["FD prior (logarithm)"] == [0.0, 1.0, 0.0]
    assert "moves most: MSE (99%)" in table.note
    assert "The regularizer, and the posterior that goes with it, moves most: FD prior (100%)" in table.note
    assert "Not measured on every pair: NLL." in table.note
    write_tables(read_results(folder))
    text = (folder / "tables" / "crossing_mnist.md").read_text(encoding="utf-8")
    assert "Shares of a metric's variance" in text
    assert "in brackets the paper's" not in text


def test_an_incomplete_crossing_is_not_split(tmp_path):
    some = {name: spec for name, spec in PAIRS.items() if name != "l2_none"}
    study = read_results(
        write_study(tmp_path, paper=None, methods=some, diverged=(), images=False, metrics=numbers)
    )
    assert crossing_tables(study) == []


def test_a_run_that_diverged_leaves_nothing_to_split(tmp_path):
    lost = tuple(("mnist", "l2_none", seed) for seed in (0, 1))
    study = read_results(
        write_study(tmp_path, paper=None, methods=PAIRS, diverged=lost, images=False, metrics=numbers)
    )
    assert crossing_tables(study) == []


def epsilon(name, value, warm=0):
    options = {"name": "gaussian", "shape": "diag_d", "eps": value} | ({"warmup_steps": warm} if warm else {})
    return (name, options, {"name": "kl"})


def test_the_table_of_a_sweep_says_what_diverged_collapsed_and_agrees(tmp_path):
    methods = {
        "eps_1e2": epsilon("ε = 1e-2", 1e-2),
        "eps_1e3": epsilon("ε = 1e-3", 1e-3),
        "eps_1e3_warm": epsilon("ε = 1e-3, warm", 1e-3, 1000),
        "eps_1e6": epsilon("ε = 1e-6", 1e-6),
    }
    ours = {
        "eps_1e2": {"mse_sampled": 9.0, "kl": 28.0},
        "eps_1e3": {"mse_sampled": 6.9, "kl": 0.01},
        "eps_1e3_warm": {"mse_sampled": 7.0, "kl": 30.0},
    }
    lost = tuple(("mnist", "eps_1e6", seed) for seed in (0, 1))
    folder = write_study(
        tmp_path, methods=methods, diverged=lost, images=False, metrics=lambda d, m, s: ours.get(m)
    )
    study = read_results(folder)
    (table,) = sweep_tables(study)
    assert [label for label, _ in table.rows] == ["1e-06", "0.001", "0.01"]
    assert table.columns[:2] == [
        ("MSE, z sampled", "no warm start"),
        ("MSE, z sampled", "warm start, 1000 steps"),
    ]
    assert [[cell.ours for cell in cells[:2]] for _, cells in table.rows] == [
        ["diverged", "–"],
        ["6.90 ± 0.00‡", "7.00 ± 0.00"],
        ["9.00 ± 0.00", "–"],
    ]
    assert "Diverged, in one seed or more: ε = 1e-6." in table.note
    assert "‡ Not ranked. ε = 1e-3: collapsed: KL of 0.0100 nats" in markdown(table)
    assert (
        "Closest to the paper's MSE, z sampled of 6.80, unsound ones aside, is ε = 1e-3, warm with 7.00."
        in table.note
    )
