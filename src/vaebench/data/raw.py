"""Finding the files that the data's owners publish.

They are looked for below ``$VAEBENCH_DATA``, then below ``data/raw``; where torchvision can download a
set, it does so into ``data/raw``. Every file that is used leaves its SHA-256 in :attr:`RawFiles.sources`,
which becomes the store's ``meta["sources"]``.
"""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from vaebench.base.errors import UserError
from vaebench.base.workspace import in_workspace
from vaebench.data.instead import contents, lookalikes

__all__ = ["DATA_VARIABLE", "RawFiles", "unreadable"]

DATA_VARIABLE = "VAEBENCH_DATA"
DOWNLOADS = Path("data/raw")
DOWNLOAD_TIMEOUT = 30.0
"""Seconds without an answer after which a download is given up."""


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

    def find(
        self,
        what: str,
        files: Sequence[str],
        advice: str,
        *,
        folders: Sequence[str] = (".",),
        aliases: Sequence[str] = (),
        download: Callable[[Path], object] | None = None,
    ) -> Path:
        """The first folder that holds all of ``files``.

        Args:
            what: the set's name, for the message.
            files: files or folders, all of which must lie in the folder.
            advice: where the files are had from and how they are laid out.
            folders: tried below each root, in this order.
            aliases: under which the set is found, too: its archive, a folder of another copy. Where one lies
                is said; it is not read.
            download: fetches the files into the root that it is given, a temporary one, so that a download
                that is cut off leaves nothing that looks like the set.

        Raises:
            UserError: they are nowhere; it says what was missing where, and what to put there.
        """
        candidates = [root / folder for root in self.roots for folder in folders]
        for candidate in candidates:
            if _all_of(files, candidate) is not None:
                return candidate
        failure = ""
        if download is not None:
            root = self.roots[-1]
            try:
                root.mkdir(parents=True, exist_ok=True)
                with TemporaryDirectory(prefix=".download-", dir=root) as temporary, _impatient_sockets():
                    download(Path(temporary))
                    for folder in folders:
                        if (found := _all_of(files, Path(temporary, folder))) is not None:
                            return _move(files, found, root / folder)
                failure = f"Downloading it into {root} brought other files. "
            except Exception as error:  # whatever it was, the files are not there and the user can place them
                failure = f"Downloading it into {root} failed: {' '.join(str(error).split())}. "
        looked = "; ".join(f"{place} lacks {_missing(place, files)}" for place in candidates)
        fewest = min((_absent(place, files) for place in candidates), key=len)
        there = lookalikes(self.roots, fewest) or lookalikes(self.roots, aliases)
        instead = f"What lies there: {'; '.join(there)}. " if there else ""
        raise UserError(
            f"{what} was not found: {looked}. {instead}{failure}{advice} Put it into {self.roots[0]}, or set "
            f"{DATA_VARIABLE} to the folder that holds it."
        )

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
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
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


def _all_of(files: Sequence[str], folder: Path) -> Path | None:
    return folder if all((folder / file).exists() for file in files) else None


def _move(files: Sequence[str], source: Path, target: Path) -> Path:
    target.mkdir(parents=True, exist_ok=True)
    for file in files:
        (source / file).replace(target / file)
    return target


def _missing(place: Path, files: Sequence[str]) -> str:
    if not place.is_dir():
        return "everything (there is no such folder)"
    return ", ".join(_absent(place, files))


def _absent(place: Path, files: Sequence[str]) -> list[str]:
    return [file for file in files if not (place / file).exists()]


def unreadable(path: Path, error: OSError) -> UserError:
    """Error for a raw file that cannot be read; of one that is missing, what lies there instead."""
    if isinstance(error, FileNotFoundError):
        there = lookalikes([path.parent.parent], [path.name])
        holds = f"what lies there: {'; '.join(there)}" if there else f"{path.parent}: {contents(path.parent)}"
        return UserError(f"{path} is missing; {holds}. Put it there.")
    return UserError(
        f"{path} cannot be read ({error.strerror or error}); check what it is and its permissions."
    )


@contextmanager
def _impatient_sockets() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
