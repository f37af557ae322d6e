"""Search for, or download of, the raw files that the data's owners publish.

They are looked for below ``$VAEBENCH_DATA``, then below ``data/raw``; where torchvision can download a
set, it does so into ``data/raw``. Every file that is used leaves its SHA-256 in :attr:`RawFiles.sources`,
which becomes the store's ``meta["sources"]``.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from vaebench.base.errors import UserError, cannot_be_read
from vaebench.base.files import file_digest
from vaebench.base.workspace import in_workspace
from vaebench.data.instead import contents, lookalikes

__all__ = ["DATA_VARIABLE", "RawFiles", "RawSet", "unreadable"]

DATA_VARIABLE = "VAEBENCH_DATA"
DOWNLOADS = Path("data/raw")
DOWNLOAD_TIMEOUT = 30.0
"""Seconds without an answer after which a download is given up."""


@dataclass(frozen=True)
class RawSet:
    """Files of a data set as its owner publishes them.

    Attributes:
        title: the set's name, for messages.
        files: files or folders, all of which must lie in one folder.
        advice: source and layout of the files, as sentences.
        folders: places of that folder below a root, in the order in which they are tried.
        aliases: other names of the set, which a message mentions where one lies: its archive, a folder
            of another copy. They are not read.
        download: fetches the files into the root that it is given, a temporary one, so that a download that
            is cut off leaves nothing that looks like the set.
    """

    title: str
    files: tuple[str, ...]
    advice: str
    folders: tuple[str, ...] = (".",)
    aliases: tuple[str, ...] = ()
    download: Callable[[Path], object] | None = None


@dataclass
class RawFiles:
    """The folders in which raw files may lie, the first one preferred."""

    roots: tuple[Path, ...]
    sources: dict[str, str] = field(default_factory=dict)
    """Files read so far: path below its root to SHA-256."""

    @classmethod
    def default(cls) -> RawFiles:
        """``$VAEBENCH_DATA`` where it is set, then ``data/raw``."""
        chosen, downloads = os.environ.get(DATA_VARIABLE), in_workspace(DOWNLOADS)
        if not chosen:
            return cls((downloads,))
        if not in_workspace(chosen).is_dir():
            raise UserError(
                f"{DATA_VARIABLE} is {chosen!r}, which is not a folder; set it to the folder that holds the "
                "raw data, or unset it."
            )
        return cls((in_workspace(chosen), downloads))

    def look(self, wanted: RawSet) -> Path | None:
        """The first folder that holds all files of a set; None where none does."""
        return next((place for place in self._places(wanted) if not _absent(place, wanted)), None)

    def find(self, wanted: RawSet) -> Path:
        """The first folder that holds all files of a set, which are downloaded where that is possible.

        Raises:
            UserError: they are nowhere; it says what was missing where, and what to put there.
        """
        if (folder := self.look(wanted)) is not None:
            return folder
        failure = ""
        if wanted.download is not None:
            root = self.roots[-1]
            try:
                if (folder := _download(wanted, root)) is not None:
                    return folder
                failure = f"Downloading it into {root} brought other files. "
            except Exception as error:  # whatever it was, the files are not there and the user can place them
                failure = f"Downloading it into {root} failed: {' '.join(str(error).split())}. "
        raise UserError(self.lacks(wanted, failure))

    def lacks(self, wanted: RawSet, failure: str = "") -> str:
        """Message on the missing files of a set: where they were looked for, and what to put there.

        Args:
            wanted: the set.
            failure: of its download, as a sentence.
        """
        places = self._places(wanted)
        looked = "; ".join(f"{place} lacks {_missing(place, wanted)}" for place in places)
        fewest = min((_absent(place, wanted) for place in places), key=len)
        similar = lookalikes(self.roots, fewest) or lookalikes(self.roots, wanted.aliases)
        instead = f"What lies there: {'; '.join(similar)}. " if similar else ""
        return (
            f"{wanted.title} was not found: {looked}. {instead}{failure}{wanted.advice} Put it into "
            f"{self.roots[0]}, or set {DATA_VARIABLE} to the folder that holds it."
        )

    def _places(self, wanted: RawSet) -> list[Path]:
        return [root / folder for root in self.roots for folder in wanted.folders]

    def read(self, path: Path) -> bytes:
        """The whole of ``path``, which is recorded as used."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise unreadable(path, error) from None
        self.record(path, hashlib.sha256(content).hexdigest())
        return content

    def digest(self, path: Path) -> str:
        """The SHA-256 of ``path``, read in pieces and recorded as used."""
        try:
            digest = file_digest(path)
        except OSError as error:
            raise unreadable(path, error) from None
        self.record(path, digest)
        return digest

    def record(self, path: Path, digest: str) -> None:
        """Note that ``path`` was used and had this SHA-256."""
        for root in self.roots:
            if path.is_relative_to(root):
                path = path.relative_to(root)
                break
        self.sources[path.as_posix()] = digest


def _download(wanted: RawSet, root: Path) -> Path | None:
    """Download a set into ``root``, whole or not at all; None where other files came."""
    root.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".download-", dir=root) as temporary, _impatient_sockets():
        assert wanted.download is not None
        wanted.download(Path(temporary))
        for folder in wanted.folders:
            if not _absent(Path(temporary, folder), wanted):
                (root / folder).mkdir(parents=True, exist_ok=True)
                for file in wanted.files:
                    Path(temporary, folder, file).replace(root / folder / file)
                return root / folder
    return None


def _missing(place: Path, wanted: RawSet) -> str:
    if not place.is_dir():
        return "everything (there is no such folder)"
    return ", ".join(_absent(place, wanted))


def _absent(place: Path, wanted: RawSet) -> list[str]:
    return [file for file in wanted.files if not (place / file).exists()]


def unreadable(path: Path, error: OSError) -> UserError:
    """Error for a raw file that cannot be read; of one that is missing, what lies there instead."""
    if isinstance(error, FileNotFoundError):
        similar = lookalikes([path.parent.parent], [path.name])
        holds = f"{path.parent}: {contents(path.parent)}"
        if similar:
            holds = f"what lies there: {'; '.join(similar)}"
        return UserError(f"{path} is missing; {holds}. Put it there.")
    return cannot_be_read(path, error)


@contextmanager
def _impatient_sockets() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
