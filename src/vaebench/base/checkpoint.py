"""Checkpoints that survive a kill at any moment, and a lock on the folder that holds them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from io import BytesIO
from pathlib import Path

from vaebench.base.errors import UserError, advice
from vaebench.base.files import write_atomically

__all__ = ["Checkpoints"]


class Checkpoints:
    """Checkpoint of one training or fit, replaced atomically every ``seconds``.

    Use it as a context manager: it holds a lock on ``folder``, so that a training that a killed `dvc`
    left behind and its re-run cannot overwrite each other's files.

    Args:
        folder: outside DVC's outputs, so that DVC does not delete it before a re-run.
        digest: of all that determines the training; a checkpoint of another digest is not used.
        seconds: between two checkpoints.
    """

    def __init__(self, folder: Path, digest: str, seconds: float):
        self.folder, self.digest, self.seconds = folder, digest, seconds
        self.path = folder / "checkpoint.pt"
        self._last = time.monotonic()

    def __enter__(self) -> Checkpoints:
        """Take the lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # flock and no FileLock: whoever is refused reads in the locked file whose it is.
        self._lock = (self.folder / "lock").open("a+")  # never deleted, or two could hold one each
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.seek(0)
            owner = self._lock.read().strip() or "unknown"
            self._lock.close()
            raise UserError(
                f"process {owner} is training into {self.folder} already; wait for it to end, or end it "
                f"with `kill {owner}` (its checkpoint stays), then run again."
            ) from None
        self._lock.truncate(0)
        self._lock.write(str(os.getpid()))
        self._lock.flush()
        for partial in self.folder.glob(".*.partial"):  # of a process that was killed while it saved
            partial.unlink()
        return self

    def __exit__(self, *_) -> None:
        """Give the lock back; the checkpoint stays."""
        self._lock.close()

    def due(self) -> bool:
        """True if ``seconds`` have passed since the last checkpoint."""
        return time.monotonic() - self._last >= self.seconds

    def save(self, state: dict) -> str:
        """Replace the checkpoint by ``state`` (tensors, numbers, strings, lists and mappings of them).

        Returns:
            An empty string, or, where it cannot be written, a line that says why: a disk that is full for an
            hour should not end a training of days. The last checkpoint is then still there.
        """
        self._last = time.monotonic()
        import torch

        content = BytesIO()
        torch.save(state, content)
        try:
            with write_atomically(self.path) as temporary, temporary.open("wb") as file:
                file.write(f"{self.digest} {_sum(content.getbuffer())} {state.get('epoch', 0)}\n".encode())
                file.write(content.getbuffer())
        except OSError as error:
            remedy = advice(error)
            return f"checkpoint {self.path} could not be written ({error})" + f"; {remedy}" * bool(remedy)
        return ""

    def load(self) -> tuple[dict | None, str]:
        """The state to go on from, or None, and a line on the decision.

        Raises:
            OSError: the system does not let it be read; it may be whole, so nothing takes its place.
        """
        try:
            header, _, content = self.path.read_bytes().partition(b"\n")
            digest, written, _ = header.decode().split(" ")
        except FileNotFoundError:
            return None, ""
        except ValueError as error:
            return None, f"checkpoint {self.path} is damaged ({error}); starting from the beginning"
        if digest != self.digest:
            return None, (
                f"checkpoint {self.path} is of other data, parameters or code; starting from the beginning"
            )
        if _sum(content) != written:
            return (
                None,
                f"checkpoint {self.path} is damaged (its SHA-256 is wrong); starting from the beginning",
            )
        import torch

        state = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
        return state, f"going on from epoch {state['epoch'] + 1}, step {state['batch']} ({self.path})"

    def discard(self) -> None:
        """Remove the checkpoint of a training that has ended."""
        self.path.unlink(missing_ok=True)


def _sum(content: bytes | memoryview) -> str:
    """SHA-256; torch reads a file with wrong bytes in it as other weights, without an error."""
    return hashlib.sha256(content).hexdigest()
