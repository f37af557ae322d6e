"""What belongs to the process, and outlives a test that changes it: the next tests of the worker see it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["unchanged"]


@contextmanager
def unchanged() -> Iterator[None]:
    """Put back the environment, the current folder, torch's threads and MLflow's address.

    The package sets them where the process is its own: in commands and stages, which tests call in theirs.
    """
    environment, folder = dict(os.environ), os.getcwd()  # noqa: PTH109
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0
    yield
    if mlflow := sys.modules.get("mlflow"):
        mlflow.set_tracking_uri(None)
    if dict(os.environ) != environment:
        os.environ.clear()
        os.environ.update(environment)
    os.chdir(folder)
    if torch and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
