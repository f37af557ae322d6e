import hashlib
import json
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaebench.base.errors import UserError
from vaebench.data.store import Prepared, StoreWriter

COUNT = 12


def write(out, dtype=np.uint8, **description):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (COUNT, 2, 4, 3)).astype(np.uint8)
    if dtype == np.float32:
        images = images.astype(np.float32) / 255
    labels = np.arange(COUNT) % 5
    factors = np.stack([np.arange(COUNT) // 4, np.arange(COUNT) % 4], axis=1)
    with StoreWriter(out, "example") as store:
        for rows in (slice(0, 5), slice(5, 6), slice(6, COUNT)):
            store.append(images[rows], labels[rows], factors[rows])
        store.describe(
            splits={"train": (0, 7), "validation": (7, 9), "test": (9, COUNT)},
            factors={"row": 3, "column": 4},
            **description,
        )
    return images, labels, factors


def test_reads_what_was_written(tmp_path):
    images, labels, factors = write(tmp_path / "store", value_range=(-1, 1))
    data = Prepared.open(tmp_path / "store")
    np.testing.assert_array_equal(data.images, images)
    np.testing.assert_array_equal(data.labels, labels)
    np.testing.assert_array_equal(data.factors, factors)
    assert data.images.dtype == np.uint8
    assert data.labels.dtype == data.factors.dtype == np.int64
    assert data.shape == (2, 4, 3)
    assert data.value_range == (-1, 1)
    assert data.rows("validation") == slice(7, 9)
    np.testing.assert_array_equal(data.split("test"), images[9:])
    assert data.meta["factor_sizes"] == [3, 4]
    assert "noise" not in data.meta


def test_a_split_is_a_view_of_the_memory_map(tmp_path):
    write(tmp_path / "store")
    data = Prepared.open(tmp_path / "store")
    assert isinstance(data.images, np.memmap)
    assert np.shares_memory(data.split("train"), data.images)
    with pytest.raises(ValueError, match="read-only"):
        data.split("train")[0] = 0


def test_the_images_file_is_plain_npy(tmp_path):
    images, *_ = write(tmp_path / "store", dtype=np.float32)
    np.testing.assert_array_equal(np.load(tmp_path / "store/images.npy"), images)


def test_meta_tells_images_apart_by_their_pixels_alone(tmp_path):
    def meta(images, *edges):
        with StoreWriter(tmp_path / "store", "example") as store:
            for batch in np.split(images, edges):
                store.append(batch)
            store.describe(splits={"train": (0, 3), "test": (3, 4)})
        return Prepared.open(tmp_path / "store").meta

    images = np.arange(96, dtype=np.uint8).reshape(4, 2, 4, 3)
    cropped = np.ascontiguousarray(images[:, :, ::-1])
    assert meta(images)["pixels"] == hashlib.sha256(images.tobytes()).hexdigest()
    assert meta(images, 1, 3) == meta(images)
    assert meta(cropped) != meta(images)


def test_a_store_of_before_the_digest_opens(tmp_path):
    write(tmp_path / "store")
    edit_meta(pixels=None)(tmp_path / "store")
    assert "pixels" not in Prepared.open(tmp_path / "store").meta
    assert set(Prepared.open(tmp_path / "store").digests) == {"labels", "factors"}


@pytest.mark.parametrize("name", ["images", "labels", "factors"])
def test_the_digests_tell_which_array_differs(tmp_path, name):
    def digests(**arrays):
        with StoreWriter(tmp_path / "store", "example") as store:
            store.append(*arrays.values())
            store.describe(splits={"train": (0, 2), "test": (2, 4)}, factors={"row": 2, "column": 2})
        return Prepared.open(tmp_path / "store").digests

    arrays = {
        "images": np.zeros((4, 1, 2, 2), np.uint8),
        "labels": np.array([0, 1, 0, 1]),
        "factors": np.array([[0, 0], [0, 1], [1, 0], [1, 1]]),
    }
    before, after = digests(**arrays), digests(**arrays | {name: 1 - arrays[name]})
    assert [key for key in before if before[key] != after[key]] == [name]
    assert before == {key: hashlib.sha256(array.tobytes()).hexdigest() for key, array in arrays.items()}


def test_an_absent_split_is_named(tmp_path):
    with StoreWriter(tmp_path / "store", "example") as store:
        store.append(np.zeros((2, 1, 2, 2), np.uint8))
        store.describe(splits={"train": (0, 1), "test": (1, 2)})
    with pytest.raises(UserError, match=r"no split 'validation'; it has train, test"):
        Prepared.open(tmp_path / "store").rows("validation")


def test_writing_twice_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write(tmp_path / name)
    for file in (tmp_path / "one").iterdir():
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes()


def test_a_new_store_replaces_the_old_whole(tmp_path):
    write(tmp_path / "store")
    with StoreWriter(tmp_path / "store", "other") as store:
        store.append(np.zeros((2, 1, 2, 2), np.uint8))
        store.describe(splits={"train": (0, 1), "test": (1, 2)})
    data = Prepared.open(tmp_path / "store")
    assert (data.meta["dataset"], data.labels, data.factors) == ("other", None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("moment", ["append", "describe", "finish"])
def test_a_failure_leaves_the_old_store_and_no_trace(tmp_path, moment):
    write(tmp_path / "store")
    before = (tmp_path / "store/images.npy").read_bytes()

    def write_and_fail():
        with StoreWriter(tmp_path / "store", "other") as store:
            store.append(np.zeros((2, 1, 2, 2), np.uint8))
            if moment == "append":
                raise RuntimeError("the source failed")
            if moment == "finish":
                store.describe(splits={"train": (0, 1), "test": (1, 3)})

    with pytest.raises((RuntimeError, UserError, ValueError)):
        write_and_fail()
    assert (tmp_path / "store/images.npy").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_leftovers_of_a_killed_run_are_cleared(tmp_path):
    (tmp_path / ".store.partial").mkdir()
    (tmp_path / ".store.partial/factors.npy").write_bytes(b"old")
    with StoreWriter(tmp_path / "store", "example") as store:
        store.append(np.zeros((2, 1, 2, 2), np.uint8))
        store.describe(splits={"train": (0, 1), "test": (1, 2)})
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["images.npy", "meta.json"]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((np.zeros((1, 1, 2, 2), np.float32),), "this batch is"),
        ((np.zeros((1, 1, 2, 3), np.uint8),), "this batch is"),
        ((np.zeros((1, 4), np.uint8),), "this batch is"),
        ((np.zeros((1, 1, 2, 2), np.uint8), np.zeros(3)), "3 labels or factors for 1 images"),
    ],
)
def test_batches_of_another_kind_are_refused(tmp_path, batch, message):
    with StoreWriter(tmp_path / "store", "example") as store:
        store.append(np.zeros((1, 1, 2, 2), np.uint8))
        with pytest.raises(ValueError, match=message):
            store.append(*batch)
        store.append(np.ones((1, 1, 2, 2), np.uint8))
        store.describe(splits={"train": (0, 1), "test": (1, 2)})
    assert Prepared.open(tmp_path / "store").images.sum() == 4


@pytest.mark.parametrize("first", [np.zeros((1, 1, 2, 2)), np.zeros((2, 2), np.uint8)])
def test_only_images_of_a_known_kind_are_stored(tmp_path, first):
    with pytest.raises(ValueError, match="must be"), StoreWriter(tmp_path / "store", "example") as store:
        store.append(first)
    assert not (tmp_path / "store").exists()


def test_memory_does_not_grow_with_the_store(tmp_path):
    batch = np.zeros((64, 1, 64, 64), np.uint8)
    tracemalloc.start()
    with StoreWriter(tmp_path / "store", "example") as store:
        for _ in range(200):
            store.append(batch)
        store.describe(splits={"train": (0, 1), "test": (1, 2)})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "store/images.npy").stat().st_size > 200 * batch.nbytes
    assert peak < 8 * batch.nbytes


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 130), min_size=1, max_size=5), dtype=st.sampled_from([np.uint8, np.float32])
)
def test_batches_add_up(tmp_path_factory, sizes, dtype):
    out = tmp_path_factory.mktemp("store") / "store"
    images = np.arange(sum(sizes) * 4).astype(dtype).reshape(-1, 1, 2, 2)
    with StoreWriter(out, "example") as store:
        for batch in np.split(images, np.cumsum(sizes)[:-1]):
            store.append(batch.transpose(0, 1, 3, 2).copy().transpose(0, 1, 3, 2))
        store.describe(splits={"train": (0, len(images)), "test": (0, len(images))})
    np.testing.assert_array_equal(Prepared.open(out).images, images)


def edit_meta(**changes):
    def damage(folder):
        meta = json.loads((folder / "meta.json").read_text())
        for key, value in changes.items():
            if value is None:
                del meta[key]
            else:
                meta[key] = value
        (folder / "meta.json").write_text(json.dumps(meta))

    return damage


def replace(name, array):
    return lambda folder: np.save(folder / name, array)


def cut(name, size):
    def damage(folder):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:size])

    return damage


def be_folder(folder):
    (folder / "images.npy").unlink()
    (folder / "images.npy").mkdir()


def append_byte(folder):
    with (folder / "images.npy").open("ab") as file:
        file.write(b"x")


def remove(name):
    return lambda folder: (folder / name).unlink()


IMAGES = np.zeros((COUNT, 2, 4, 3), np.uint8)
DAMAGES = {
    "no images": ("images.npy", remove("images.npy")),
    "no meta": ("meta.json", remove("meta.json")),
    "no labels": ("labels.npy", remove("labels.npy")),
    "no factors": ("factors.npy", remove("factors.npy")),
    "empty images": ("images.npy", cut("images.npy", 0)),
    "images cut in the header": ("images.npy", cut("images.npy", 50)),
    "images cut": ("images.npy", cut("images.npy", -1)),
    "images too long": ("images.npy", append_byte),
    "images is a folder": ("images.npy", be_folder),
    "images not npy": ("images.npy", lambda f: (f / "images.npy").write_bytes(b"\x89PNG" * 99)),
    "pickled images": ("images.npy", replace("images.npy", np.array([{}] * COUNT))),
    "float64 images": ("images.npy", replace("images.npy", IMAGES.astype(float))),
    "float32 images under uint8": ("images.npy", replace("images.npy", IMAGES.astype(np.float32))),
    "NHWC images": ("images.npy", replace("images.npy", IMAGES.transpose(0, 2, 3, 1).copy())),
    "Fortran order": ("images.npy", replace("images.npy", np.asfortranarray(IMAGES))),
    "fewer images than splits": ("meta.json", replace("images.npy", IMAGES[:8])),
    "meta cut": ("meta.json", cut("meta.json", 40)),
    "meta empty": ("meta.json", cut("meta.json", 0)),
    "meta a list": ("meta.json", lambda f: (f / "meta.json").write_text("[]")),
    "meta not text": ("meta.json", lambda f: (f / "meta.json").write_bytes(b"\xff\xfe\x00")),
    "meta without splits": ("meta.json", edit_meta(splits=None)),
    "meta with an unknown key": ("meta.json", edit_meta(colour="red")),
    "meta with an odd range": ("meta.json", edit_meta(value_range=[0, 255])),
    "meta with an odd type": ("meta.json", edit_meta(dtype="float64")),
    "no test split": ("meta.json", edit_meta(splits={"train": [0, 5]})),
    "empty split": ("meta.json", edit_meta(splits={"train": [0, 5], "test": [5, 5]})),
    "split backwards": ("meta.json", edit_meta(splits={"train": [5, 3], "test": [5, 9]})),
    "split negative": ("meta.json", edit_meta(splits={"train": [-5, 3], "test": [5, 9]})),
    "split outside": ("meta.json", edit_meta(splits={"train": [0, 5], "test": [5, COUNT + 1]})),
    "labels of another count": ("labels.npy", replace("labels.npy", np.zeros(COUNT - 1, np.int64))),
    "float labels": ("labels.npy", replace("labels.npy", np.zeros(COUNT))),
    "negative labels": ("labels.npy", replace("labels.npy", np.full(COUNT, -1))),
    "factors of another width": ("factors.npy", replace("factors.npy", np.zeros((COUNT, 3), np.int64))),
    "factor outside its size": ("factors.npy", replace("factors.npy", np.full((COUNT, 2), 3))),
    "sizes without names": ("meta.json", edit_meta(factor_names=None)),
    "short digest": ("meta.json", edit_meta(sources={"file": "abc"})),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named_with_the_way_out(tmp_path, name):
    file, damage = DAMAGES[name]
    write(tmp_path / "store")
    damage(tmp_path / "store")
    with pytest.raises(UserError) as caught:
        Prepared.open(tmp_path / "store")
    assert str(tmp_path / "store" / file) in str(caught.value)
    assert "dvc repro" in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_image_that_is_not_finite_is_named(tmp_path, value, monkeypatch):
    monkeypatch.setattr("vaebench.data.store.CHECKED_AT_ONCE", 200)
    images, *_ = write(tmp_path / "store", dtype=np.float32)
    images[8, 1, 2, 2] = value
    np.save(tmp_path / "store/images.npy", images)
    with pytest.raises(UserError, match=r"images\.npy is damaged: image 8 holds NaN or infinity"):
        Prepared.open(tmp_path / "store")


def test_a_missing_store_says_which_stage_writes_it(tmp_path):
    with pytest.raises(UserError, match=r"nowhere/meta\.json is missing.*prepare"):
        Prepared.open(tmp_path / "nowhere")


def test_reading_imports_nothing_heavy():
    heavy = {"torch", "sklearn", "torchvision", "PIL", "h5py"}
    script = f"import sys, vaebench.data; print(*{heavy} & {{*sys.modules}})"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""
