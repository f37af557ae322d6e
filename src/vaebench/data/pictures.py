"""Image files, decoded, fitted and appended to a store with bounded memory.

A picture is taken as it is meant to be seen: turned as its EXIF data say, 16-bit grey scaled to 8 bits. What
would have to be guessed is refused with the file's name: what lies behind see-through pixels, inks of CMYK,
values without a range (float, 32-bit integers), a file of several pictures.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from vaebench.base.errors import UserError
from vaebench.base.terminal import bars
from vaebench.data.raw import unreadable
from vaebench.data.store import StoreWriter

__all__ = ["append_pictures", "as_rgb", "resized"]

BATCH = 256

LOSSLESS = {"1", "L", "P", "RGB"}
TRANSLUCENT = {"LA", "PA", "RGBA"}
REPLACE = "put a good copy in its place, or take it out"
SAVE = "save it as RGB or grey, without transparency"
GREY16 = {"I;16", "I;16L", "I;16B", "I;16N"}


def append_pictures(
    paths: Sequence[Path],
    fit: Callable[[Image.Image], Image.Image],
    store: StoreWriter,
    title: str,
    labels: np.ndarray | None = None,
) -> str:
    """Append the images at ``paths``, in this order.

    Args:
        paths: the files; their contents decide the format, not their names.
        fit: brings an RGB image to the store's size, perhaps as grey; it raises ValueError for one that it
            cannot use.
        store: destination, which gets (B, 3, H, W) or (B, 1, H, W) uint8.
        title: of the progress bar.
        labels: (N,), of the images; None where they have none.

    Returns:
        The SHA-256 of the lines "name sha256" of all files, in this order.

    Raises:
        UserError: a file is missing, unreadable, damaged or cannot be fitted; it is named.
    """
    digest = hashlib.sha256()
    workers = os.cpu_count()
    with (
        ThreadPoolExecutor(workers) as pool,
        bars() as shown,
    ):
        images_done = shown.add_task(title, total=len(paths), note="")
        for first in range(0, len(paths), BATCH):
            batch = paths[first : first + BATCH]
            pixels, digests = zip(*pool.map(lambda path: _decode(path, fit), batch), strict=True)
            images = np.stack(pixels)
            images = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
            store.append(images, None if labels is None else labels[first : first + BATCH])
            for path, sha256 in zip(batch, digests, strict=True):
                digest.update(os.fsencode(path.name) + f" {sha256}\n".encode())
            shown.advance(images_done, len(batch))
    return digest.hexdigest()


def resized(image: Image.Image, side: int) -> Image.Image:
    """``image`` at ``side`` × ``side``, bilinear with the filter widened when shrinking (no aliasing)."""
    return image.resize((side, side), Image.Resampling.BILINEAR)


def as_rgb(image: Image.Image) -> Image.Image:
    """``image`` as RGB of 8 bits, upright; the same pixels where it has no more than 8 bits.

    Raises:
        ValueError: that would need a guess, or lose what the picture shows.
    """
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # a camera's, whose first is the picture
        raise ValueError(f"it holds {image.n_frames} pictures; keep one")
    image = ImageOps.exif_transpose(image)
    if image.mode in GREY16:
        values = np.asarray(image).astype(np.float64) * (255 / 65535)
        return Image.fromarray(np.rint(values).astype(np.uint8)).convert("RGB")
    if image.mode in TRANSLUCENT or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise ValueError(f"it has see-through pixels, and nothing says what is behind them; {SAVE}")
        return image.convert("RGB")
    if image.mode not in LOSSLESS:
        raise ValueError(f"its pixels are {image.mode}, and there is no one way to make them RGB; {SAVE}")
    return image.convert("RGB")


def _decode(path: Path, fit: Callable[[Image.Image], Image.Image]) -> tuple[np.ndarray, str]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from None
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            rgb = as_rgb(image)
        pixels = np.asarray(fit(rgb))
    except UnidentifiedImageError:
        raise _unusable(path, f"it is no picture that Pillow knows; {REPLACE}") from None
    except Image.DecompressionBombError as error:
        raise _unusable(path, f"{str(error).partition(',')[0]}; make it smaller") from None
    except (OSError, SyntaxError, OverflowError, EOFError) as error:
        raise _unusable(path, f"it is damaged: {error}; {REPLACE}") from None
    except ValueError as error:
        raise _unusable(path, str(error)) from None
    return pixels, hashlib.sha256(content).hexdigest()


def _unusable(path: Path, reason: str) -> UserError:
    return UserError(f"{path} cannot be used as an image: {reason}.")
