"""``dvc.lock``, written whole or not at all, and one stage at a time at the cost of that stage."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from dvc.stage.serialize import to_lockfile
from dvc.utils.serialize import dumps_yaml

from vaebench.base.files import write_atomically

if TYPE_CHECKING:
    from dvc.stage import PipelineStage

__all__ = ["LockFile"]

_STAGE = re.compile(r"^  (?=[^ \n])", re.MULTILINE)


class LockFile:
    """A lock file's text, kept in one piece a stage.

    DVC parses and formats all stages to record one, in place; a kill leaves an empty file. Here only the new
    piece is formatted, and the file is replaced atomically by the joined pieces: to the byte what DVC
    writes. Nobody else may write the file meanwhile, so hold DVC's lock.

    Args:
        path: of the file.
        contents: what DVC read from it: ``{"schema": "2.0", "stages": {name: …}}``, or nothing.
    """

    def __init__(self, path: Path, contents: dict):
        self.path = path
        self._entries = dict(contents.get("stages", {}))
        above = {key: value for key, value in contents.items() if key != "stages"} or {"schema": "2.0"}
        self._above = dumps_yaml(above) + "stages:\n"
        self._pieces = self._split() if self._entries else {}

    def record(self, stage: PipelineStage) -> None:
        """Write ``stage``'s commands and hashes as they are in memory."""
        (name, entry) = to_lockfile(stage).popitem()
        if self._entries.get(name) == entry:
            return
        self._entries[name], self._pieces[name] = entry, _piece(name, entry)
        with write_atomically(self.path) as temporary:
            temporary.write_text(self._above + "".join(self._pieces.values()), encoding="utf-8")

    def _split(self) -> dict[str, str]:
        """The file's own pieces where it is laid out as DVC does, or else its data formatted again."""
        above, _, below = self.path.read_text(encoding="utf-8").partition("stages:\n")
        pieces = _STAGE.split(below)[1:]
        named = {piece.partition(":")[0]: f"  {piece}" for piece in pieces}
        if list(named) == list(self._entries) and above + "stages:\n" == self._above:
            return named
        return {name: _piece(name, entry) for name, entry in self._entries.items()}


def _piece(name: str, entry: dict) -> str:
    return dumps_yaml({"stages": {name: entry}}).partition("\n")[2]
