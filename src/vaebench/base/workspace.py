"""The workspace, also from the temporary copies in which DVC runs experiments.

``dvc exp run --temp`` and ``dvc queue`` run stages in copies of the repository below ``.dvc/tmp/exps``. What
Git and DVC do not keep, raw data say, is in the workspace alone.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["in_workspace", "workspace_root"]

COPIES = (".dvc", "tmp", "exps")


def workspace_root() -> Path:
    """The workspace that the current folder is, or of which it is one of DVC's temporary copies."""
    parts = Path.cwd().resolve().parts
    for index in range(len(parts) - len(COPIES)):
        if parts[index : index + len(COPIES)] == COPIES:
            return Path(*parts[:index])
    return Path(*parts)


def in_workspace(path: str | Path) -> Path:
    """A relative ``path`` as the workspace has it: unchanged there, absolute in a temporary copy."""
    root = workspace_root()
    return Path(path) if root == Path.cwd().resolve() else root / path
