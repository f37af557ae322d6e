"""Artifacts of a store in a file: in ``mlruns`` beside it, wherever the folder is moved or copied.

MLflow itself records absolute paths. It finds this class by its entry point and by the addresses' scheme.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import mlflow
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

__all__ = ["BesideTheStore"]


class BesideTheStore(LocalArtifactRepository):
    """``vaebench:/mlruns/x`` is ``mlruns/x`` in the folder of the SQLite file."""

    def __init__(self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None):
        store = tracking_uri or mlflow.get_tracking_uri()
        beside = Path(store.removeprefix("sqlite:///")).parent if store.startswith("sqlite:///") else Path()
        folder = beside.resolve() / unquote(urlsplit(artifact_uri).path).lstrip("/")
        super().__init__(folder.as_uri(), tracking_uri, registry_uri)
