import hashlib
import io
import pickle
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support.data_fixtures import (
    REAL_DATA,
    cifar10_digests,
    dsprites_arrays,
    grid,
    jpeg_bytes,
    shapes3d_arrays,
    write_celeba,
    write_celebahq,
    write_cifar10,
    write_dsprites,
    write_mnist,
    write_shapes3d,
)

from vaebench.base.errors import UserError
from vaebench.data import SOURCES, mnist_subset, training_images
from vaebench.data import cifar10 as cifar10_module
from vaebench.data.cifar10 import Cifar10
from vaebench.data.dsprites import DSprites
from vaebench.data.idx import parse_idx
from vaebench.data.mnist import Mnist
from vaebench.data.pictures import as_rgb
from vaebench.data.preparation import prepare
from vaebench.data.raw import RawFiles
from vaebench.data.shapes3d import Shapes3D
from vaebench.data.sprites import FACTORS, INTENSITIES, POSITIONS, SCALES, draw
from vaebench.data.store import Prepared, StoreWriter

NEED_FILES = ["mnist", "cifar10", "celeba", "celebahq", "dsprites", "shapes3d"]


@pytest.fixture(autouse=True)
def raw(tmp_path, monkeypatch):
    """Run in an empty folder, with raw data in ``raw`` and no network."""

    def refuse(root):
        raise RuntimeError("no network\nin tests")

    (tmp_path / "raw").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAEBENCH_DATA", str(tmp_path / "raw"))
    for source in (Mnist, Cifar10):
        monkeypatch.setattr(source, "published", replace(source.published, download=refuse))
    return tmp_path / "raw"


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


# Finding raw files


NEEDED = {
    "folder": {"path": "pictures", "side": 8},
    "arrays": {"path": "a.npz"},
    "torchvision": {"dataset": "MNIST"},
}


def test_every_source_can_be_built():
    for name in SOURCES.names():
        assert callable(SOURCES.build({"name": name, **NEEDED.get(name, {})}).write)


@pytest.mark.parametrize("name", NEED_FILES)
def test_missing_files_say_what_to_put_where(raw, store, name):
    with pytest.raises(UserError) as caught:
        prepare({"name": name}, store)
    message = str(caught.value)
    assert f"was not found: {raw}" in message
    assert "data/raw" in message
    assert "VAEBENCH_DATA" in message
    assert "http" in message or "MNIST/raw" in message
    assert ("failed: no network in tests" in message) == (name in ("mnist", "cifar10"))
    assert not store.exists()


def test_the_chosen_folder_comes_before_the_default(raw, tmp_path, store):
    write_mnist(tmp_path / "data/raw", train=30)
    assert len(prepare({"name": "mnist"}, store).split("train")) == 30
    write_mnist(raw, train=50)
    assert len(prepare({"name": "mnist"}, store).split("train")) == 50


def test_an_incomplete_folder_is_passed_over_and_reported(raw, tmp_path, store):
    write_mnist(raw)
    (raw / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match=rf"{raw}/MNIST/raw lacks t10k-labels-idx1-ubyte; data/raw"):
        prepare({"name": "mnist"}, store)
    write_mnist(tmp_path / "data/raw", train=30)
    assert len(prepare({"name": "mnist"}, store).split("train")) == 30


def test_missing_files_are_downloaded_into_the_default_folder(monkeypatch, store, tmp_path):
    monkeypatch.delenv("VAEBENCH_DATA")
    monkeypatch.setattr(Mnist, "published", replace(Mnist.published, download=write_mnist))
    assert len(prepare({"name": "mnist"}, store).split("train")) == 40
    assert (tmp_path / "data/raw/MNIST/raw").is_dir()


def test_a_variable_that_names_no_folder_is_refused(monkeypatch, store, tmp_path):
    monkeypatch.setenv("VAEBENCH_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(UserError, match=r"VAEBENCH_DATA is '.*elsewhere', which is not a folder"):
        prepare({"name": "sprites"}, store)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/store could not be written"):
        prepare({"name": "sprites"}, tmp_path / "file/store")


@pytest.mark.parametrize("name", ["celeba", "dsprites", "shapes3d"])
def test_a_full_disk_is_not_blamed_on_the_raw_files(raw, store, name, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    write_celeba(raw)
    write_dsprites(raw, ARRAYS)
    write_shapes3d(raw, SHAPES)
    monkeypatch.setattr(StoreWriter, "append", fail)
    with pytest.raises(UserError, match=r"store could not be written: .*No space left"):
        prepare({"name": name}, store)


def test_sources_are_digests_of_the_files(raw, store):
    path = write_shapes3d(raw, shapes3d_arrays())
    sources = prepare({"name": "shapes3d"}, store).meta["sources"]
    assert sources == {"3dshapes.h5": hashlib.sha256(path.read_bytes()).hexdigest()}


# digits


def test_digits(store):
    from sklearn.datasets import load_digits

    data = prepare({"name": "digits", "validation": 200}, store)
    assert data.meta["splits"] == {"train": [0, 1237], "validation": [1237, 1437], "test": [1437, 1797]}
    published = load_digits()
    assert np.abs(data.images[:, 0] / 255 - published.images / 16).max() < 0.5 / 255 + 1e-9
    assert data.images.max() == 255
    np.testing.assert_array_equal(data.labels, published.target)


def test_digits_refuses_to_hold_everything_back(store):
    with pytest.raises(UserError, match="there are 1437 training images"):
        prepare({"name": "digits", "validation": 1437}, store)


# The part of MNIST that is shipped


def test_the_shipped_digits_are_balanced_however_they_are_cut(store):
    data = prepare({"name": "mnist_subset", "validation": 200}, store)
    assert data.meta["splits"] == {"train": [0, 3800], "validation": [3800, 4000], "test": [4000, 5000]}
    assert data.images.shape == (5000, 1, 28, 28)
    for split, each in {"train": 380, "validation": 20, "test": 100}.items():
        assert np.bincount(data.labels[data.rows(split)]).tolist() == [each] * 10


def test_fewer_shipped_test_images_are_the_first(store):
    data = prepare({"name": "mnist_subset", "test": 500}, store)
    assert data.meta["splits"] == {"train": [0, 4000], "test": [4000, 4500]}
    assert np.bincount(data.labels[data.rows("test")]).tolist() == [50] * 10
    with pytest.raises(UserError, match="1000"):
        prepare({"name": "mnist_subset", "test": 1001}, store)


def test_a_changed_file_of_shipped_digits_is_refused(store, tmp_path, monkeypatch):
    content = bytearray(mnist_subset.FILE.read_bytes())
    content[5000] ^= 1
    monkeypatch.setattr(mnist_subset, "FILE", tmp_path / "flipped.npz")
    mnist_subset.FILE.write_bytes(content)
    with pytest.raises(UserError, match=r"flipped\.npz is not the file that vaebench ships"):
        prepare({"name": "mnist_subset"}, store)


@pytest.mark.skipif(not (REAL_DATA / "MNIST/raw").is_dir(), reason="no MNIST in shared/data")
def test_the_shipped_digits_are_mnists_first_of_each_class(store):
    shipped = prepare({"name": "mnist_subset"}, store)
    for part, rows in {"train": slice(0, 4000), "t10k": slice(4000, 5000)}.items():
        pixels, labels = (
            parse_idx((REAL_DATA / f"MNIST/raw/{part}-{kind}-ubyte").read_bytes(), dimensions, Path(part))
            for kind, dimensions in (("images-idx3", 3), ("labels-idx1", 1))
        )
        for label in range(10):
            ours = shipped.images[rows, 0][shipped.labels[rows] == label]
            np.testing.assert_array_equal(ours, pixels[labels == label][: len(ours)])


# CIFAR-10


@pytest.fixture
def cifar10(raw, monkeypatch):
    batches = write_cifar10(raw)
    monkeypatch.setattr("vaebench.data.cifar10.MD5", cifar10_digests(raw, batches))
    return batches


def test_cifar10(cifar10, store):
    data = prepare({"name": "cifar10", "validation": 3}, store)
    assert data.meta["splits"] == {"train": [0, 17], "validation": [17, 20], "test": [20, 24]}
    expected = np.concatenate([batch["data"] for batch in cifar10.values()]).reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(data.images, expected)
    np.testing.assert_array_equal(data.labels, np.concatenate([b["labels"] for b in cifar10.values()]))
    limited = prepare({"name": "cifar10", "validation": 3, "limit": 2}, store)
    kept = [0, 1, 17, 18, 20, 21]
    assert limited.meta["splits"] == {"train": [0, 2], "validation": [2, 4], "test": [4, 6]}
    np.testing.assert_array_equal(limited.images, expected[kept])


class Payload:
    def __reduce__(self):
        return open, ("payload-ran", "w")


def test_another_pickle_is_never_opened(cifar10, raw, store, tmp_path):
    (raw / "cifar-10-batches-py/data_batch_3").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(UserError, match=r"data_batch_3 is not CIFAR-10's: its MD5 is"):
        prepare({"name": "cifar10"}, store)
    assert not (tmp_path / "payload-ran").exists()


def test_a_forged_pickle_would_find_nothing_to_call(cifar10, raw, store, tmp_path, monkeypatch):
    content = pickle.dumps(Payload())
    (raw / "cifar-10-batches-py/data_batch_3").write_bytes(content)
    forged = {**cifar10_module.MD5, "data_batch_3": hashlib.md5(content).hexdigest()}
    monkeypatch.setattr("vaebench.data.cifar10.MD5", forged)
    with pytest.raises(pickle.UnpicklingError, match=r"open makes no array"):
        prepare({"name": "cifar10"}, store)
    assert not (tmp_path / "payload-ran").exists()


def test_the_published_digests_are_torchvision_s():
    from torchvision.datasets import CIFAR10

    from vaebench.data.cifar10 import MD5

    assert list(MD5.items()) == [tuple(entry) for entry in CIFAR10.train_list + CIFAR10.test_list]


# CelebA and CelebA-HQ


def test_celeba_keeps_the_centre_in_the_owner_s_partitions(raw, store):
    write_celeba(raw, "20101")
    data = prepare({"name": "celeba", "value_range": [-1, 1]}, store)
    assert data.meta["splits"] == {"train": [0, 2], "validation": [2, 4], "test": [4, 5]}
    assert data.value_range == (-1, 1)
    assert data.shape == (3, 64, 64)
    reds = [250 - 20 * number for number in (2, 4, 3, 5, 1)]
    inner = data.images[:, :, 1:-1, 1:-1].astype(int)
    assert np.abs(inner[:, 0] - np.array(reds)[:, None, None]).max() <= 4
    assert inner[:, 1:].max() <= 8


def test_celeba_s_limit_is_of_each_split(raw, store):
    write_celeba(raw, "20101022")
    whole = prepare({"name": "celeba"}, store)
    expected = np.array(whole.images)[[0, 1, 3, 4, 5, 6]]
    data = prepare({"name": "celeba", "limit": 2}, store)
    assert data.meta["splits"] == {"train": [0, 2], "validation": [2, 4], "test": [4, 6]}
    np.testing.assert_array_equal(data.images, expected)


def test_celeba_crop_is_an_option(raw, store):
    write_celeba(raw)
    wide = prepare({"name": "celeba", "crop": 178}, store).images[0].astype(int)
    border = round(19 / 178 * 64)
    assert wide[2, :, : border - 1].min() > 240
    assert wide[0, border + 1 : -border - 1, border + 1 : -border - 1].min() > 220
    with pytest.raises(UserError, match=r"000001\.jpg .*178 × 218, too small for a crop of 179"):
        prepare({"name": "celeba", "crop": 179}, store)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-400]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"GIF89a, or not"),
        lambda path: path.write_bytes(jpeg_bytes(100, 218)),
    ],
    ids=["truncated", "empty", "no image", "too small"],
)
def test_celeba_names_the_damaged_image(raw, store, damage):
    folder = write_celeba(raw, "000012")
    damage(folder / "img_align_celeba/000004.jpg")
    with pytest.raises(UserError, match=r"img_align_celeba/000004\.jpg cannot be used as an image") as caught:
        prepare({"name": "celeba"}, store)
    assert " at 0x" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("000001.jpg 0\n000002.jpg\n", r"line 2: '000002.jpg' is not"),
        ("000001.jpg 3\n", "line 1"),
        ("000001.jpg 0\n000001.jpg 2\n", "line 2"),
        ("../000001.jpg 0\n", "line 1"),
        ("000001.jpg 0\n000002.jpg 1\n", "no image for test"),
        ("", "no image for train and test"),
        ("\x00\xff\x00", "line 1"),
    ],
)
def test_celeba_refuses_a_damaged_list(raw, store, text, message):
    folder = write_celeba(raw)
    (folder / "list_eval_partition.txt").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=rf"list_eval_partition\.txt.*{message}"):
        prepare({"name": "celeba"}, store)


def test_celeba_batches_do_not_show(raw, store, monkeypatch):
    write_celeba(raw, "0001020")
    whole = prepare({"name": "celeba"}, store)
    images, sources = np.array(whole.images), whole.meta["sources"]
    monkeypatch.setattr("vaebench.data.pictures.BATCH", 3)
    batched = prepare({"name": "celeba"}, store)
    np.testing.assert_array_equal(batched.images, images)
    assert batched.meta["sources"] == sources


def test_celebahq_goes_by_the_numbers_in_the_names(raw, store):
    folder = write_celebahq(raw, ["2.png", "10.png", "1.PNG", "100.png", "3.png"])
    (folder / "README.txt").write_text("not an image")
    data = prepare({"name": "celebahq", "test": 2, "validation": 1}, store)
    assert data.shape == (3, 128, 128)
    assert data.images[:, 0, 64, 64].tolist() == [20, 0, 40, 10, 30]
    assert data.meta["splits"] == {"train": [0, 2], "validation": [2, 3], "test": [3, 5]}
    limited = prepare({"name": "celebahq", "test": 2, "validation": 1, "limit": 1}, store)
    assert limited.images[:, 0, 64, 64].tolist() == [20, 40, 10]
    assert limited.meta["splits"] == {"train": [0, 1], "validation": [1, 2], "test": [2, 3]}


def test_celebahq_shrinks_without_aliasing(raw, store):
    from PIL import Image

    folder = write_celebahq(raw, ["1.png", "2.png"], side=1024)
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 254
    Image.fromarray(stripes).save(folder / "2.png")
    shrunk = prepare({"name": "celebahq", "test": 1}, store).images[1].astype(int)
    assert np.abs(shrunk[:, :, 1:-1] - 127).max() <= 2


def test_celebahq_refuses_what_it_cannot_use(raw, store):
    from PIL import Image

    folder = write_celebahq(raw, ["1.png", "2.png"])
    with pytest.raises(UserError, match=r"celebahq holds 2 images, .*option test takes 3000"):
        prepare({"name": "celebahq"}, store)
    Image.new("RGB", (128, 256)).save(folder / "3.png")
    with pytest.raises(UserError, match=r"3\.png .*128 × 256, not square"):
        prepare({"name": "celebahq", "test": 1}, store)
    (folder / "3.png").write_bytes((folder / "2.png").read_bytes()[:60])
    with pytest.raises(UserError, match=r"3\.png cannot be used"):
        prepare({"name": "celebahq", "test": 1}, store)


# Modes of pictures, files in other places


RAMP = np.arange(64 * 64).reshape(64, 64)


def saved(path, pixels, mode=None, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels, mode)
    image.save(path, **options)
    return path


def opaque(mode):
    return Image.fromarray((RAMP % 251).astype(np.uint8)).convert(mode)


PICTURES = {
    "grey": lambda path: saved(path, (RAMP % 251).astype(np.uint8)),
    "palette": lambda path: saved(path, (RAMP % 251).astype(np.uint8)) and saved(path, opaque("P")),
    "16-bit grey": lambda path: saved(path, (RAMP % 251 * 257).astype(np.uint16)),
    "16-bit grey, nearly": lambda path: saved(path, (RAMP % 251 * 257 + 100).astype(np.uint16)),
    "grey with alpha, opaque": lambda path: saved(path, opaque("LA")),
    "colour with alpha, opaque": lambda path: saved(path, opaque("RGBA")),
    "lying, with an orientation": lambda path: saved(
        path, opaque("RGB").transpose(Image.Transpose.ROTATE_90), exif=exif(6)
    ),
}


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_taken_as_it_is_meant_to_be_seen(tmp_path, name):
    path = tmp_path / "picture.png"
    PICTURES[name](path)
    with Image.open(path) as image:
        pixels = np.asarray(as_rgb(image))
    np.testing.assert_array_equal(pixels, np.stack([RAMP % 251] * 3, axis=-1))


def test_one_bit_is_black_and_white(tmp_path):
    with Image.open(saved(tmp_path / "a.png", Image.new("1", (3, 3), 1))) as image:
        assert np.asarray(as_rgb(image)).min() == 255


def hidden_colour(path):
    pixels = np.full((8, 8, 4), 200, np.uint8)
    pixels[3, 3, 3] = 0
    saved(path, pixels)


REFUSED = {
    "hidden colour": (hidden_colour, "see-through"),
    "a see-through palette entry": (
        lambda path: saved(path, opaque("P"), format="PNG", transparency=7),
        "see-through",
    ),
    "a see-through grey": (
        lambda path: saved(path, opaque("L"), format="PNG", transparency=7),
        "see-through",
    ),
    "inks": (lambda path: saved(path, opaque("CMYK"), format="JPEG"), "CMYK"),
    "floats": (lambda path: saved(path, RAMP.astype(np.float32), format="TIFF"), "pixels are F"),
    "32-bit integers": (lambda path: saved(path, RAMP.astype(np.int32), format="TIFF"), "pixels are I"),
    "Lab": (lambda path: saved(path, opaque("RGB").convert("LAB"), format="TIFF"), "LAB"),
    "an animation": (
        lambda path: saved(
            path, opaque("L"), format="GIF", save_all=True, append_images=[Image.new("L", (64, 64), 9)]
        ),
        "holds 2 pictures",
    ),
    "text": (lambda path: path.write_text("not a picture"), "no picture"),
    "the head of a good one": (lambda path: path.write_bytes(jpeg_bytes(64, 64)[:300]), "damaged"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_picture_that_needs_a_guess_is_refused_by_name(raw, store, name):
    write, reason = REFUSED[name]
    folder = write_celebahq(raw, ["1.png", "2.png"], side=64)
    write(folder / "2.png")
    with pytest.raises(UserError, match=rf"celebahq/2\.png cannot be used as an image: .*{reason}") as caught:
        prepare({"name": "celebahq", "test": 1}, store)
    assert " at 0x" not in str(caught.value)


def test_hidden_files_and_folders_are_no_pictures(raw, store):
    folder = write_celebahq(raw, ["1.png", "2.png"])
    (folder / "._1.png").write_bytes(b"\0\5\x16\7 of macOS")
    (folder / "3.png").mkdir()
    assert len(prepare({"name": "celebahq", "test": 1}, store).images) == 2


def moved(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    return source.rename(target)


ELSEWHERE = {
    "an archive": (
        "celeba",
        lambda raw: moved(raw / "celeba/img_align_celeba", raw / "img_align_celeba.zip"),
    ),
    "a list as csv": (
        "celeba",
        lambda raw: moved(
            raw / "celeba/list_eval_partition.txt", raw / "celeba/Eval/list_eval_partition.csv"
        ),
    ),
    "a picture one folder deeper": (
        "celeba",
        lambda raw: moved(
            raw / "celeba/img_align_celeba/000001.jpg",
            raw / "celeba/img_align_celeba/img_align_celeba/000001.jpg",
        ),
    ),
    "a picture of another format": (
        "celeba",
        lambda raw: moved(
            raw / "celeba/img_align_celeba/000002.jpg", raw / "celeba/img_align_celeba/000002.png"
        ),
    ),
    "another set's folder": ("celebahq", lambda raw: moved(raw / "celebahq", raw / "CelebA-HQ-img")),
    "files still packed": (
        "mnist",
        lambda raw: moved(
            raw / "MNIST/raw/train-images-idx3-ubyte", raw / "MNIST/raw/train-images-idx3-ubyte.gz"
        ),
    ),
    "files with a dot": (
        "mnist",
        lambda raw: moved(raw / "MNIST/raw/t10k-labels-idx1-ubyte", raw / "mnist/t10k-labels.idx1-ubyte"),
    ),
    "the archive of the batches": (
        "cifar10",
        lambda raw: moved(raw / "cifar-10-batches-py", raw / "cifar-10-python.tar.gz"),
    ),
    "arrays": (
        "dsprites",
        lambda raw: (
            moved(
                raw / "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz",
                raw / "dsprites_ndarray_co1sh3sc6or40x32y32_64x64/imgs.npy",
            ).parent
        ),
    ),
    "another suffix": ("shapes3d", lambda raw: moved(raw / "3dshapes.h5", raw / "a/b/3dshapes.hdf5")),
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_lies_in_place_of_a_missing_file_is_said(raw, store, name):
    source, move = ELSEWHERE[name]
    write_celeba(raw)
    write_celebahq(raw, ["1.png", "2.png"])
    write_mnist(raw)
    write_cifar10(raw)
    write_dsprites(raw, ARRAYS)
    write_shapes3d(raw, SHAPES)
    there = move(raw)
    with pytest.raises(UserError, match="ies there: ") as caught:
        prepare({"name": source}, store)
    assert str(there) in str(caught.value)
    assert "published file" not in str(caught.value)


def test_a_folder_of_other_files_is_described(raw, store):
    folder = write_celebahq(raw, [])
    write_celebahq(folder, ["1.png", "2.png"])
    with pytest.raises(UserError, match=r"holds 0 images.* in celebahq 2 \.png"):
        prepare({"name": "celebahq"}, store)


def test_a_link_to_nothing_is_said(raw, store):
    (raw / "3dshapes.h5").symlink_to("/nowhere/3dshapes.h5")
    with pytest.raises(UserError, match=r"3dshapes\.h5 \(a link to what is not there\)"):
        prepare({"name": "shapes3d"}, store)


def test_a_file_that_another_program_has_locked_is_read(raw, store):
    import fcntl

    path = write_shapes3d(raw, SHAPES)
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert len(prepare({"name": "shapes3d"}, store).images) == 24


def test_raw_files_of_the_workspace_are_found_from_dvc_s_copies(tmp_path, store, monkeypatch):
    write_mnist(tmp_path / "data/raw", train=30)
    write_shapes3d(tmp_path / "mine", SHAPES)
    copy = tmp_path / ".dvc/tmp/exps/standalone/tmpabc"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.delenv("VAEBENCH_DATA")
    assert len(prepare({"name": "mnist"}, store).split("train")) == 30
    monkeypatch.setenv("VAEBENCH_DATA", "mine")
    assert len(prepare({"name": "shapes3d"}, store).images) == 24
    assert prepare({"name": "mnist"}, store).meta["sources"].keys() == {
        f"MNIST/raw/{part}-ubyte"
        for part in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    }


# dSprites


def test_dsprites(raw, store):
    arrays = dsprites_arrays()
    write_dsprites(raw / "dsprites", arrays)
    data = prepare({"name": "dsprites"}, store)
    np.testing.assert_array_equal(data.images[:, 0], 255 * arrays["imgs"])
    np.testing.assert_array_equal(data.factors, arrays["latents_classes"])
    assert data.meta["factor_sizes"] == [1, 2, 1, 3, 2, 2]
    assert data.meta["factor_names"][0] == "color"
    assert data.rows("train") == data.rows("test") == slice(0, 24)
    assert data.labels is None


def test_dsprites_is_read_in_bounded_memory(raw, store, monkeypatch):
    monkeypatch.setattr("vaebench.data.dsprites.BATCH", 32)
    arrays = dsprites_arrays((1, 3, 3, 5, 6, 6))
    write_dsprites(raw, arrays)
    size = arrays["imgs"].nbytes
    del arrays
    tracemalloc.start()
    prepare({"name": "dsprites"}, store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 4


def changed(arrays, **changes):
    return {
        name: changes.get(name, array) for name, array in arrays.items() if changes.get(name, 0) is not None
    }


ARRAYS = dsprites_arrays()
ORDER = np.random.default_rng(0).permutation(len(ARRAYS["imgs"]))
GREY = ARRAYS["imgs"].copy()
GREY[7, 3, 3] = 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"imgs": None}, "imgs cannot be read"),
        ({"latents_classes": None}, "latents_classes cannot be read"),
        ({"imgs": ARRAYS["imgs"].astype(float)}, "imgs is .*float64"),
        ({"imgs": ARRAYS["imgs"][:-1]}, r"imgs is \(23, 64, 64\)"),
        ({"imgs": ARRAYS["imgs"][:, ::2, ::2]}, r"imgs is \(24, 32, 32\)"),
        ({"imgs": np.asfortranarray(ARRAYS["imgs"])}, "C order"),
        ({"imgs": GREY}, "image 7 holds values other than 0 and 1"),
        ({"imgs": np.array([{}] * 24)}, "imgs is .*object"),
        ({"latents_classes": ARRAYS["latents_classes"][ORDER]}, "not every combination"),
        ({"latents_classes": ARRAYS["latents_classes"][:20]}, "not every combination"),
        ({"latents_classes": ARRAYS["latents_classes"][:0]}, "is empty"),
        ({"latents_classes": ARRAYS["latents_classes"][:, 1:]}, r"is \(24, 5\)"),
        ({"latents_classes": ARRAYS["latents_classes"] * 1.0}, "float64"),
        ({"latents_classes": ARRAYS["latents_classes"] - 1}, "negative"),
        ({"latents_classes": np.array([[{}] * 6] * 24)}, "latents_classes cannot be read"),
    ],
)
def test_dsprites_refuses_another_content(raw, store, changes, message):
    path = write_dsprites(raw, changed(ARRAYS, **changes))
    with pytest.raises(UserError, match=f"{path.name}.*{message}.*published"):
        prepare({"name": "dsprites"}, store)


def flip(content, at):
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"<html>", lambda b: flip(b, len(b) // 2)],
    ids=["truncated", "empty", "a page", "a flipped byte"],
)
def test_dsprites_refuses_a_damaged_file(raw, store, damage):
    path = write_dsprites(raw, ARRAYS)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=path.name):
        prepare({"name": "dsprites"}, store)


@settings(max_examples=30, deadline=None)
@given(at=st.integers(0, 10**6))
def test_dsprites_with_a_byte_flipped_is_refused_or_read_right(tmp_path_factory, at):
    folder = tmp_path_factory.mktemp("raw")
    arrays = dsprites_arrays((1, 2, 1, 1, 1, 1))
    path = write_dsprites(folder, arrays)
    content = path.read_bytes()
    path.write_bytes(flip(content, at % len(content)))
    try:
        with StoreWriter(folder / "store", "dsprites") as store:
            DSprites().write(RawFiles((folder,)), store)
    except UserError as error:
        refusal = str(error)
        images = None
    else:
        images = Prepared.open(folder / "store").images[:, 0]
    assert path.name in refusal if images is None else np.array_equal(images, 255 * arrays["imgs"])


@pytest.mark.nightly
def test_dsprites_of_the_published_size(raw, store):
    sizes = (1, 3, 6, 40, 32, 32)
    classes = grid(sizes)
    path = raw / "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": (len(classes), 64, 64)}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("imgs.npy", "w", force_zip64=True) as member:
            member.write(header.getvalue())
            for first in range(0, len(classes), 4096):
                member.write(np.eye(64, dtype=np.uint8).tobytes() * min(4096, len(classes) - first))
        with archive.open("latents_classes.npy", "w") as member:
            np.save(member, classes)
    tracemalloc.start()
    data = prepare({"name": "dsprites"}, store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert data.images.shape == (737_280, 1, 64, 64)
    assert peak < 400 * 2**20


# 3D Shapes


def test_shapes3d(raw, store):
    arrays = shapes3d_arrays()
    write_shapes3d(raw / "shapes3d", arrays)
    data = prepare({"name": "shapes3d"}, store)
    np.testing.assert_array_equal(data.images, arrays["images"].transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(data.factors, grid((2, 1, 2, 2, 1, 3)))
    assert data.meta["factor_sizes"] == [2, 1, 2, 2, 1, 3]
    assert data.meta["factor_names"][-1] == "orientation"
    assert data.rows("train") == data.rows("test") == slice(0, 24)


@settings(max_examples=10, deadline=None)
@given(sizes=st.tuples(*[st.integers(1, 3)] * 6).filter(lambda sizes: np.prod(sizes) <= 24))
def test_shapes3d_of_any_sizes(tmp_path_factory, sizes):
    folder = tmp_path_factory.mktemp("raw")
    write_shapes3d(folder, shapes3d_arrays(sizes))
    with StoreWriter(folder / "store", "shapes3d") as store:
        Shapes3D().write(RawFiles((folder,)), store)
    data = Prepared.open(folder / "store")
    assert data.meta["factor_sizes"] == list(sizes)
    rows = np.ravel_multi_index(data.factors.T, sizes)
    np.testing.assert_array_equal(rows, np.arange(len(data.images)))


def test_shapes3d_is_read_in_bounded_memory(raw, store, monkeypatch):
    monkeypatch.setattr("vaebench.data.shapes3d.BATCH", 16)
    arrays = shapes3d_arrays((4, 4, 4, 4, 4, 1))
    write_shapes3d(raw, arrays)
    size = arrays["images"].nbytes
    del arrays
    tracemalloc.start()
    prepare({"name": "shapes3d"}, store)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < size / 4


SHAPES = shapes3d_arrays()
WITH_NAN = SHAPES["labels"].copy()
WITH_NAN[5, 2] = np.nan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": None}, "cannot be read"),
        ({"labels": None}, "cannot be read"),
        ({"images": SHAPES["images"] / 255}, "images is .*float64"),
        ({"images": SHAPES["images"][:-1]}, r"images is \(23,"),
        ({"images": SHAPES["images"].transpose(0, 3, 1, 2)}, r"images is \(24, 3, 64, 64\)"),
        ({"labels": WITH_NAN}, "row 5 of labels holds NaN"),
        ({"labels": SHAPES["labels"][:, :5]}, r"labels is \(24, 5\)"),
        ({"labels": SHAPES["labels"].astype("S4")}, r"labels is .*S4"),
        ({"labels": SHAPES["labels"][ORDER]}, "not every combination"),
        ({"labels": SHAPES["labels"][:20], "images": SHAPES["images"][:20]}, "not every combination"),
    ],
)
def test_shapes3d_refuses_another_content(raw, store, changes, message):
    path = write_shapes3d(raw, changed(SHAPES, **changes))
    with pytest.raises(UserError, match=f"{path.name}.*{message}.*published"):
        prepare({"name": "shapes3d"}, store)


def test_shapes3d_refuses_groups_and_no_rows(raw, store):
    import h5py

    path = raw / "3dshapes.h5"
    with h5py.File(path, "w") as file:
        file.create_group("images")
        file["labels"] = SHAPES["labels"]
    with pytest.raises(UserError, match="images is a group"):
        prepare({"name": "shapes3d"}, store)
    with h5py.File(path, "w") as file:
        file["images"] = SHAPES["images"][:0]
        file["labels"] = SHAPES["labels"][:0]
    with pytest.raises(UserError, match="labels is"):
        prepare({"name": "shapes3d"}, store)
    with h5py.File(path, "w") as file:
        file["images"] = SHAPES["images"]
        file["labels"] = 1.0
    with pytest.raises(UserError, match=r"3dshapes\.h5: it cannot be read"):
        prepare({"name": "shapes3d"}, store)


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"<html>"],
    ids=["truncated", "empty", "a page"],
)
def test_shapes3d_refuses_a_damaged_file(raw, store, damage):
    path = write_shapes3d(raw, SHAPES)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=path.name):
        prepare({"name": "shapes3d"}, store)


def test_shapes3d_names_the_images_that_cannot_be_read(raw, store, monkeypatch):
    import h5py

    monkeypatch.setattr("vaebench.data.shapes3d.BATCH", 4)
    path = write_shapes3d(raw, SHAPES)
    with h5py.File(path) as file:
        chunk = file["images"].id.get_chunk_info(9)
    content = bytearray(path.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(content)
    with pytest.raises(UserError, match="images 8 to 11 cannot be read"):
        prepare({"name": "shapes3d"}, store)


# Sprites


@pytest.mark.parametrize("name", ["dsprites", "shapes3d", "sprites"])
def test_validation_images_of_a_factor_set_do_not_train(raw, store, name, monkeypatch):
    write_dsprites(raw, ARRAYS)
    write_shapes3d(raw, SHAPES)
    for module in ("dsprites", "shapes3d", "sprites"):
        monkeypatch.setattr(f"vaebench.data.{module}.BATCH", 5 if module != "sprites" else 500)
    plain = prepare({"name": name}, store)
    grid_images = np.array(plain.images)
    count = len(grid_images)
    data = prepare({"name": name, "validation": 20}, store)
    assert data.meta["splits"] == {
        "train": [0, count - 20],
        "validation": [count - 20, count],
        "test": [0, count],
    }
    rows = np.ravel_multi_index(data.factors.T, data.meta["factor_sizes"])
    np.testing.assert_array_equal(np.sort(rows), np.arange(count))
    np.testing.assert_array_equal(data.images, grid_images[rows])
    assert (np.diff(rows[: count - 20]) > 0).all()
    again = prepare({"name": name, "validation": 20}, store, seed=1)
    other = np.ravel_multi_index(again.factors[again.rows("validation")].T, data.meta["factor_sizes"])
    assert set(other) != set(rows[count - 20 :])


@pytest.mark.parametrize(
    ("source", "images"),
    [
        ({"name": "mnist", "validation": 10_000, "train_limit": 60_000}, 50_000),
        ({"name": "cifar10", "validation": 10_000, "limit": 5_000}, 5_000),
        ({"name": "celeba"}, 162_770),  # the owner's partition
        ({"name": "celebahq", "validation": 1_000}, 26_000),
        ({"name": "dsprites", "validation": 20_000}, 717_280),
        ({"name": "dsprites", "thin": {"orientation": 7, "position_x": 4}}, 3 * 6 * 6 * 8 * 32),
        ({"name": "shapes3d"}, 480_000),
        ({"name": "folder", "path": "mine", "side": 32}, None),
        ({"name": "of a package that is not here"}, None),
    ],
)
def test_a_published_set_knows_how_many_of_its_images_train(source, images):
    assert training_images(source) == images


@pytest.mark.parametrize("name", ["dsprites", "shapes3d"])
def test_a_thinned_grid_is_a_grid_of_every_kth_value(raw, store, name, monkeypatch):
    sizes = (1, 2, 1, 3, 2, 2)
    write_dsprites(raw, dsprites_arrays(sizes))
    write_shapes3d(raw, shapes3d_arrays(sizes))
    monkeypatch.setattr(f"vaebench.data.{name}.BATCH", 5)
    whole = prepare({"name": name}, store)
    names, images = whole.meta["factor_names"], np.array(whole.images)
    kept = (whole.factors[:, 3] != 1) & (whole.factors[:, 4] == 0)
    thin = {names[3]: 2, names[4]: 7}
    data = prepare({"name": name, "thin": thin}, store)
    assert data.meta["factor_sizes"] == [1, 2, 1, 2, 1, 2]
    np.testing.assert_array_equal(data.split("train"), images[kept])
    np.testing.assert_array_equal(data.factors, grid((1, 2, 1, 2, 1, 2)))
    data = prepare({"name": name, "thin": thin, "validation": 3}, store)
    rows = np.ravel_multi_index(data.factors.T, data.meta["factor_sizes"])
    np.testing.assert_array_equal(data.images, images[kept][rows])
    with pytest.raises(UserError, match=f"has no factor size to thin; it has {names[0]}, "):
        prepare({"name": name, "thin": {"size": 2}}, store)


def test_validation_leaves_images_to_train_on(store):
    with pytest.raises(UserError, match="validation is 3072 of 3072 images"):
        prepare({"name": "sprites", "validation": 3072}, store)


def test_sprites_rows_follow_from_the_factors(store):
    data = prepare({"name": "sprites"}, store)
    sizes = tuple(data.meta["factor_sizes"])
    assert data.images.shape == (3072, 1, 64, 64)
    assert dict(zip(data.meta["factor_names"], sizes, strict=True)) == FACTORS
    np.testing.assert_array_equal(np.ravel_multi_index(data.factors.T, sizes), np.arange(3072))
    combination = np.array([[2, 1, 3, 5, 0]])
    row = np.ravel_multi_index(combination[0], sizes)
    np.testing.assert_array_equal(draw(combination)[0], data.images[row])


def test_sprites_all_differ(store):
    data = prepare({"name": "sprites"}, store)
    assert len({image.tobytes() for image in data.images}) == 3072


def test_sprites_show_their_factors(store):
    data = prepare({"name": "sprites"}, store)
    images = data.images[:, 0].astype(float)
    _, scale, intensity, x, y = data.factors.T
    assert images[:, [0, -1]].max() == images[:, :, [0, -1]].max() == 0, "no sprite touches the border"
    brightest = images.max(axis=(1, 2))
    np.testing.assert_array_equal(brightest, np.rint(255 * INTENSITIES)[intensity])
    area = images.sum(axis=(1, 2)) / (255 * INTENSITIES[intensity])
    np.testing.assert_allclose(area, (2 * SCALES[scale]) ** 2, rtol=0.03)
    centre = np.arange(64) + 0.5
    weights = images / images.sum(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(weights.sum(axis=1) @ centre, POSITIONS[x], atol=0.1)
    np.testing.assert_allclose(weights.sum(axis=2) @ centre, POSITIONS[y], atol=0.3)
