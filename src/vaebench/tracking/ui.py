"""Pages that ``vaebench ui`` serves: MLflow's app, and the report beside it at ``/report/``.

A run's description leads to its method in the report, and ``/report/run/…`` from there to its latest run.
MLflow finds :func:`create_app` by its entry point: ``mlflow server --app-name vaebench``. Its two names that
are used here, ``mlflow.server.app`` and ``mlflow.server.fastapi_app.app``, are tested with the installed
version.
"""

from functools import cache
from pathlib import Path

from vaebench.tracking.follow import store_uri

__all__ = ["create_app"]


@cache
def create_app():
    """MLflow's ASGI app with more addresses, one per process; the current folder is the workspace."""
    from mlflow.server import app as pages
    from mlflow.server.fastapi_app import app

    pages.add_url_rule("/report/", view_func=_report)
    pages.add_url_rule("/report/<path:name>", view_func=_report)
    pages.add_url_rule("/report/run/<study>/<dataset>/<method>/<int:seed>", view_func=_run)
    pages.add_url_rule("/ajax-api/2.0/mlflow/users/current", view_func=_nobody)
    return app


def _report(name: str = "index.html"):
    """A file of ``reports/``."""
    from flask import send_from_directory

    if name == "index.html" and not Path("reports/index.html").is_file():
        return "reports/index.html is not there yet: `vaebench report` makes it.", 404
    return send_from_directory(Path("reports").resolve(), name)


def _run(study: str, dataset: str, method: str, seed: int):
    """The way to the latest run of a cell."""
    from flask import abort, redirect
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=store_uri())
    experiment = client.get_experiment_by_name(study)
    untracked = f"No run of {method} on {dataset} with seed {seed} is tracked: `vaebench track {study}` does."
    if not experiment or "'" in dataset + method:
        abort(404, untracked)
    same = f"tags.dataset = '{dataset}' AND tags.method = '{method}' AND tags.seed = '{seed}'"
    runs = client.search_runs([experiment.experiment_id], same, order_by=["attributes.start_time DESC"])
    run = next(iter(runs), None) or abort(404, untracked)
    place = f"/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    return redirect(f"{place}?workflowType=machine_learning")


def _nobody():
    """MLflow's page asks who has logged in, and without accounts reports a missing address as an error."""
    return "", 204
