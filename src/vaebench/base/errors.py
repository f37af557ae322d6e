"""The one error that a user is meant to read."""

from __future__ import annotations

__all__ = ["UserError"]


class UserError(Exception):
    """Something that the user can repair: the message says what, where, and what to do.

    Stages and the command line print it as one paragraph, without a traceback, and exit with 1.
    """
