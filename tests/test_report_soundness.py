"""Broken models: each rule on numbers that break it and on their neighbours that do not."""

import csv
import re
import shutil
from pathlib import Path

import pytest
import yaml
from support.fake_study import METHODS, write_study

from vaebench.base.files import read_json, write_json
from vaebench.report.page import write_page
from vaebench.report.render import latex, markdown
from vaebench.report.results import read_results
from vaebench.report.soundness import flag_run, warm_start_doubt
from vaebench.report.tables import all_tables, write_tables
from vaebench.report.terminal import best_rows

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("metrics", "kind"),
    [
        ({"mse": 4.0, "kl": 7.0}, None),
        ({"mse": 4.0, "kl": 0.09}, "collapsed"),
        ({"mse": 4.0, "active_units": 0}, "collapsed"),
        ({"mse": 4.0, "active_units": 1}, None),
        ({"mse": 4.0, "smoothness": {"els": 2e-4}}, "collapsed"),
        ({"mse": 51.0, "mse_mean_image": 52.8}, "collapsed"),
        ({"mse": 50.0, "mse_mean_image": 52.8}, None),
        ({"diverged_at_epoch": 3}, "diverged"),
    ],
)
def test_one_run_by_itself(metrics, kind):
    flag = flag_run(metrics)
    assert (flag.kind if flag else None) == kind


@pytest.mark.parametrize(("warmup", "steps", "kind"), [(1000, 938, "warm start"), (1000, 1001, None)])
def test_a_run_that_never_left_its_warm_start(warmup, steps, kind):
    flag = flag_run({"mse": 4.0}, warmup_steps=warmup, steps=steps)
    assert (flag.kind if flag else None) == kind
    assert flag_run({"mse": 4.0}, warmup_steps=warmup) is None


WARM = {"name": "gaussian", "variance": "mle", "shape": "diag_d", "warmup_steps": 1000}


def warm_study(tmp_path, source, epochs=1, steps=None):
    """A Diag-D of 64 images per step, whose record has the number of ``steps`` if any is given."""
    methods = {"diag_d": ("Diag-D", WARM, {"name": "kl"})}
    options = {"seeds": (0,), "diverged": (), "images": False, "epochs": epochs}
    folder = write_study(tmp_path, methods=methods, metrics=lambda *_: {"mse": 4.0}, **options)
    study = yaml.safe_load((folder / "study.yaml").read_text(encoding="utf-8"))
    study["datasets"]["mnist"]["source"] = source
    (folder / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    if steps is not None:
        record = folder / "provenance/mnist/diag_d/0/train.json"
        write_json(record, read_json(record) | {"steps": steps})
    return read_results(folder)


@pytest.mark.parametrize(
    ("source", "epochs", "steps", "kind"),
    [
        ({"name": "mnist"}, 1, None, "warm start"),  # 937 steps
        ({"name": "mnist"}, 2, None, None),
        ({"name": "mnist", "train_limit": 6400}, 10, None, "warm start"),  # 1,000 steps
        ({"name": "mnist", "train_limit": 6400}, 10, 1001, None),
        ({"name": "cifar10"}, 1, 900, "warm start"),
    ],
)
def test_a_record_without_steps_is_counted_where_the_images_are_known(tmp_path, source, epochs, steps, kind):
    results = warm_study(tmp_path, source, epochs, steps)
    flag = results.flags.get(("mnist", "diag_d"))
    assert (flag.kind if flag else None) == kind
    assert warm_start_doubt(results, "mnist", "diag_d") == ""


def test_where_the_steps_are_not_known_the_page_says_so(tmp_path):
    results = warm_study(tmp_path, {"name": "sprites"})
    assert not results.flags
    assert "Not known whether it left its warm start of 1000 steps: 1 of 1 runs" in warm_start_doubt(
        results, "mnist", "diag_d"
    )
    write_page(results)
    assert "Not known whether it left" in (results.path / "index.html").read_text(encoding="utf-8")


def broken(dataset, method, seed):
    """The VAE collapsed and leads in everything."""
    place = list(METHODS).index(method)
    return {"mse": 1.0 + place, "kl": [0.001, 30.0, 20.0][place], "nll": -900.0 + place}


def test_an_unsound_method_is_never_best_nor_second(tmp_path):
    folder = write_study(tmp_path, diverged=(), images=False, metrics=broken)
    results = read_results(folder)
    assert list(results.flags) == [("mnist", "vae_gaussian")]
    marks = results.summary.set_index(["method", "metric"])["mark"]
    for metric in ("mse", "nll"):
        assert [marks[m, metric] for m in METHODS] == ["", "best", ""]
    table = next(t for t in all_tables(results) if t.name == "likelihood")
    assert not any(entry.mark for entry in dict(table.rows)["VAE, σx² = 1"])
    assert "‡ Not ranked. VAE, σx² = 1: collapsed: KL of 0.0010 nats" in markdown(table)
    assert r"$^\ddagger$" in latex(table)
    text = best_rows(results)
    ranked, reasons = text.split("Not ranked:")
    assert "VAE, σx²" not in ranked
    assert "VAE, σx² = 1: collapsed" in reasons
    write_tables(results)
    with (folder / "tables/summary.csv").open(encoding="utf-8") as file:
        flags = {row["method"]: row["flag"] for row in csv.DictReader(file)}
    assert flags["vae_gaussian"].startswith("collapsed")
    assert flags["mle_iso_i"] == ""


def test_one_seed_of_two_flags_the_method_and_says_so(tmp_path):
    def metrics(dataset, method, seed):
        return {"mse": 4.0, "kl": 0.01 if (method, seed) == ("mle_iso_i", 1) else 20.0}

    folder = write_study(tmp_path, diverged=(), images=False, metrics=metrics)
    flag = read_results(folder).flags["mnist", "mle_iso_i"]
    assert flag.reason.endswith("; 1 of 2 seeds")
    half = write_study(tmp_path, "half", images=False)
    assert not read_results(half).flags  # one seed of WAE-MMD diverged, the other is sound


def test_reconstructions_are_judged_among_methods_that_say_no_more(tmp_path):
    methods = {f"m{i}": (f"M{i}", {"name": "gaussian"}, {"name": "kl"}) for i in range(5)}
    rates = {"m0": 7.0, "m1": 40.0, "m2": 45.0, "m3": 50.0, "m4": 80.0}
    distances = {"m0": 45.0, "m1": 2.0, "m2": 2.0, "m3": 2.0, "m4": 75.0}

    def metrics(dataset, method, seed):
        return {"mse": 5.0, "kl": rates[method], "fd_classifier": {"recon": distances[method]}}

    folder = write_study(tmp_path, methods=methods, diverged=(), images=False, metrics=metrics)
    assert list(read_results(folder).flags) == [("mnist", "m4")]
    distances["m0"] = 3000.0
    assert set(read_results(folder).flags) == {("mnist", "m4")}
    folder = write_study(tmp_path, "far", methods=methods, diverged=(), images=False, metrics=metrics)
    assert set(read_results(folder).flags) == {("mnist", "m0"), ("mnist", "m4")}


BROKEN = [
    ("takida_mnist_short", "trainable_diag_d", "far off"),
    ("takida_diag_d_epsilon", "eps_1e6", "collapsed"),
    ("sprites", "aae", "collapsed"),
]


@pytest.mark.parametrize(("study", "method", "kind"), BROKEN)
def test_the_broken_models_of_the_committed_studies_are_flagged(study, method, kind):
    results = read_results(ROOT / "reports" / study)
    (dataset,) = results.study.datasets
    assert results.flags[dataset, method].kind == kind
    assert set(results.summary.loc[results.summary["method"] == method, "mark"]) == {""}


@pytest.mark.pipeline
@pytest.mark.parametrize(("study", "method", "kind"), BROKEN)
def test_their_pages_say_so_and_rank_none_of_their_numbers(study, method, kind, tmp_path):
    folder = shutil.copytree(ROOT / "reports" / study, tmp_path / study)
    write_page(read_results(folder))
    page = (folder / "index.html").read_text(encoding="utf-8")
    (row,) = re.findall(rf'<tr class="run[^>]* data-method="{method}".*?</tr>', page, re.S)
    assert f">{kind}</span>" in row
    assert "‡" in row
    assert "°" not in row
    assert "best" not in row
