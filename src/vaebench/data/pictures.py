"""Image files, decoded, fitted and appended to a store with bounded memory."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from vaebench.base.errors import UserError
from vaebench.data.store import StoreWriter

__all__ = ["append_pictures", "resized"]

BATCH = 256


def append_pictures(
    paths: Sequence[Path], fit: Callable[[Image.Image], Image.Image], store: StoreWriter, title: str
) -> str:
    """Append the RGB images at ``paths``, in this order.

    Args:
        paths: the files; their contents decide the format, not their names.
        fit: brings an image to the store's size; it raises ValueError for one that it cannot use.
        store: what they are appended to, as (B, 3, H, W) uint8.
        title: of the progress bar.

    Returns:
        The SHA-256 of the lines "name sha256" of all files, in this order.

    Raises:
        UserError: a file is missing, unreadable, damaged or cannot be fitted; it is named.
    """
    digest = hashlib.sha256()
    workers = os.cpu_count()
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=len(paths), desc=title, unit="image", disable=None) as bar,
    ):
        for first in range(0, len(paths), BATCH):
            batch = paths[first : first + BATCH]
            pixels, digests = zip(*pool.map(lambda path: _decode(path, fit), batch), strict=True)
            store.append(np.stack(pixels).transpose(0, 3, 1, 2))
            for path, sha256 in zip(batch, digests, strict=True):
                digest.update(f"{path.name} {sha256}\n".encode())
            bar.update(len(batch))
    return digest.hexdigest()


def resized(image: Image.Image, side: int) -> Image.Image:
    """``image`` at ``side`` × ``side``, bilinear with the filter widened when shrinking (no aliasing)."""
    return image.resize((side, side), Image.Resampling.BILINEAR)


def _decode(path: Path, fit: Callable[[Image.Image], Image.Image]) -> tuple[np.ndarray, str]:
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            pixels = np.asarray(fit(image.convert("RGB")))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).replace(f"{error.__class__.__module__}.", "")
        raise UserError(
            f"{path} cannot be used as an image ({reason}); replace it with the published file."
        ) from None
    return pixels, hashlib.sha256(content).hexdigest()
