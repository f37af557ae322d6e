import gzip
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.data_fixtures import REAL_DATA, idx_bytes, write_mnist

from vaebench.base.errors import UserError
from vaebench.data.idx import parse_idx
from vaebench.data.mnist import Mnist
from vaebench.data.noise import NOISY, partitions
from vaebench.data.preparation import prepare

TRAIN, TEST = 40, 20


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """Run in an empty folder, with raw data in ``raw`` and no network."""

    def refuse(root):
        raise RuntimeError("no network in tests")

    (tmp_path / "raw").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAEBENCH_DATA", str(tmp_path / "raw"))
    monkeypatch.setattr(Mnist, "published", replace(Mnist.published, download=refuse))


@pytest.fixture
def files(tmp_path):
    return write_mnist(tmp_path / "raw", TRAIN, TEST)


def mnist(tmp_path, seed=0, **options):
    return prepare({"name": "mnist", **options}, tmp_path / "store", seed)


def test_train_then_test_in_the_files_order(tmp_path, files):
    data = mnist(tmp_path)
    np.testing.assert_array_equal(data.split("train")[:, 0], files["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(data.split("test")[:, 0], files["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(data.labels[data.rows("test")], files["t10k-labels-idx1-ubyte"])
    assert data.meta["splits"] == {"train": [0, TRAIN], "test": [TRAIN, TRAIN + TEST]}
    assert sorted(data.meta["sources"]) == sorted(f"MNIST/raw/{name}" for name in files)


def test_validation_is_the_end_of_training_whatever_the_limits(tmp_path, files):
    data = mnist(tmp_path, validation=7, train_limit=11, test_limit=5)
    images = files["train-images-idx3-ubyte"]
    np.testing.assert_array_equal(data.split("train")[:, 0], images[:11])
    np.testing.assert_array_equal(data.split("validation")[:, 0], images[-7:])
    np.testing.assert_array_equal(data.split("test")[:, 0], files["t10k-images-idx3-ubyte"][:5])
    np.testing.assert_array_equal(data.labels[data.rows("validation")], np.arange(33, 40) % 10)
    assert len(data.images) == 23


def test_padding_is_a_black_frame(tmp_path, files):
    data = mnist(tmp_path, pad=2)
    assert data.shape == (1, 32, 32)
    np.testing.assert_array_equal(data.split("train")[:, 0, 2:30, 2:30], files["train-images-idx3-ubyte"])
    assert data.images.sum() == sum(int(a.sum()) for n, a in files.items() if "images" in n)


def test_batches_do_not_show(tmp_path, files, monkeypatch):
    options = {"validation": 9, "train_limit": 17, "noise": {"pattern": "uniform", "variance": 0.1}}
    whole = np.array(mnist(tmp_path, **options).images)
    monkeypatch.setattr("vaebench.data.mnist.BATCH", 6)
    np.testing.assert_array_equal(mnist(tmp_path, **options).images, whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": TRAIN}, r"validation is 40, but there are 40 training images"),
        ({"validation": 5, "train_limit": 36}, r"train_limit is 36, but 35 training images are left"),
        ({"test_limit": TEST + 1}, r"test_limit is 21 of 20"),
        ({"validation": -1}, r"source.validation"),
        ({"pad": 1}, r"source.pad"),
        ({"noise": {"pattern": "upper", "variance": 0.1}}, r"source.noise.pattern"),
        ({"noise": {"pattern": "spatial", "variance": 0.0}}, r"source.noise.variance"),
        ({"noise": {"pattern": "spatial", "variance": float("nan")}}, r"source.noise.variance"),
        ({"noise": {"pattern": "spatial", "variance": 0.1, "seed": 1}}, r"allowed here: pattern, variance"),
    ],
)
def test_impossible_options_are_refused(tmp_path, files, options, message):
    with pytest.raises(UserError, match=message):
        mnist(tmp_path, **options)
    assert not (tmp_path / "store").exists()


def damage_idx(part, change):
    def damage(folder):
        path = folder / part
        path.write_bytes(change(path.read_bytes()))

    return damage


IMAGES, LABELS = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
DAMAGES = {
    "truncated": (IMAGES, damage_idx(IMAGES, lambda b: b[:-1]), "truncated"),
    "too long": (IMAGES, damage_idx(IMAGES, lambda b: b + b"x"), "longer than its header"),
    "cut in the header": (IMAGES, damage_idx(IMAGES, lambda b: b[:10]), "within its header"),
    "empty": (LABELS, damage_idx(LABELS, lambda b: b""), "not an idx file"),
    "not idx": (LABELS, damage_idx(LABELS, lambda b: b"<html>" + b), "not an idx file"),
    "gzip": (IMAGES, damage_idx(IMAGES, gzip.compress), "gunzip"),
    "float": (IMAGES, damage_idx(IMAGES, lambda b: b[:2] + b"\x0d" + b[3:]), "idx type 0x0d"),
    "labels as images": (IMAGES, damage_idx(IMAGES, lambda b: idx_bytes(np.zeros(9))), r"holds labels \(1"),
    "images as labels": (
        LABELS,
        damage_idx(LABELS, lambda b: idx_bytes(np.zeros((9, 28, 28)))),
        "holds images",
    ),
    "no images": (IMAGES, damage_idx(IMAGES, lambda b: idx_bytes(np.zeros((0, 28, 28)))), "is empty"),
    "another size": (IMAGES, damage_idx(IMAGES, lambda b: idx_bytes(np.zeros((40, 32, 32)))), "32 × 32"),
    "a label too few": (
        "MNIST/raw",
        damage_idx(LABELS, lambda b: idx_bytes(np.zeros(TEST - 1))),
        "20 t10k images but 19 t10k labels",
    ),
    "no digit": (LABELS, damage_idx(LABELS, lambda b: idx_bytes(np.full(TEST, 10))), "label 10"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_files_are_named(tmp_path, files, name):
    file, damage, message = DAMAGES[name]
    damage(tmp_path / "raw/MNIST/raw")
    with pytest.raises(UserError, match=message) as caught:
        mnist(tmp_path)
    assert file in str(caught.value)
    assert "published" in str(caught.value) or "gunzip" in str(caught.value)


def test_a_file_of_the_published_size_must_be_the_published_one(tmp_path, files, monkeypatch):
    monkeypatch.setattr("vaebench.data.mnist.PUBLISHED", {"train": 60_000, "t10k": TEST})
    with pytest.raises(UserError, match=r"t10k-images-idx3-ubyte is not MNIST's: its MD5 is"):
        mnist(tmp_path)


def test_an_unreadable_file_is_named(tmp_path, files):
    path = tmp_path / "raw/MNIST/raw" / LABELS
    path.unlink()
    path.mkdir()
    with pytest.raises(UserError, match=f"{LABELS} cannot be read"):
        mnist(tmp_path)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, max_side=5)), st.data())
def test_idx_round_trip_and_no_prefix_passes(tmp_path_factory, array, draw):
    path = tmp_path_factory.getbasetemp() / "file"
    content = idx_bytes(array)
    np.testing.assert_array_equal(parse_idx(content, 3, path), array)
    with pytest.raises(UserError):
        parse_idx(content[: draw.draw(st.integers(0, len(content) - 1))], 3, path)


def check_any_header(path, head, body, dimensions):
    try:
        outcome = idx_bytes(parse_idx(head + body, dimensions, path))
    except UserError as error:
        outcome = str(error)
    assert outcome == head + body or str(path) in outcome


any_header = {
    "head": st.builds(
        lambda kind, sizes: bytes([0, 0, *kind]) + b"".join(s.to_bytes(4, "big") for s in sizes),
        st.tuples(st.sampled_from([8, 13]), st.integers(0, 4)),
        st.lists(st.one_of(st.integers(0, 3), st.integers(0, 2**32 - 1)), max_size=4),
    ),
    "body": st.binary(max_size=40),
    "dimensions": st.sampled_from([1, 3]),
}


@settings(max_examples=100, deadline=None)
@given(**any_header)
def test_any_idx_bytes_are_read_or_refused(tmp_path_factory, **drawn):
    check_any_header(tmp_path_factory.getbasetemp() / "file", **drawn)


@pytest.mark.nightly
@settings(max_examples=20_000, derandomize=False)
@given(**any_header)
def test_many_idx_bytes_are_read_or_refused(tmp_path_factory, **drawn):
    check_any_header(tmp_path_factory.getbasetemp() / "file", **drawn)


def test_partitions_cover_every_pixel_once():
    labels = np.arange(10)
    covered = np.zeros((10, 1, 28, 28), int)
    for rows, pixels in partitions(labels, (1, 28, 28)).values():
        covered += rows[:, None, None, None] & pixels
    assert (covered == 1).all()
    rows, pixels = partitions(labels, (1, 28, 28))["BU"]
    assert labels[rows].tolist() == [5, 6, 7, 8, 9]
    assert pixels[0, :14].all()
    assert not pixels[0, 14:].any()


@pytest.mark.parametrize("pattern", NOISY)
@pytest.mark.parametrize("pad", [0, 2])
def test_noise_has_its_variance_in_its_partitions_alone(tmp_path, files, pattern, pad):
    clean = np.array(mnist(tmp_path, pad=pad).images, np.float32) / 255
    data = mnist(tmp_path, pad=pad, noise={"pattern": pattern, "variance": 0.1})
    assert data.images.dtype == np.float32
    noise = data.images - clean
    for name, (rows, pixels) in partitions(data.labels, data.shape).items():
        drawn = noise[rows][:, pixels]
        if name in data.meta["noise"]["noisy"]:
            error = np.sqrt(2 / drawn.size)
            assert abs(drawn.var() / 0.1 - 1) < 5 * error
            assert abs(drawn.mean()) < 5 * np.sqrt(0.1 / drawn.size)
        else:
            assert (drawn == 0).all()
    if pattern == "uniform":
        assert data.images.min() < -0.3
        assert data.images.max() > 1.3
    assert data.meta["noise"]["pattern"] == pattern
    assert data.meta["noise"]["partitions"]["BL"] == {
        "digits": [5, 9],
        "rows": [14 + pad, 27 + 2 * pad],
    }


def test_noise_is_fixed_by_the_seed_alone(tmp_path, files):
    noise = {"pattern": "uniform", "variance": 0.01}
    whole = mnist(tmp_path, noise=noise)
    train, test = np.array(whole.split("train")), np.array(whole.split("test"))
    limited = mnist(tmp_path, noise=noise, validation=10, train_limit=13, test_limit=4)
    np.testing.assert_array_equal(limited.split("train"), train[:13])
    np.testing.assert_array_equal(limited.split("validation"), train[-10:])
    np.testing.assert_array_equal(limited.split("test"), test[:4])
    other = mnist(tmp_path, seed=1, noise=noise)
    assert not np.isclose(other.split("train"), train).all(axis=(1, 2, 3)).any()
    clean = np.array(mnist(tmp_path).images, np.float32) / 255
    assert not np.allclose(train[:TEST] - clean[:TEST], test - clean[TRAIN:], atol=1e-3)


def test_real_mnist(tmp_path, monkeypatch):
    if not (REAL_DATA / "MNIST/raw").is_dir():
        pytest.skip(f"the real MNIST is not in {REAL_DATA}")
    monkeypatch.setenv("VAEBENCH_DATA", str(REAL_DATA))
    data = mnist(tmp_path, validation=10_000)
    assert {name: len(data.split(name)) for name in data.meta["splits"]} == {
        "train": 50_000,
        "validation": 10_000,
        "test": 10_000,
    }
    train = data.images[:60_000, 0]
    frequency = np.bincount(train.ravel(), minlength=256) / train.size
    value = np.arange(256) / 255
    mean, second_moment = frequency @ value, frequency @ value**2
    assert round(mean, 4) == 0.1307
    assert round(np.sqrt(second_moment - mean**2), 4) == 0.3081
    mean_image = train.mean(axis=0) / 255
    total_variance = 28 * 28 * second_moment - (mean_image**2).sum()
    assert abs(total_variance - 52.74) < 0.05, "Takida et al., Table 1: the collapsed model's MSE"
