"""The error that a user is meant to read, and what is printed of any other."""

from __future__ import annotations

import re
import traceback
from contextlib import suppress
from pathlib import Path

__all__ = ["UserError", "one_line", "paragraph", "without_passwords"]

TRACEBACK = Path(".vaebench/traceback.txt")
"""Traceback of the last unexpected error."""


class UserError(Exception):
    """Something that the user can repair: the message says what, where, and what to do.

    Stages and the command line print it as one paragraph, without a traceback, and exit with 1.
    """


def paragraph(error: Exception) -> str:
    """The paragraph that a stage or a command prints of ``error`` before it ends.

    The traceback of an error that nobody foresaw is kept in ``.vaebench/traceback.txt``.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return (
            f"{error.strerror or error}{where}. Check the room on the disk and the folder's permissions, "
            "then run again; what was written before is whole."
        )
    reason = " ".join(str(error).split()) or "without a message"
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" at {frame[0].filename}:{frame[0].lineno}" if frame else ""
    return f"{type(error).__name__}: {reason}{where}. Nobody foresaw this; {_kept(error)}."


def one_line(error: Exception) -> str:
    """Message of a library's error, without passwords and SQLAlchemy's statements."""
    message = " ".join(str(error).partition("[SQL:")[0].split())
    return without_passwords(message) or type(error).__name__


def without_passwords(text: str) -> str:
    """A text whose addresses have no passwords.

    >>> without_passwords("http://me:secret@host:5000 does not answer")
    'http://me:…@host:5000 does not answer'
    """
    return re.sub(r"(?<=://)([^/@:\s]*):[^/@\s]*@", r"\1:…@", text)


def _kept(error: Exception) -> str:
    lines = traceback.format_exception(error)
    with suppress(OSError):
        TRACEBACK.parent.mkdir(exist_ok=True)
        TRACEBACK.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")
        return f"{TRACEBACK} has the way that led there. What was written before is whole"
    return "what was written before is whole"
