"""Published weights: a file that is checked, and downloaded once where it is not there."""

from __future__ import annotations

from pathlib import Path

from vaebench.base.errors import UserError
from vaebench.base.files import file_digest

__all__ = ["published_file"]


def published_file(path: Path, what: str, digest: str, url: str, remedy: str) -> Path:
    """``path``, downloaded first where it is not there.

    Args:
        path: where it lies or goes.
        what: its name in messages: "FID's Inception".
        digest: the first digits of its SHA-256.
        url: where it is published.
        remedy: a sentence with the way out where it cannot be had.

    Raises:
        UserError: it cannot be downloaded, or is not the published file.
    """
    if not path.is_file():
        _download(path, what, digest, url, remedy)
    found = file_digest(path)
    if not found.startswith(digest):
        raise UserError(
            f"{path} is not {what}: its SHA-256 begins with {found[:8]}, not {digest[:8]}. {remedy}"
        )
    return path


def _download(path: Path, what: str, digest: str, url: str, remedy: str) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=digest)
    except (OSError, RuntimeError) as error:
        raise UserError(f"The weights of {what} could not be downloaded ({error}). {remedy}") from None
