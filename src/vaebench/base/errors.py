"""The error that a user is meant to read, and what is printed of any other."""

from __future__ import annotations

import errno
import re
import traceback
from contextlib import suppress
from pathlib import Path

__all__ = [
    "UserError",
    "advice",
    "cannot_be_read",
    "lost_code",
    "one_line",
    "paragraph",
    "without_passwords",
]

TRACEBACK = Path(".vaebench/traceback.txt")
"""Traceback of the last unexpected error."""

PACKAGE = Path(__file__).resolve().parents[1]
OURS = ("vaebench", "stages")

_ROOM = "make room on its disk"
_ANOTHER_KIND = "something of another kind lies there; move it away"
_HANDLES = "end other programs, run fewer things at once, or raise the limit (`ulimit -n`)"
_DISK = "check the disk or the network folder that it is on"
_NETWORK = "check the network, and that what it asks for runs"
ADVICE = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: f"{_ROOM}, where your quota is used up",
    errno.EFBIG: f"{_ROOM}, or raise the limit on a file's size (`ulimit -f`)",
    errno.EACCES: "check its permissions and its folder's",
    errno.EPERM: "check its permissions and its folder's",
    errno.EROFS: "its file system permits no writing; mount it otherwise, or work in another folder",
    errno.ENOENT: "it was moved or removed, perhaps with the folder in which this runs; put it back",
    errno.EISDIR: _ANOTHER_KIND,
    errno.ENOTDIR: _ANOTHER_KIND,
    errno.EEXIST: _ANOTHER_KIND,
    errno.ENAMETOOLONG: "shorten the name, or those of the folders above it",
    errno.EMFILE: _HANDLES,
    errno.ENFILE: _HANDLES,
    errno.ENOMEM: "free memory, or run fewer things at once",
    errno.EIO: _DISK,
    errno.ESTALE: _DISK,
    errno.ENETUNREACH: _NETWORK,
    errno.EHOSTUNREACH: _NETWORK,
}
"""What to do about an error of the operating system, by its number."""

SAYS_NOTHING_OF_IT = ADVICE.keys() - {errno.ENOENT, errno.EISDIR, errno.EEXIST}
"""Numbers of the errors of reading a file that may be as it should."""


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
    said = _in_words(error)
    if lost_code(error):
        return (
            f"{said}; the program's own code was removed or replaced while it ran. Run again from a whole "
            "checkout; what was written before is whole, and a training's last checkpoint is kept."
        )
    if isinstance(error, OSError) and (remedy := advice(error)):
        return f"{said}; {remedy}, then run again. What was written before is whole."
    reason = " ".join(str(error).split()) or "without a message"
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" at {frame[0].filename}:{frame[0].lineno}" if frame else ""
    return f"{type(error).__name__}: {reason}{where}. Nobody foresaw this; {_kept(error)}."


def advice(error: OSError) -> str:
    """What to do about an error of the operating system; empty where only what raised it could say.

    >>> advice(OSError(errno.EMFILE, "Too many open files", "0.json"))
    'end other programs, run fewer things at once, or raise the limit (`ulimit -n`)'
    """
    if isinstance(error, ConnectionError | TimeoutError):
        return _NETWORK
    if error.errno is None and str(error).endswith(" written"):  # numpy's of a short write, without a number
        return _ROOM
    return ADVICE.get(error.errno or 0, "")


def cannot_be_read(path: Path, error: OSError) -> UserError:
    """Error for a file of the user's that is there and that the system does not let be read."""
    remedy = advice(error) or "check what it is"
    return UserError(f"{path} cannot be read ({error.strerror or error}); {remedy}.")


def lost_code(error: Exception) -> bool:
    """True if ``error`` is that a file of the running program, or of a plug-in, is not there any more."""
    if isinstance(error, ImportError):
        return (error.name or "").partition(".")[0] in OURS
    if not isinstance(error, FileNotFoundError) or not isinstance(error.filename, str | Path):
        return False
    path = Path(error.filename)
    return path.suffix == ".py" or path.is_relative_to(PACKAGE)


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


def _in_words(error: Exception) -> str:
    if not isinstance(error, OSError):
        return str(error)
    return f"{error.strerror or error}" + (f" ({error.filename})" if error.filename else "")


def _kept(error: Exception) -> str:
    lines = traceback.format_exception(error)
    with suppress(OSError):
        TRACEBACK.parent.mkdir(exist_ok=True)
        TRACEBACK.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")
        return f"{TRACEBACK} has the way that led there. What was written before is whole"
    return "what was written before is whole"
