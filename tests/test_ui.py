"""The report beside MLflow's UI, without a browser; with one: test_browser.py."""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from support.fake_study import write_study

from vaebench.base.files import write_json
from vaebench.report.results import Cell, read_results
from vaebench.report.runs import StudyRuns

(APP,) = entry_points(group="mlflow.app", name="vaebench")


@pytest.fixture
def client(tmp_path, monkeypatch):
    """Asks the pages of what ``mlflow server --app-name vaebench`` serves in an empty folder."""
    from mlflow.server import app as pages

    monkeypatch.chdir(tmp_path)
    APP.load()()
    return pages.test_client()


def test_the_workspaces_report_is_served_and_nothing_else_of_it(client, tmp_path):
    assert "`vaebench report` makes it" in client.get("/report/").text
    (tmp_path / "reports/small/tables").mkdir(parents=True)
    (tmp_path / "reports/index.html").write_text("<p>the report</p>")
    (tmp_path / "reports/small/tables/metrics.csv").write_text("dataset,method")
    (tmp_path / "params.yaml").write_text("private: true")
    answer = client.get("/report/")
    assert (answer.status_code, answer.text) == (200, "<p>the report</p>")
    assert client.get("/report/small/tables/metrics.csv").text == "dataset,method"
    for other in ("/report/study.yaml", "/report/../params.yaml", "/report/%2e%2e/params.yaml"):
        assert client.get(other).status_code == 404


def test_a_studys_page_is_of_the_results_that_are_there(client):
    folder = write_study(Path("reports"), seeds=(0,), images=False)
    (folder / "index.html").write_text("the page of another commit")
    write_json(folder / "metrics/mnist/mle_iso_i/0.json", {"mse": 3.25})
    answer = client.get("/report/fake/index.html")
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert ">3.25°<" in answer.text
    (folder / "metrics/mnist/mle_iso_i/0.json").write_text("{")
    answer = client.get("/report/fake/index.html")
    assert (answer.status_code, answer.mimetype) == (404, "text/plain")
    assert "0.json is damaged" in answer.text


def test_mlflows_own_addresses_are_there_for_everyone_however_often_the_app_is_asked_for(client):
    assert client.get("/health").text == "OK"
    assert client.get("/ajax-api/2.0/mlflow/users/current").status_code == 204
    assert APP.load()() is APP.load()()


def test_a_cell_leads_to_the_run_that_the_report_shows(client, tmp_path, monkeypatch):
    """Of several by its parameters the one with its numbers; later ones are experiments."""
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'store.db'}")
    answer = client.get("/report/run/fake/mnist/mle_iso_i/0")
    assert (answer.status_code, "study.yaml is missing" in answer.text) == (404, True)
    folder = write_study(Path("reports"), seeds=(0,), images=False)
    answer = client.get("/report/run/fake/mnist/mle_iso_i/0")
    assert (answer.status_code, "`vaebench track fake`" in answer.text) == (404, True)
    store = MlflowClient(tracking_uri=os.environ["MLFLOW_TRACKING_URI"])
    experiment, cell = store.create_experiment("fake"), Cell("mnist", "mle_iso_i", 0)
    record = StudyRuns(Path(), read_results(folder).params, *cell).training(cell)

    def logged(start: int, metrics: dict, **other: str) -> str:
        run_id = store.create_run(experiment, start, dict(record.identity) | other).info.run_id
        for name, value in metrics.items():
            store.log_metric(run_id, name, value)
        return f"/#/experiments/{experiment}/runs/{run_id}?workflowType=machine_learning"

    logged(5, record.metrics, params_digest="of an experiment")
    assert client.get("/report/run/fake/mnist/mle_iso_i/0").status_code == 404
    shown = logged(1, record.metrics | {"train/loss": 2.5})
    logged(3, record.metrics | {"mse": 99.0})
    assert client.get("/report/run/fake/mnist/mle_iso_i/0").headers["Location"] == shown
    (folder / "metrics/mnist/mle_iso_i/0.json").unlink()
    latest = logged(4, {})
    assert client.get("/report/run/fake/mnist/mle_iso_i/0").headers["Location"] == latest
    assert client.get("/report/run/fake/mnist/vae'/0").status_code == 404
