"""`vaebench ui`: MLflow's pages, and the report beside them at ``/report/``.

A run's description leads to its method in the report, and ``/report/run/…`` from there to the run shown.
MLflow finds :func:`create_app` by its entry point: ``mlflow server --app-name vaebench``. Its two names that
are used here, ``mlflow.server.app`` and ``mlflow.server.fastapi_app.app``, are tested with the installed
version.
"""

from __future__ import annotations

import os
import socket
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vaebench.base.errors import UserError, without_passwords
from vaebench.study.params import load_params
from vaebench.study.paths import report_dir
from vaebench.tracking.follow import DEFAULT, enter_workspace, store_uri

if TYPE_CHECKING:
    from flask import Response
    from mlflow.entities import Run

__all__ = ["create_app", "serve"]


def serve(port: int) -> NoReturn:
    """Print the pages' addresses, and become MLflow's server for this machine alone.

    Raises:
        UserError: there is no local store, or the port is not free.
    """
    enter_workspace()
    uri = store_uri()
    if uri.startswith(("http://", "https://", "databricks")):
        raise UserError(
            f"MLFLOW_TRACKING_URI is {without_passwords(uri)}: that server has the runs and its own UI; open "
            "it there."
        )
    if uri == DEFAULT and not Path("mlflow.db").is_file():
        raise UserError(
            f"{Path('mlflow.db').resolve()} is not there: nothing has been tracked yet. `dvc repro` does it, "
            "and `vaebench track` for results on disk."
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise UserError(f"port {port} is not free ({error.strerror}); try `--port {port + 1}`.") from None
    here = f"http://127.0.0.1:{port}"
    print(f"MLflow's UI, within a minute: {here}{_runs_page(uri)}")
    print(f"The report: {here}/report/\nCtrl-C ends it.", flush=True)
    command = [sys.executable, "-W", "ignore", "-m", "mlflow", "server", "--app-name", "vaebench"]
    command += ["--workers", "1", "--backend-store-uri", uri, "--default-artifact-root", "mlruns"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--uvicorn-opts", "--log-level warning"]
    os.execve(sys.executable, command, os.environ | {"MLFLOW_TRACKING_URI": uri, "PYTHONWARNINGS": "ignore"})


def _runs_page(uri: str) -> str:
    """Below MLflow's address: its first page, and an experiment's, are about language models."""
    from mlflow import MlflowClient

    from vaebench.tracking.export import VIEW

    try:
        study = load_params(specs=()).study.name
    except UserError:
        return ""
    experiment = MlflowClient(tracking_uri=uri).get_experiment_by_name(study)
    if not experiment:
        return ""
    view = f"&viewStateShareKey={VIEW}" if f"mlflow.sharedViewState.{VIEW}" in experiment.tags else ""
    return f"/#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning{view}"


@cache
def create_app():
    """MLflow's ASGI app with more addresses, one per process; the current folder is the workspace."""
    from mlflow.server import app as pages
    from mlflow.server.fastapi_app import app

    pages.add_url_rule("/report/", view_func=_report)
    pages.add_url_rule("/report/<path:name>", view_func=_report)
    pages.add_url_rule("/report/<study>/index.html", view_func=_page)
    pages.add_url_rule("/report/run/<study>/<dataset>/<method>/<int:seed>", view_func=_run)
    pages.add_url_rule("/ajax-api/2.0/mlflow/users/current", view_func=_nobody)
    return app


def _report(name: str = "index.html"):
    """A file of ``reports/``."""
    from flask import send_from_directory

    if name == "index.html" and not Path("reports/index.html").is_file():
        return "reports/index.html is not there yet: `vaebench report` makes it.", 404
    return send_from_directory(Path("reports").resolve(), name)


def _page(study: str):
    """A study's page, of the results that are there now; the file may be another commit's."""
    from flask import abort

    from vaebench.report.page import page_html
    from vaebench.report.results import read_results

    try:
        return page_html(read_results(report_dir(study)))
    except UserError as error:
        abort(_text(error))


def _run(study: str, dataset: str, method: str, seed: int):
    """The way to the run that the report shows: by the parameters of ``study.yaml``, with its numbers."""
    from flask import abort, redirect

    try:
        run = _shown_run(study, dataset, method, seed)
    except UserError as error:
        abort(_text(error))
    place = f"/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    return redirect(f"{place}?workflowType=machine_learning")


def _shown_run(study: str, *names: Any) -> Run:
    """The latest run with the report's numbers, or else the latest by the report's parameters.

    Experiments by other parameters are runs of the same cell.
    """
    from mlflow import MlflowClient

    from vaebench.report.results import Cell, read_results
    from vaebench.report.runs import StudyRuns

    cell, client = Cell(*names), MlflowClient(tracking_uri=store_uri())
    results, experiment = read_results(report_dir(study)), client.get_experiment_by_name(study)
    if cell not in results.cells:
        raise UserError(f"{results.path} has no {cell.method} on {cell.dataset} with seed {cell.seed}.")
    shown, runs = StudyRuns(Path(), results.params, *cell).training(cell), []
    if experiment:
        same = " AND ".join(f"tags.`{key}` = '{value}'" for key, value in shown.identity.items())
        latest = ["attributes.start_time DESC"]
        runs = client.search_runs([experiment.experiment_id], same, order_by=latest)
    if not runs:
        raise UserError(
            f"No run of {cell.method} on {cell.dataset} with seed {cell.seed}, by the parameters in "
            f"{results.path / 'study.yaml'}, is tracked: `vaebench track {study}` does."
        )
    same_numbers = (run for run in runs if shown.metrics.items() <= run.data.metrics.items())
    return next(same_numbers, runs[0])


def _text(error: UserError) -> Response:
    from flask import Response

    return Response(f"{error}\n", 404, mimetype="text/plain")


def _nobody():
    """MLflow's page asks who has logged in, and without accounts reports a missing address as an error."""
    return "", 204
