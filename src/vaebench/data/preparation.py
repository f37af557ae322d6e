"""A source's raw files, written as the prepared store.

>>> import tempfile
>>> data = prepare({"name": "digits", "validation": 200}, Path(tempfile.mkdtemp(), "digits"))
>>> data.split("train").shape
(1237, 1, 8, 8)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vaebench.base.errors import UserError, advice
from vaebench.data import SOURCES
from vaebench.data.raw import RawFiles
from vaebench.data.store import Prepared, StoreWriter

__all__ = ["prepare"]


def prepare(source: Mapping, out: Path, seed: int = 0) -> Prepared:
    """Write the store of ``source`` into ``out``, whole or not at all, in place of an older one.

    Args:
        source: ``{name: …, option: …}``, a value of :data:`SOURCES`.
        out: the store's folder.
        seed: of what a source draws (the noise of ``mnist``).

    Raises:
        UserError: an unknown option; a missing, damaged or unreadable raw file; ``out`` not writable.
    """
    built = SOURCES.build(source)
    raw = RawFiles.default()
    out = Path(out)
    try:
        with StoreWriter(out, source["name"], raw=raw, seed=seed) as store:
            built.write(raw, store)
    except OSError as error:
        remedy = advice(error) or "check what it is"
        raise UserError(f"{out} could not be written: {error}; {remedy}.") from None
    return Prepared.open(out)
