"""Which figures a study has, and that they hold what they should."""

import pandas as pd
from PIL import Image
from support.fake_study import write_study

from vaebench.report.figures.comparison import write_figures
from vaebench.report.figures.curves import mean_history, training_curves
from vaebench.report.results import read_results

CROSSED = {
    f"{likelihood}_{regularizer}": (
        f"{likelihood} × {regularizer}",
        {"name": likelihood},
        {"name": regularizer},
    )
    for likelihood in ("gaussian", "bernoulli")
    for regularizer in ("kl", "mmd")
}


def stems(paths):
    return {path.stem for path in paths if path.suffix == ".png"}


def draw(folder):
    return write_figures(read_results(folder))


def study(tmp_path, methods, metrics, **options):
    options = {"diverged": (), "images": False, "epochs": 0, "seeds": (0,), **options}
    return write_study(tmp_path, methods=methods, metrics=metrics, **options)


def test_each_figure_is_a_png_and_a_pdf(tmp_path):
    paths = draw(study(tmp_path, CROSSED, lambda *_: {"mse": 1.0}, epochs=2))
    assert stems(paths) == {"curves_mnist", "seconds_mnist"}
    assert {p.suffix for p in paths} == {".png", ".pdf"}
    assert len(paths) == 4
    for path in paths:
        if path.suffix == ".png":
            with Image.open(path) as picture:
                picture.verify()
        else:
            assert path.read_bytes().startswith(b"%PDF")


def test_times_are_drawn_where_one_device_took_them(tmp_path):
    folder = write_study(tmp_path, images=False, epochs=0, diverged=())
    assert "seconds_mnist" in stems(draw(folder))
    path = folder / "provenance" / "mnist" / "mle_iso_i" / "0" / "train.json"
    path.write_text(path.read_text("utf-8").replace("cpu (2 cores)", "cpu (1 core)"), "utf-8")
    assert "seconds_mnist" not in stems(draw(folder))


def test_a_sweep_of_the_variance_is_drawn_beside_the_papers(tmp_path):
    methods = {
        f"stochastic_{level}": (level, {"name": "gaussian"}, {"name": "kl"})
        for level in ("0_0", "m0_1", "m1_0")
    }
    paths = draw(study(tmp_path, methods, lambda *_: {"smoothness": {"els": 6.0}}))
    assert {"levels_mnist", "against_takida2022_table1"} <= stems(paths)


def test_a_dollar_sign_in_a_label_is_drawn(tmp_path):
    methods = {"cheap": ("only $5 & \\frac{", {"name": "gaussian"}, {"name": "kl"})}
    assert "curves_mnist" in stems(draw(study(tmp_path, methods, lambda *_: {"mse": 1.0}, epochs=2)))


def test_nothing_evaluated_draws_nothing(tmp_path):
    assert draw(study(tmp_path, CROSSED, lambda *_: None)) == []


def test_the_mean_history_averages_the_runs_that_reached_an_epoch():
    long = pd.DataFrame({"epoch": [1, 2], "loss": [4.0, 2.0]})
    short = pd.DataFrame({"epoch": [1], "loss": [6.0]})
    assert mean_history([long, short])["loss"].tolist() == [5.0, 2.0]


def test_no_curve_no_figure(tmp_path):
    assert training_curves({"a": pd.DataFrame({"epoch": [1]})}, {"loss": "loss"}, tmp_path / "curves") == []


def test_a_sweep_of_an_option_is_drawn_with_gaps_where_training_failed(tmp_path):
    methods = {
        f"rank_{rank}_{index}": (
            f"rank {rank}",
            {"name": "gaussian", "rank": rank, "ridge": ridge},
            {"name": "kl"},
        )
        for rank in (1, 4, 16)
        for index, ridge in enumerate((1e-4, 1e-2))
    }
    lost = (("mnist", "rank_4_0", 0),)
    folder = study(tmp_path, methods, lambda *_: {"mse": 5.0, "nll": -10.0}, diverged=lost)
    assert "sweep_mnist" in stems(draw(folder))
    two = {name: spec for name, spec in methods.items() if not name.startswith("rank_16")}
    assert "sweep_mnist" not in stems(draw(study(tmp_path / "two", two, lambda *_: {"mse": 5.0})))


def test_angles_are_drawn_where_they_were_measured(tmp_path):
    angles = {"shape-scale": 90.0, "shape-hue": 30.0, "scale-hue": 60.0}
    numbers = {"disentanglement": {"pca_mig": 0.4, "angles": angles}}
    assert "angles_mnist" in stems(draw(study(tmp_path, CROSSED, lambda *_: numbers)))
