"""Tiny data sets in the layouts that their owners publish."""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

REAL_DATA = Path(__file__).parents[3] / "shared/data"


def idx_bytes(array: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_mnist(root: Path, train: int = 40, test: int = 20) -> dict[str, np.ndarray]:
    """Random images with labels 0 to 9 in turn."""
    rng = np.random.default_rng(1)
    folder = root / "MNIST/raw"
    folder.mkdir(parents=True)
    arrays = {}
    for part, count in (("train", train), ("t10k", test)):
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28), np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = (np.arange(count) % 10).astype(np.uint8)
    for name, array in arrays.items():
        (folder / name).write_bytes(idx_bytes(array))
    return arrays


def write_cifar10(root: Path, per_batch: int = 4) -> dict[str, dict]:
    """Batches as Python 2 and an old numpy pickled them."""
    rng = np.random.default_rng(2)
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    batches = {}
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        batches[name] = {
            "data": rng.integers(0, 256, (per_batch, 3072), np.uint8),
            "labels": rng.integers(0, 10, per_batch).tolist(),
        }
        content = pickle.dumps(batches[name], protocol=2)
        (folder / name).write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    return batches


def cifar10_digests(root: Path, names: Iterable[str]) -> dict[str, str]:
    """The batches' MD5, in place of the published ones."""
    folder = root / "cifar-10-batches-py"
    return {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in names}


def write_celeba(root: Path, partition: str = "0012") -> Path:
    """Red centres of 140 × 140 on blue, in the owner's size; the red fades with the number."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    lines = []
    for number, part in enumerate(partition, 1):
        pixels = np.zeros((218, 178, 3), np.uint8)
        pixels[..., 2] = 255
        pixels[39:179, 19:159] = (250 - 20 * (number % 12), 0, 0)
        name = f"{number:06d}.jpg"
        Image.fromarray(pixels).save(folder / "img_align_celeba" / name, quality=95, subsampling=0)
        lines.append(f"{name} {part}\n")
    (folder / "list_eval_partition.txt").write_text("".join(lines))
    return folder


def write_celebahq(root: Path, names: list[str], side: int = 256) -> Path:
    """Images of one colour each, the position in ``names`` times ten."""
    folder = root / "celebahq"
    folder.mkdir(parents=True)
    for number, name in enumerate(names):
        Image.new("RGB", (side, side), (10 * number, 0, 0)).save(folder / name)
    return folder


def grid(sizes: tuple[int, ...]) -> np.ndarray:
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), axis=1)


def dsprites_arrays(sizes: tuple[int, ...] = (1, 2, 1, 3, 2, 2)) -> dict[str, np.ndarray]:
    """Random binary images with the arrays, the pickled one too, that the published file has."""
    classes = grid(sizes)
    images = np.random.default_rng(3).integers(0, 2, (len(classes), 64, 64)).astype(np.uint8)
    return {
        "metadata": np.array({"pickled": "never opened"}, dtype=object),
        "imgs": images,
        "latents_classes": classes,
        "latents_values": classes.astype(float),
    }


def write_dsprites(root: Path, arrays: dict[str, np.ndarray]) -> Path:
    path = root / "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
    root.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
    return path


def shapes3d_arrays(sizes: tuple[int, ...] = (2, 1, 2, 2, 1, 3)) -> dict[str, np.ndarray]:
    """Random images, and the factors' values as floats, not indices."""
    classes = grid(sizes)
    images = np.random.default_rng(4).integers(0, 256, (len(classes), 64, 64, 3), np.uint8)
    return {"images": images, "labels": classes * np.array([0.1, 0.1, 0.1, 0.5, 1, 30]) - 30.0}


def write_shapes3d(root: Path, arrays: dict[str, np.ndarray]) -> Path:
    path = root / "3dshapes.h5"
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array, compression="gzip", chunks=(1, *array.shape[1:]))
    return path


def jpeg_bytes(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height)).save(buffer, "JPEG")
    return buffer.getvalue()
