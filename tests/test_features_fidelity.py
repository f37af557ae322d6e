"""torch-fidelity's networks: its own classes with small random weights; no weights are downloaded."""

from __future__ import annotations

import builtins
import hashlib
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from support.metric_models import prepared
from torch import nn

from vaebench.base.errors import UserError
from vaebench.measure.features import fidelity
from vaebench.measure.features.reference import build_reference

CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 1, 16, 16), np.uint8)
NETWORKS = {"dinov2": fidelity.DinoV2, "clip": fidelity.Clip, "vgg16": fidelity.Vgg16}


@pytest.fixture(autouse=True)
def hub(tmp_path, monkeypatch):
    """Torch's folder of downloads, empty, and no network."""

    def no_network(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    monkeypatch.setattr(torch.hub, "load", no_network)
    return tmp_path / "hub"


@pytest.fixture
def torch_fidelity():
    return pytest.importorskip("torch_fidelity", reason="NOT CHECKED: torch-fidelity is not installed")


@pytest.mark.parametrize("name", NETWORKS)
def test_without_torch_fidelity_the_error_says_what_installs_it(name, tmp_path, monkeypatch):
    real = builtins.__import__

    def lacking(module, *more):
        if module.startswith("torch_fidelity"):
            raise ImportError("No module named 'torch_fidelity'")
        return real(module, *more)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(UserError, match=r"pip install 'vaebench\[features\]'"):
        build_reference(prepared(IMAGES), name, 0, tmp_path / "reference")


@pytest.mark.parametrize(
    ("name", "file"),
    [("dinov2", "dinov2_vitl14_pretrain.pth"), ("clip", "clip-vit-b-32-"), ("vgg16", "vgg16-397923af.pth")],
)
def test_weights_that_cannot_be_had_are_named_with_their_place(torch_fidelity, name, file, hub, tmp_path):
    with pytest.raises(UserError, match="no route to host") as error:
        build_reference(prepared(IMAGES), name, 0, tmp_path / "reference")
    assert str(hub) in str(error.value)
    assert file in str(error.value)


def test_weights_of_another_file_are_refused(torch_fidelity, hub):
    path = hub / "checkpoints/vgg16-397923af.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match="is not VGG-16: its SHA-256 begins with"):
        fidelity.Vgg16().load(Path("nowhere"), CPU, {})


def test_dinov2_is_torch_fidelitys_over_the_hubs_network(torch_fidelity, monkeypatch, tmp_path):
    torch.manual_seed(0)
    small = nn.Sequential(nn.AvgPool2d(56), nn.Flatten(), nn.Linear(48, 5))
    asked = []
    monkeypatch.setattr(torch.hub, "load", lambda *arguments: asked.append(arguments) or small)
    reference = build_reference(prepared(IMAGES), "dinov2", 0, tmp_path / "reference")
    assert asked[0] == ("facebookresearch/dinov2", "dinov2_vitl14")
    assert reference.name == "fd_dinov2"
    assert reference.features.shape == (3, 5)
    grey = torch.from_numpy(IMAGES).expand(-1, 3, -1, -1)
    extractor = torch_fidelity.feature_extractor_dinov2.FeatureExtractorDinoV2("dinov2-vit-l-14", ["dinov2"])
    np.testing.assert_allclose(reference.features, extractor(grey)[0].numpy(), rtol=1e-5, atol=1e-6)


def test_clip_is_torch_fidelitys_with_the_files_weights(torch_fidelity, hub, monkeypatch, tmp_path):
    from torch_fidelity import feature_extractor_clip as theirs

    class Whole(nn.Module):
        """The parts of CLIP that its file holds, small."""

        def __init__(self):
            super().__init__()
            self.visual = theirs.CLIPVisual(7, 32, 1, 64, 16).visual
            self.text_projection = nn.Parameter(torch.zeros(3, 7))

        def forward(self, x):
            return x + self.text_projection.sum()

    torch.manual_seed(0)
    path = tmp_path / "small.pt"
    torch.jit.trace(Whole(), torch.zeros(1)).save(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setitem(theirs.MODEL_METADATA, "clip-vit-b-32", {"hash": digest, "filename": "small"})
    place = hub / f"checkpoints/clip-vit-b-32-{digest}.pt"
    place.parent.mkdir(parents=True)
    place.write_bytes(path.read_bytes())
    reference = build_reference(prepared(IMAGES), "clip", 0, tmp_path / "reference")
    assert reference.name == "fd_clip"
    assert reference.features.shape == (3, 7)
    assert np.isfinite(reference.features).all()
    assert np.ptp(reference.features, axis=0).min() > 0, "other images, other features"
