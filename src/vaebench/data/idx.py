"""The idx format of MNIST's files.

Big-endian: two zero bytes, the type (8 for uint8), the number of dimensions, one 32-bit size for each,
then the values in C order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vaebench.base.errors import UserError

__all__ = ["parse_idx"]

UINT8 = 8
GZIP = b"\x1f\x8b"
HOLDS = {1: "labels (1 dimension)", 3: "images (3 dimensions)"}


def parse_idx(content: bytes, dimensions: int, path: Path) -> np.ndarray:
    """The uint8 array in ``content``.

    Args:
        content: the file's bytes.
        dimensions: how many the array must have: 3 for images, 1 for labels.
        path: for messages.

    Raises:
        UserError: not idx, of another type or number of dimensions, truncated, too long or empty.
    """
    if content.startswith(GZIP):
        raise UserError(f"{path} is still compressed; run `gunzip` on it and keep the name without .gz.")
    start = 4 + 4 * dimensions
    if len(content) < 4 or content[:2] != b"\0\0":
        raise _wrong(path, f"is not an idx file: it begins with {content[:4].hex(' ') or 'nothing'}")
    if content[2] != UINT8:
        raise _wrong(path, f"holds values of idx type {content[2]:#04x}, not bytes (0x08)")
    if content[3] != dimensions:
        held = HOLDS.get(content[3], f"an array of {content[3]} dimensions")
        raise _wrong(path, f"holds {held} where {HOLDS[dimensions]} are expected")
    if len(content) < start:
        raise _wrong(path, f"ends within its header, after {len(content)} bytes")
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4))
    expected = start + int(np.prod(shape, dtype=object))
    if len(content) != expected:
        state = "truncated" if len(content) < expected else "longer than its header says"
        raise _wrong(path, f"is {state}: {len(content)} bytes where shape {shape} needs {expected}")
    if 0 in shape:
        raise _wrong(path, f"is empty: its shape is {shape}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _wrong(path: Path, reason: str) -> UserError:
    return UserError(f"{path} {reason}. Replace it with the published file.")
