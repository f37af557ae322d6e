"""Results under a study.yaml that did not make them, as a `dvc repro` that is stopped leaves them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from support.fake_study import history, write_study

from vaebench.base.files import write_json
from vaebench.report.results import Cell, read_results
from vaebench.report.terminal import best_rows
from vaebench.study import paths
from vaebench.study.params import parse_params
from vaebench.study.provenance import describe
from vaebench.study.resolve import parameters
from vaebench.study.stage import Task

CELL = Cell("mnist", "mle_iso_i", 0)
SHOWN = {"mse": 4.5, "fid": {"prior": 22.0}}
NEW = {"mse": 1.25, "fid": {"prior": 2.0}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A tabulated study in the current folder."""
    monkeypatch.chdir(tmp_path)
    return write_study(Path("reports"), metrics=lambda *cell: SHOWN, diverged=())


def changed(folder, **section):
    """The study with other parameters."""
    content = yaml.safe_load((folder / "study.yaml").read_text("utf-8"))
    for key, values in section.items():
        content[key] |= values
    return parse_params(content, specs=())


def record(stage, params):
    """The record that a stage writes at its end."""
    made_from = {"parameters": parameters(params, stage, CELL.dataset, CELL.method), "code": {}}
    task = Task(stage, params, CELL._asdict(), made_from, None, {}, frozenset(), 0.0, 0.0)
    path = paths.provenance_json(stage, "fake", *CELL)
    write_json(path, describe(task, data={}, device="cpu", seconds={}))
    return path


def trained(params):
    paths.history_csv("fake", *CELL).write_text(history(2, 1, 7))
    return record("train", params)


def evaluated(params):
    write_json(paths.metrics_json("fake", *CELL), NEW)
    return record("evaluate", params)


@pytest.mark.parametrize("section", [{"training": {"epochs": 7}}, {"evaluation": {"samples": 5000}}])
def test_metrics_by_other_parameters_are_not_shown_until_study_yaml_is_of_them(folder, section):
    params = changed(folder, **section)
    trained(params)
    evaluated(params)
    results = read_results(folder)
    assert CELL not in results.metrics
    assert not results.images[CELL]
    assert results.metrics["mnist", "mle_iso_i", 1] == SHOWN
    assert "Not shown: mle_iso_i · mnist · 0; " in best_rows(results)
    assert "`dvc repro`" in results.notice
    (folder / "study.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
    results = read_results(folder)
    assert (results.metrics[CELL], results.notice) == (NEW, "")


def test_a_curve_by_other_parameters_is_not_shown_beside_the_metrics_of_the_study(folder):
    evaluated(changed(folder))
    trained(changed(folder, training={"epochs": 7}))
    results = read_results(folder)
    assert CELL not in results.histories
    assert results.metrics[CELL] == NEW
    assert "mle_iso_i · mnist · 0 (its curve);" in results.notice


def test_the_same_parameters_a_clone_and_what_was_tabulated_are_shown(folder):
    evaluated(changed(folder))
    assert read_results(folder).metrics[CELL] == NEW
    evaluated(changed(folder, evaluation={"samples": 5000}))
    assert CELL not in read_results(folder).metrics
    shutil.copytree(paths.provenance_dir("fake"), folder / "provenance", dirs_exist_ok=True)
    assert read_results(folder).metrics[CELL] == NEW
    shutil.rmtree("data")
    assert read_results(folder).metrics[CELL] == NEW


def test_a_record_speaks_of_the_metrics_that_it_was_written_with(folder):
    path = evaluated(changed(folder, evaluation={"samples": 5000}))
    paths.metrics_json("fake", *CELL).write_text(json.dumps(SHOWN))  # as `git checkout` does
    assert read_results(folder).metrics[CELL] == SHOWN
    evaluated(changed(folder, evaluation={"samples": 5000}))
    content = json.loads(path.read_text())
    del content["digests"]["result"]  # an older record
    write_json(path, content)
    assert read_results(folder).metrics[CELL] == NEW
