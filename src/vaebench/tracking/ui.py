"""What ``vaebench ui`` serves: MLflow's app, and the report beside it at ``/report/``.

A run's description leads to its method in the report, and a method's record in the report to its run. MLflow
finds :func:`create_app` by its entry point: ``mlflow server --app-name vaebench``.
"""

from __future__ import annotations

from vaebench.tracking.run import workspace_root

__all__ = ["create_app"]


def create_app():
    """MLflow's ASGI app with two more addresses."""
    from mlflow.server import app as pages
    from mlflow.server.fastapi_app import app

    pages.add_url_rule("/report/", view_func=_report)
    pages.add_url_rule("/report/<path:name>", view_func=_report)
    pages.add_url_rule("/ajax-api/2.0/mlflow/users/current", view_func=_nobody)
    return app


def _report(name: str = "index.html"):
    """A file of the workspace's ``reports/``: the index, a study's page, what they show and link to."""
    from flask import send_from_directory

    folder = workspace_root() / "reports"
    if not (folder / "index.html").is_file():
        return f"{folder / 'index.html'} is not there yet: `vaebench report` makes it.", 404
    return send_from_directory(folder, name)


def _nobody():
    """MLflow's page asks who has logged in, and without accounts reports a missing address as an error."""
    return "", 204
