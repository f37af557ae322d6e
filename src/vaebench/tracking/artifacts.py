"""Artifacts of a store in a file: in ``mlruns`` beside it, wherever the folder is moved or copied.

MLflow records absolute paths by itself. It asks this function while it is being imported.
"""

from pathlib import Path
from urllib.parse import unquote, urlsplit


def beside_the_store(artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None):
    """The repository of ``vaebench:/mlruns/x``: ``mlruns/x`` in the folder of the SQLite file."""
    import mlflow
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    store = tracking_uri or mlflow.get_tracking_uri()
    beside = Path(store.removeprefix("sqlite:///")).parent if store.startswith("sqlite:///") else Path()
    folder = beside.resolve() / unquote(urlsplit(artifact_uri).path).lstrip("/")
    return LocalArtifactRepository(folder.as_uri(), tracking_uri, registry_uri)
