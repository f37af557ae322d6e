"""The frozen network for MNIST: the file, what it tells, and that its distances say something of images."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from support.data_fixtures import REAL_DATA
from support.metric_models import prepared
from torch.nn.functional import avg_pool2d, pad

from vaebench.base.errors import UserError
from vaebench.data.preparation import prepare
from vaebench.measure.features import mnist_lenet
from vaebench.measure.features.frechet import frechet_distance, moments
from vaebench.measure.features.mnist_lenet import train
from vaebench.measure.features.reference import build_reference

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def features():
    return mnist_lenet.MnistLenet().load(Path("nowhere"), CPU, {})


@pytest.fixture(scope="module")
def mnist(tmp_path_factory):
    if not (REAL_DATA / "MNIST/raw").is_dir():
        pytest.skip(f"NOT CHECKED on real digits: MNIST is not in {REAL_DATA}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAEBENCH_DATA", str(REAL_DATA))
        return prepare({"name": "mnist"}, tmp_path_factory.mktemp("mnist") / "prepared")


def test_the_file_is_the_published_one_and_small():
    content = mnist_lenet.WEIGHTS.read_bytes()
    assert hashlib.sha256(content).hexdigest() == mnist_lenet.DIGEST
    assert len(content) < 1_000_000


def test_another_file_is_refused(tmp_path, monkeypatch):
    changed = bytearray(mnist_lenet.WEIGHTS.read_bytes())
    changed[-1] ^= 1
    (tmp_path / "weights.safetensors").write_bytes(changed)
    monkeypatch.setattr(mnist_lenet, "WEIGHTS", tmp_path / "weights.safetensors")
    with pytest.raises(UserError, match="not the published network"):
        mnist_lenet.MnistLenet().load(tmp_path, CPU, {})


def test_its_accuracy_on_mnist_is_the_recorded_one(mnist):
    network = mnist_lenet.layers()
    network.load_state_dict(mnist_lenet.weights())
    assert train.accuracy(network.eval(), mnist) == pytest.approx(mnist_lenet.ACCURACY, abs=2e-4)


def test_a_distance_grows_with_what_is_done_to_the_digits(mnist, features):
    real, shown = (torch.from_numpy(np.array(mnist.split("test")[rows])) / 255 for rows in HALVES)

    def distance(images):
        with torch.no_grad():
            return frechet_distance(*moments(features(images).numpy()), *moments(features(real).numpy()))

    noise = torch.randn(shown.shape, generator=torch.Generator().manual_seed(0))
    noisy = [distance((shown + level * noise).clamp(0, 1)) for level in (0, 0.1, 0.3)]
    blurred = [distance(avg_pool2d(shown, side, 1, side // 2)) for side in (1, 3, 5)]
    assert noisy == sorted(noisy)
    assert blurred == sorted(blurred)
    assert noisy[-1] > 5 * noisy[0]
    assert blurred[-1] > 5 * blurred[0]
    assert distance(real[:50].repeat(20, 1, 1, 1)) > 2 * distance(shown), "samples that lack variety"


HALVES = (slice(0, 1000), slice(1000, 2000))


def test_sizes_and_colours(features):
    image = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = features(image)
        assert expected.shape == (2, mnist_lenet.FEATURES)
        torch.testing.assert_close(features(pad(image, (2, 2, 2, 2))), expected)
        torch.testing.assert_close(features(image.expand(-1, 3, -1, -1)), expected)
        large = pad(image, (2, 2, 2, 2)).repeat_interleave(2, 2).repeat_interleave(2, 3)
        assert (features(large) - expected).norm() < 0.2 * expected.norm()


def test_its_distance_has_a_name_of_its_own(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 32, 32), np.uint8)
    assert build_reference(prepared(images), "mnist_lenet", 0, tmp_path).name == "fd_mnist_lenet"


def test_the_training_is_determined_by_its_seed(capsys):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (300, 1, 28, 28), np.uint8)
    data = prepared(images, labels=rng.integers(0, 10, 300))
    first, same = (train.train(data, seed=0, epochs=1)[0].weight for _ in range(2))
    other = train.train(data, seed=1, epochs=1)[0].weight
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
