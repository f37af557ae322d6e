"""Sources of one's own data: a folder of pictures, arrays, a set of torchvision's."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image
from support.scratch import study, write_study

from vaebench.base.errors import UserError
from vaebench.data.preparation import prepare


@pytest.fixture
def raw(tmp_path, monkeypatch):
    folder = tmp_path / "raw"
    folder.mkdir()
    monkeypatch.setenv("VAEBENCH_DATA", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def save(path, value, size=(12, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 255 - value, 0)).save(path)


def of(tmp_path, **source):
    return prepare(source, tmp_path / "store")


def test_class_folders_are_divided_by_shares_and_give_the_labels(raw, tmp_path):
    for label, name in enumerate(("cat", "dog", "eel")):
        for index in range(10):
            save(raw / f"animals/{name}/{index}.png", 80 * label + index)
    data = of(tmp_path, name="folder", path="animals", side=4, test=0.2, validation=3)
    assert {name: len(data.split(name)) for name in data.meta["splits"]} == {
        "train": 21, "validation": 3, "test": 6
    }  # fmt: skip
    assert data.shape == (3, 4, 4)
    assert (data.images[:, 0, 0, 0] // 80 == data.labels).all()
    assert len(set(data.images[:, 0, 0, 0])) == 30
    again = prepare({"name": "folder", "path": "animals", "side": 4, "validation": 3}, tmp_path / "again")
    assert (again.images == data.images).all()
    assert list(data.meta["sources"]) == ["animals"]


def test_train_and_test_folders_are_kept_apart(raw, tmp_path):
    for split, value, count in (("train", 10, 6), ("test", 200, 4)):
        for index in range(count):
            save(raw / f"set/{split}/{'ab'[index % 2]}/{index}.png", value + index)
    data = of(tmp_path, name="folder", path="set", side=4, channels=1, validation=2, limit=3)
    assert {name: len(data.split(name)) for name in data.meta["splits"]} == {
        "train": 3, "validation": 2, "test": 3
    }  # fmt: skip
    assert data.shape == (1, 4, 4)
    grey = [
        np.asarray(Image.new("RGB", (1, 1), (v, 255 - v, 0)).convert("L")).item() for v in range(200, 204)
    ]
    assert set(data.split("test")[:, 0, 0, 0]) <= set(grey)


def test_a_crop_keeps_the_middle_and_flat_pictures_have_no_labels(raw, tmp_path):
    pixels = np.zeros((4, 12, 3), np.uint8)
    pixels[:, 4:8] = 255
    for index in range(5):
        (raw / "flat").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(raw / f"flat/{index}.png")
    data = of(tmp_path, name="folder", path=str(raw / "flat"), side=4, test=1)
    assert data.labels is None
    assert (data.images == 255).all()
    squeezed = prepare({"name": "folder", "path": "flat", "side": 4, "crop": "none"}, tmp_path / "squeezed")
    assert 0 < squeezed.images.mean() < 255


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ([], {}, "was not found"),
        (["set/notes.txt.d/x"], {}, "holds no pictures"),
        (["set/a/1.png"], {"test": 1}, "none is left to train on"),
        (["set/a/1.png", "set/2.png", "set/3.png"], {"test": 1}, "beside the folders of classes"),
        (["set/train/1.png", "set/val/2.png"], {}, "set/train, .*set/val hold pictures .* in place of them"),
        (["set/Train/1.png", "set/Test/2.png"], {}, "rename the folders"),
        (["set/train/a/1.png", "set/train/b/2.png"], {}, "train and test must be there"),
        (["set/train/1.png", "set/test/2.png", "set/valid/3.png"], {}, "/set/valid hold pictures beside"),
        (["set/train/1.png", "set/test/2.png", "set/3.png"], {}, "/set hold pictures beside"),
        (["set/a/1.png", "set/a/2.png", "set/a/gone.link.png"], {}, "gone.link.png .*link to what is not"),
        (["set/1.png"], {"path": "set/1.png"}, "1.png is a file, and .* a folder"),
    ],
)
def test_a_folder_that_cannot_be_used_is_said(raw, tmp_path, files, options, message):
    for file in files:
        if file.endswith(".link.png"):
            (raw / file).symlink_to("/nowhere.png")
        elif file.endswith(".png"):
            save(raw / file, 1)
        else:
            (raw / file).mkdir(parents=True)
    with pytest.raises(UserError, match=message):
        of(tmp_path, **{"name": "folder", "path": "set", "side": 4, **options})


def link_of_a_class(folder):
    (folder / "b").rename(folder.parent / "elsewhere")
    (folder / "b").symlink_to(folder.parent / "elsewhere")


BESIDE = {
    "a link to a class's folder": link_of_a_class,
    "a link in a circle": lambda folder: (folder / "a/again").symlink_to(folder),
    "a notebook's copies": lambda folder: save(folder / ".ipynb_checkpoints/0-checkpoint.png", 9),
    "hidden thumbnails": lambda folder: save(folder / "a/.thumbs/0.png", 9),
    "a server's thumbnails": lambda folder: save(folder / "@eaDir/0.png/THUMB.jpg", 9),
    "what macOS adds": lambda folder: save(folder / "__MACOSX/a/0.png", 9),
    "what Windows adds": lambda folder: (folder / "a/Thumbs.db").write_bytes(b"\0"),
    "a pipe": lambda folder: os.mkfifo(folder / "a/pipe.png"),
}


@pytest.mark.parametrize("name", BESIDE)
def test_pictures_are_those_of_the_user_and_all_of_them(raw, tmp_path, name):
    for index in range(12):
        save(raw / f"set/{'ab'[index % 2]}/{index}.png", 200 * (index % 2))
    BESIDE[name](raw / "set")
    data = of(tmp_path, name="folder", path="set", side=4, test=2)
    assert np.bincount(data.labels).tolist() == [6, 6]
    assert (data.images[:, 0, 0, 0] == 200 * data.labels).all()


@pytest.mark.parametrize(
    "name", ["Upper.JPG", "a\nb.png", "ü.png", b"\xfc.png", "no-picture.gif", "1.heic", "x.jfif"], ids=str
)
def test_pictures_of_any_name_and_suffix_are_taken_or_refused_by_name(raw, tmp_path, name):
    for index in range(4):
        save(raw / f"set/{index}.png", index)
    path = raw / "set" / os.fsdecode(name)
    good = path.suffix != ".heic" and path.stem != "no-picture"
    if good:
        Image.new("RGB", (4, 4), (250, 0, 0)).save(path, format="PNG")
        data = of(tmp_path, name="folder", path="set", side=4, test=1)
        assert sorted(data.images[:, 0, 0, 0]) == [0, 1, 2, 3, 250]
    else:
        path.write_bytes(b"no picture")
        with pytest.raises(UserError, match=path.name):
            of(tmp_path, name="folder", path="set", side=4, test=1)


@pytest.mark.parametrize("layout", ["(N, H, W)", "(N, H, W, C)", "(N, C, H, W)"])
def test_arrays_of_any_layout_with_labels_and_factors(raw, tmp_path, layout):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (20, 5, 6, 3), dtype=np.uint8)
    expected = images.transpose(0, 3, 1, 2)
    if layout == "(N, H, W)":
        images = images[..., 0]
        expected = images[:, None]
    labels, factors = np.arange(20) % 4, np.stack([np.arange(20) % 2, np.arange(20) % 3], 1)
    given = expected if layout == "(N, C, H, W)" else images
    np.savez(raw / "own.npz", images=given, labels=labels, factors=factors)
    data = of(tmp_path, name="arrays", path="own.npz", test=5)
    assert (len(data.split("train")), len(data.split("test"))) == (15, 5)
    rows = [int(np.flatnonzero((expected == image).all(axis=(1, 2, 3)))[0]) for image in data.images]
    assert sorted(rows) == list(range(20))
    assert (data.labels == labels[rows]).all()
    assert (data.factors == factors[rows]).all()
    assert data.meta["factor_sizes"] == [2, 3]


FIVE = (np.arange(5 * 4 * 4) % 5 * 51).astype(np.uint8).reshape(5, 4, 4)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": np.zeros((5, 4, 4), np.uint8)}, "has no array `images`; it has pictures"),
        ({"images": np.full((5, 4, 4), 2.0)}, "float in"),
        ({"images": np.zeros((5, 4))}, r"they should be \(N, H, W\)"),
        ({"images": FIVE, "labels": np.zeros(4, int)}, "one row per image of 5"),
        ({"images": FIVE, "labels": np.zeros(5)}, "integers from 0"),
        ({"images": FIVE, "labels": np.full(5, 2**40)}, "below 1,000,000"),
        ({"images": FIVE, "labels": np.full(5, 2**64 - 1, np.uint64)}, "below 1,000,000"),
        ({"images": FIVE, "labels": np.array(["a", {}] * 2, object)}, "Object arrays"),
        ({"images": FIVE, "factors": np.zeros((5, 0), int)}, r"\(N, F\) integers"),
        ({"images": FIVE // 200}, r"uint8 from 0 to 1; .* \(0 and 1 as bool"),
        ({"images": FIVE.astype(float)}, "float64 from 0.0 to 204.0"),
        ({"images": np.where(FIVE, FIVE / 255, np.nan)}, "float64 from nan to nan"),
        ({"images": FIVE.astype(">i8")}, "from 0 to 204; they should be uint8"),
        ({"images": FIVE[:, :0]}, r"\(5, 0, 4\), which is none"),
        ({"images": FIVE[:0]}, r"\(0, 4, 4\), which is none"),
    ],
)
def test_arrays_that_cannot_be_used_are_said(raw, tmp_path, arrays, message):
    np.savez(raw / "own.npz", **arrays)
    with pytest.raises(UserError, match=message):
        of(tmp_path, name="arrays", path="own.npz")


@pytest.mark.parametrize("kind", [">f4", "f2", np.longdouble, bool])
def test_arrays_of_any_byte_order_and_width_keep_their_values(raw, tmp_path, kind):
    images = np.asfortranarray(FIVE[:, :, :, None] > 100).astype(kind)
    np.savez(raw / "own.npz", images=images, labels=np.arange(5, dtype=">i2"))
    data = of(tmp_path, name="arrays", path="own.npz", test=1)
    shown = data.images / (255 if kind is bool else 1)
    assert (shown[:, 0] == (FIVE > 100)[data.labels]).all()


def test_a_header_that_promises_more_than_there_is_memory_for_is_refused(raw, tmp_path):
    header = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**4, 10**3)}
    with (raw / "own.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(UserError, match=r"own.npy cannot be read as arrays"):
        of(tmp_path, name="arrays", path="own.npy")


def test_a_set_of_torchvisions_is_read_where_it_lies(raw, tmp_path):
    folder = raw / "MNIST/raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("t10k", 5)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        header = np.array([2051, count, 28, 28], ">i4").tobytes()
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        labels = np.arange(count, dtype=np.uint8) % 10
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(
            np.array([2049, count], ">i4").tobytes() + labels.tobytes()
        )
    data = of(tmp_path, name="torchvision", dataset="MNIST", channels=1, validation=2)
    assert {name: len(data.split(name)) for name in data.meta["splits"]} == {
        "train": 10, "validation": 2, "test": 5
    }  # fmt: skip
    rows = np.argsort(data.labels[data.rows("test")])
    assert (data.split("test")[rows][:, 0] == images).all()
    with pytest.raises(UserError, match=r"no set 'MNISTS'.*FashionMNIST"):
        of(tmp_path, name="torchvision", dataset="MNISTS")


@pytest.mark.pipeline
def test_jpegs_in_class_folders_train_two_methods_from_a_study_file_alone(stages, tmp_path):
    rng = np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in range(30):
            pixels = rng.integers(100 * label, 100 * label + 60, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"pictures/{name}/{index}.jpg")
    content = study("mle_iso_i", "ae", epochs=2, batch_size=16)
    content["study"] |= {"datasets": ["own"], "densities": ["prior"]}
    content["datasets"] = {
        "own": {
            "source": {"name": "folder", "path": str(tmp_path / "pictures"), "side": 12, "validation": 0.1},
            "network": {"name": "conv", "channels": [4, 8], "latent_dim": 3},
        }
    }
    content["evaluation"]["samples"] = 12
    folder = write_study(tmp_path / "study", content)

    def run(stage, *arguments):
        status, output = stages.run(folder, stage, *arguments)
        assert status == 0, output

    run("prepare", "--dataset", "own")
    run("reference", "--dataset", "own")
    for method in ("mle_iso_i", "ae"):
        cell = ["--dataset", "own", "--method", method, "--seed", "0"]
        run("train", *cell)
        run("posthoc", *cell, "--density", "prior")
        run("evaluate", *cell)
        found = json.loads((folder / f"reports/tiny/metrics/own/{method}/0.json").read_text())
        assert found["mse"] > 0
        assert found["fd_classifier"]["recon"] > 0
