"""The policy for files that a stage or a command wrote: a missing one names its writer, a damaged one too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaebench.base.errors import SAYS_NOTHING_OF_IT, UserError, advice, lost_code
from vaebench.base.files import read_json

__all__ = ["UnreadableError", "mapping_or_empty", "present", "reading"]


class UnreadableError(UserError):
    """A file of ours that is missing or damaged; the message names what writes it again."""


@contextmanager
def reading(path: str | Path, stage: str = "", command: str = "dvc repro") -> Iterator[None]:
    """Turn every error of a block that reads and checks ``path`` into an :class:`UnreadableError`.

    A check raises a ValueError. Blocks may be nested: the innermost one names its path. A file that the
    system does not let be read may be whole, so nobody is told to delete it; nor where code is gone.

    Args:
        path: a file, or a folder that is written as a whole.
        stage: the stage that writes it.
        command: the command that writes it, or that runs the stage.

    >>> try:
    ...     with reading("0.json", "evaluate"):
    ...         raise ValueError("it is empty")
    ... except UnreadableError as error:
    ...     print(error)
    0.json is damaged: it is empty. Delete it; `dvc repro` writes it again (stage evaluate).
    """
    writer = f"`{command}` writes it"
    where = f" (stage {stage})" if stage else ""
    try:
        yield
    except UnreadableError:
        raise
    except Exception as error:
        if lost_code(error):
            raise
        if isinstance(error, FileNotFoundError):
            raise UnreadableError(f"{error.filename or path} is missing; {writer}{where}.") from None
        if isinstance(error, OSError) and error.errno in SAYS_NOTHING_OF_IT:
            raise UnreadableError(
                f"{error.filename or path} cannot be read: {_reason(error)}; {advice(error)}, then run again."
            ) from None
        raise UnreadableError(
            f"{path} is damaged: {_reason(error)}. Delete it; {writer} again{where}."
        ) from error


def present(path: Path, stage: str) -> Path:
    """``path``, which a stage wrote.

    Raises:
        UnreadableError: it is missing.
    """
    with reading(path, stage):
        path.stat()
    return path


def mapping_or_empty(path: Path) -> dict:
    """The mapping in a JSON file; empty where there is none, or where it is damaged."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return {}


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        key = str(error.args[0])
        return key if " " in key else f"it lacks {key!r}"
    text = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
    return " ".join(text.split()).removesuffix(".")
