"""Objects of a user's own, named by their address on the command line."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from vaebench.base.errors import UserError

__all__ = ["imported"]


def imported(address: str) -> Any:
    """The object at ``module:object``, or the module where no object is named; the current folder goes first.

    Raises:
        UserError: it cannot be imported.
    """
    module, _, attribute = address.partition(":")
    sys.path.insert(0, "")
    try:
        imported_module = importlib.import_module(module)
        return getattr(imported_module, attribute) if attribute else imported_module
    except (Exception, SystemExit) as error:  # whatever a user's file does where it is imported
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{address} cannot be imported ({reason}); name it as module:object.") from error
    finally:
        sys.path.pop(0)
