"""The model's specification, and the two files that a model is saved as."""

from __future__ import annotations

import json

import pytest
import torch
from pydantic import ValidationError

from vaebench import load_model, train
from vaebench.base.errors import UserError
from vaebench.data.preparation import prepare
from vaebench.data.value_range import ValueRange
from vaebench.model.vae import ModelSpec, save_model

SPEC = ModelSpec(
    image_shape=(1, 8, 8),
    value_range=(0, 1),
    train_size=500,
    network={"name": "compact", "latent_dim": 3},
    likelihood={"name": "l2"},
    regularizer={"name": "kde_kl", "samples": 100, "bandwidth": 0.6},
    posterior={"name": "deterministic"},
)


def test_a_saved_model_comes_back_with_its_specification_and_prior(tmp_path):
    model = SPEC.build()
    save_model(tmp_path, model)
    again = load_model(tmp_path)
    assert again.spec == model.spec == SPEC
    assert again.prior_scale == pytest.approx(0.8)
    assert not again.training
    x = torch.rand(4, 1, 8, 8)
    torch.testing.assert_close(again.encode(x).mean, model.eval().encode(x).mean)


def test_the_spec_of_an_older_version_is_read(tmp_path):
    save_model(tmp_path, SPEC.build())
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prior_scale": 0.8, "diverged_at_epoch": 3}))
    assert load_model(tmp_path).spec == SPEC


def test_a_specification_is_checked_and_does_not_change():
    with pytest.raises(ValidationError, match="networks"):
        ModelSpec(image_shape=(1, 8, 8), train_size=1, networks={}, likelihood={"name": "l2"})
    with pytest.raises(ValidationError, match="frozen"):
        SPEC.train_size = 3
    with pytest.raises(UserError, match=r"needs images in \[0\.0, 1\.0\]"):
        SPEC.model_copy(update={"likelihood": {"name": "bernoulli"}, "value_range": (-1.0, 1.0)}).build()


def test_to_unit_undoes_to_model_in_either_range():
    stored = torch.arange(256, dtype=torch.uint8)
    for value_range in (ValueRange(0, 1), ValueRange(-1, 1)):
        x = value_range.to_model(stored)
        assert (x.min().item(), x.max().item()) == value_range
        torch.testing.assert_close(value_range.to_unit(x), stored / 255)
    unit = torch.linspace(0, 1, 5)
    torch.testing.assert_close(ValueRange(-1, 1).to_model(unit), 2 * unit - 1)


def test_the_librarys_train_learns_and_leaves_the_model_ready(tmp_path):
    data = prepare({"name": "digits"}, tmp_path / "digits")
    torch.manual_seed(0)
    spec = SPEC.model_copy(update={"regularizer": {"name": "none"}, "train_size": len(data.split("train"))})
    model, losses = spec.build(), []

    def follow(history):
        losses.append(history[-1]["loss"])

    outcome = train(model, data, epochs=3, batch_size=50, learning_rate=2e-3, on_epoch=follow)
    assert [row["loss"] for row in outcome.history] == losses
    assert losses[-1] < 0.7 * losses[0]
    assert not model.training
    with pytest.raises(UserError, match=r"train\.batchsize is unknown.*Did you mean 'batch_size'"):
        train(model, data, epochs=1, batchsize=3)
