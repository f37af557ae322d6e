"""Feature networks, the Fréchet distance, and the reference on disk."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from support.metric_models import prepared

from vaebench.base.errors import UserError
from vaebench.base.precision import exact
from vaebench.data.preparation import prepare
from vaebench.measure.features import FEATURES, classifier, inception
from vaebench.measure.features.base import FeatureNetwork
from vaebench.measure.features.frechet import frechet_distance, moments
from vaebench.measure.features.reference import build_reference, load_reference
from vaebench.report.describe import describe

CPU = torch.device("cpu")


def test_the_weights_of_the_workspace_are_found_from_dvc_s_copies(tmp_path, monkeypatch):
    from vaebench.measure.features import inception

    path = tmp_path / "data/raw" / inception.FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    (tmp_path / "mine.pth").write_bytes(b"weights")
    monkeypatch.setattr(inception, "DIGEST", hashlib.sha256(b"weights").hexdigest()[:8])
    copy = tmp_path / ".dvc/tmp/exps/tmpabc"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.delenv("VAEBENCH_INCEPTION", raising=False)
    assert inception.weights_file() == path
    monkeypatch.setenv("VAEBENCH_INCEPTION", "mine.pth")
    assert inception.weights_file() == tmp_path / "mine.pth"


def test_frechet_distance_is_pytorch_fids():
    from pytorch_fid.fid_score import calculate_frechet_distance

    rng = np.random.default_rng(0)
    a = moments(rng.standard_normal((800, 24)) @ rng.standard_normal((24, 24)))
    b = moments(rng.gamma(2.0, size=(500, 24)))
    assert frechet_distance(*a, *b) == pytest.approx(calculate_frechet_distance(*a, *b), rel=1e-6)


def test_frechet_distance_of_gaussians_with_common_axes():
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    first, second = rng.uniform(0.1, 3, 6), rng.uniform(0.1, 3, 6)
    mu1, mu2 = rng.standard_normal((2, 6))
    exactly = ((mu1 - mu2) ** 2).sum() + ((np.sqrt(first) - np.sqrt(second)) ** 2).sum()
    distance = frechet_distance(mu1, (axes * first) @ axes.T, mu2, (axes * second) @ axes.T)
    assert distance == pytest.approx(exactly, rel=1e-10)


def test_frechet_distance_with_fewer_images_than_features():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((10, 40)), rng.standard_normal((12, 40)) + 0.5
    centred = [(x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (a, b)]
    nuclear = np.linalg.svd(centred[0] @ centred[1].T, compute_uv=False).sum()
    exactly = ((a.mean(0) - b.mean(0)) ** 2).sum() + sum((c**2).sum() for c in centred) - 2 * nuclear
    assert frechet_distance(*moments(a), *moments(b)) == pytest.approx(exactly, rel=1e-6)
    assert frechet_distance(*moments(a), *moments(a)) == pytest.approx(0, abs=1e-5)


def test_exact_is_undone_after_an_error():
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        with suppress(ZeroDivisionError), exact():
            inside = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
            graded = torch.is_grad_enabled()
            raise ZeroDivisionError
        assert inside == (False, False)
        assert not graded
        assert torch.backends.cuda.matmul.allow_tf32
        assert torch.backends.cudnn.allow_tf32 == before[0]
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before[1]


def pytorch_fid_features(weights, images: np.ndarray, folder) -> np.ndarray:
    """By pytorch-fid's network and loader, from PNG files."""
    from pytorch_fid import inception as theirs
    from pytorch_fid.fid_score import get_activations

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: weights)
        network = theirs.InceptionV3([3])
    files = []
    for i, image in enumerate(images):
        files.append(folder / f"{i}.png")
        Image.fromarray(image.transpose(1, 2, 0).squeeze()).save(files[-1])
    return get_activations(files, network, batch_size=len(files), num_workers=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_inception_features_are_those_of_pytorch_fid_on_the_same_pictures(
    inception_weights, tmp_path, channels
):
    images = np.random.default_rng(0).integers(0, 256, (3, channels, 20, 20), np.uint8)
    theirs = pytorch_fid_features(inception_weights, images, tmp_path)
    reference = build_reference(prepared(images), "inception", 0, tmp_path / "reference")
    assert reference.name == "fid"
    assert reference.features.shape == (3, 2048)
    scale = np.abs(theirs).max()
    np.testing.assert_allclose(reference.features, theirs, rtol=1e-4, atol=1e-5 * scale)
    again = load_reference(tmp_path / "reference")
    unit = images[:1] / np.float32(255)
    np.testing.assert_allclose(again.encode(unit), theirs[:1], rtol=1e-4, atol=1e-5 * scale)


def test_inception_weights_of_another_file_are_refused(inception_file, monkeypatch):
    monkeypatch.setenv("VAEBENCH_INCEPTION", str(inception_file[0]))
    with pytest.raises(UserError, match=f"begins with {inception_file[1][:8]}, not 6726825d"):
        inception.weights_file()


def test_inception_weights_that_cannot_be_had(tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise URLError("no route to host")

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VAEBENCH_INCEPTION", raising=False)
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    with pytest.raises(UserError, match=r"no route to host.*data/raw.*features: classifier"):
        build_reference(prepared(np.zeros((2, 1, 8, 8), np.uint8)), "inception", 0, tmp_path)
    monkeypatch.setenv("VAEBENCH_INCEPTION", str(tmp_path / "nowhere.pth"))
    with pytest.raises(UserError, match=r"nowhere\.pth, which is not a file"):
        inception.Inception().load(tmp_path, CPU, {})


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return prepare({"name": "digits"}, tmp_path_factory.mktemp("digits") / "prepared")


@pytest.fixture(scope="module")
def reference(digits, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "STEPS", 150)
        folder = tmp_path_factory.mktemp("classifier") / "reference"
        return build_reference(digits, "classifier", 0, folder), folder


def test_classifier_learns_and_its_accuracy_is_recorded(reference):
    built, folder = reference
    described = json.loads((folder / "reference.json").read_text())
    assert built.name == "fd_classifier"
    assert 0.8 < described["accuracy"] == built.accuracy <= 1
    assert built.features.shape == (360, classifier.FEATURES)


def test_classifier_is_determined_by_its_seed(digits, monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 3)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = classifier.train_classifier(digits, 0, CPU)[0]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    same = classifier.train_classifier(digits, 0, CPU)[0]
    other = classifier.train_classifier(digits, 1, CPU)[0]
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(first["body"](x), same["body"](x))
    assert not torch.equal(first["body"](x), other["body"](x))


def test_reference_is_the_same_from_disk(reference, digits):
    built, folder = reference
    loaded = load_reference(folder)
    images = digits.split("train")[:70]
    np.testing.assert_array_equal(loaded.features, built.features)
    np.testing.assert_allclose(loaded.encode(images), built.encode(images), rtol=1e-5, atol=1e-6)
    assert loaded.distance(loaded.features) == pytest.approx(0, abs=1e-6)
    assert loaded.distance(loaded.encode(255 - images)) > 10 * loaded.distance(loaded.encode(images))


def test_features_do_not_depend_on_batches_or_storage(reference, digits):
    built = reference[0]
    images = digits.split("test")[:101]
    batches = torch.from_numpy(np.array(images)).split(13)
    np.testing.assert_allclose(built.stream(iter(batches)), built.encode(images), rtol=1e-5, atol=1e-6)
    floats = images.astype(np.float32) / 255
    np.testing.assert_allclose(built.encode(floats), built.encode(images), rtol=1e-5, atol=1e-6)


def test_a_network_of_one_s_own_names_its_distance_and_keeps_its_options(tmp_path):
    class Brightness(FeatureNetwork):
        """The mean of each channel, times a factor."""

        label, compares, about = "FD bright", "across studies", "mean colours"

        def __init__(self, *, factor: float = 1.0):
            self.factor = factor

        def load(self, folder, device, learned):
            return lambda images: self.factor * images.mean((2, 3))

    images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.full((4, 3, 2, 2), 51, np.uint8)
    with FEATURES.adding("brightness", Brightness):
        reference = build_reference(prepared(images), {"name": "brightness", "factor": 10}, 0, tmp_path)
        np.testing.assert_allclose(reference.features[:, 0], [0, 2, 4, 6], rtol=1e-6)
        again = load_reference(tmp_path)
        np.testing.assert_array_equal(again.encode(images), reference.features)
        assert (again.name, again.key("prd")) == ("fd_brightness", "prd_brightness")
        described = describe("fd_brightness.prior")
        assert (described.label, described.better) == ("FD bright prior", "lower")
        assert "mean colours, which compares across studies and is not FID" in described.help
        with pytest.raises(UserError, match=r"evaluation\.features\.facto.* factor"):
            build_reference(prepared(images), {"name": "brightness", "facto": 1}, 0, tmp_path)


def test_no_features_are_asked_for_so_nothing_is_trained(tmp_path):
    without_labels = prepared(np.zeros((3, 1, 20, 20), np.uint8))
    assert build_reference(without_labels, "none", 0, tmp_path) is None
    assert [path.name for path in tmp_path.iterdir()] == ["reference.json"]
    assert load_reference(tmp_path) is None


@pytest.mark.parametrize("file", ["reference.json", "features.npy", "moments.npz", "classifier.safetensors"])
def test_missing_or_damaged_reference(reference, tmp_path, file):
    for original in reference[1].iterdir():
        (tmp_path / original.name).write_bytes(original.read_bytes())
    whole = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="damaged"):
        load_reference(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(UserError, match=f"{file} is missing"):
        load_reference(tmp_path)


def test_classifier_has_a_head_for_every_factor_that_varies(monkeypatch):
    monkeypatch.setattr(classifier, "STEPS", 120)
    factors = np.stack(np.meshgrid(*map(np.arange, (4, 1, 3, 10)), indexing="ij"), -1).reshape(-1, 4)
    images = np.zeros((len(factors), 3, 9, 9), np.uint8)
    for image, (row, _, column, _) in zip(images, factors, strict=True):
        image[:, 2 * row : 2 * row + 2, 3 * column : 3 * column + 3] = 255
    data = prepared(images, factors=factors)
    network, accuracy = classifier.train_classifier(data, 0, CPU)
    assert [head.out_features for head in network["heads"]] == [4, 3, 10]
    assert accuracy == pytest.approx((1 + 1 + 0.1) / 3, abs=0.1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, "neither labels nor factors.*features: inception"),
        (np.zeros(4, np.int64), "one class and no other.*features: none"),
    ],
)
def test_classifier_without_anything_to_learn(tmp_path, labels, message):
    data = prepared(np.zeros((4, 1, 8, 8), np.uint8), labels)
    with pytest.raises(UserError, match=message):
        build_reference(data, "classifier", 0, tmp_path / "reference")
