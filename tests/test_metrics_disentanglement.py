"""Disentanglement scores of codes that are perfect, rotated, random or partly collapsed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.metric_models import Linear, prepared, run_of

from vaebench.base.errors import UserError
from vaebench.measure.metrics.disentanglement import (
    directions,
    draw_groups,
    factor_vae_score,
    latent_directions,
    mig,
    pca_score,
)
from vaebench.measure.run import evaluate

SIZES = (5, 4, 6, 1)
FACTORS = np.stack(np.meshgrid(*map(np.arange, SIZES), indexing="ij"), -1).reshape(-1, len(SIZES))
SPEC = {"name": "disentanglement", "votes": 600, "evaluation_votes": 600, "mig_samples": 4000}


def scores(codes: np.ndarray) -> dict:
    """Of a model that encodes image i as ``codes[i]``."""
    images = codes.astype(np.float32)[:, None, None, :]
    identity = torch.eye(codes.shape[1])
    data = prepared(images, factors=FACTORS, factor_names=["shape", "size", "colour", "one"])
    return evaluate(run_of(Linear(identity, identity, None), data), [SPEC])["disentanglement"]


def standardized(noise: float = 0.05) -> np.ndarray:
    rng = np.random.default_rng(0)
    varying = FACTORS[:, :3]
    codes = (varying - varying.mean(0)) / varying.std(0)
    return codes + noise * rng.standard_normal(codes.shape)


def test_perfect_codes():
    result = scores(standardized(0.02))
    assert result["factor_vae"] == result["pca_factor_vae"] == 1
    assert result["mig"] > 0.9
    assert result["pca_mig"] > 0.9
    assert result["angles"] == pytest.approx({"shape-size": 90, "shape-colour": 90, "size-colour": 90}, abs=2)


def test_rotated_codes_lose_the_axes_and_keep_the_directions():
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]
    result = scores(standardized(0.02) @ rotation)
    assert result["mig"] < 0.4
    assert result["pca_mig"] > 0.9
    assert result["pca_factor_vae"] == 1


def test_random_codes_score_near_chance():
    result = scores(np.random.default_rng(0).standard_normal((len(FACTORS), 3)))
    assert result["factor_vae"] == pytest.approx(1 / 3, abs=0.12)
    assert result["pca_factor_vae"] == pytest.approx(1 / 3, abs=0.2)
    assert result["mig"] < 0.1


def test_an_axis_that_collapsed_has_no_vote():
    codes = standardized(0.02)
    codes = np.column_stack([codes, 1e-4 * np.random.default_rng(0).standard_normal(len(codes))])
    assert scores(codes)["factor_vae"] == 1
    assert scores(codes * 1e-3)["factor_vae"] == 0


def test_groups_share_one_factor_only():
    factors = FACTORS[np.random.default_rng(0).permutation(len(FACTORS))][:, :3]
    groups = draw_groups(factors, 300, 64, np.random.default_rng(1))
    values = factors[groups.members]
    spread = values.max(axis=1) - values.min(axis=1)
    assert set(groups.factor) == {0, 1, 2}
    own = np.zeros((300, 3), bool)
    own[np.arange(300), groups.factor] = True
    assert (spread[own] == 0).all()
    assert (spread[~own] > 0).all()
    assert all(len(set(values[groups.factor == k, 0, k])) == SIZES[k] for k in range(3))


def test_groups_of_an_uneven_data_set_draw_values_evenly():
    factors = np.array([[0, 0], [1, 0], [1, 1], [1, 2], [1, 3], [1, 4]])
    groups = draw_groups(factors, 4000, 2, np.random.default_rng(0))
    first = factors[groups.members[groups.factor == 0, 0], 0]
    assert first.mean() == pytest.approx(0.5, abs=0.05)


def test_mig_of_codes_with_known_information():
    factor = np.repeat(np.arange(4), 1000)
    codes = np.column_stack([factor, factor // 2, np.zeros(4000)]).astype(float)
    assert mig(codes, factor[:, None], 20) == pytest.approx((np.log(4) - np.log(2)) / np.log(4), rel=1e-9)
    assert mig(codes[:, :1], factor[:, None], 20) == 0


def test_mutual_information_is_scikit_learns():
    from sklearn.metrics import mutual_info_score

    rng = np.random.default_rng(0)
    factor = rng.integers(6, size=3000)
    codes = np.column_stack([factor + rng.standard_normal(3000), rng.standard_normal(3000)])
    cut = [np.digitize(c, np.histogram(c, 20)[1][:-1]) for c in codes.T]
    entropy = mutual_info_score(factor, factor)
    gap = (mutual_info_score(cut[0], factor) - mutual_info_score(cut[1], factor)) / entropy
    assert mig(codes, factor[:, None], 20) == pytest.approx(gap, abs=2e-3)


def test_majority_vote_on_new_groups():
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((90, 64, 3))
    factor = np.arange(90) % 3
    codes[np.arange(90), :, factor] *= 0.01
    moved = (factor + 1) % 3
    variance = np.ones(3)
    assert factor_vae_score(codes, factor, codes, factor, variance) == 1
    assert factor_vae_score(codes, moved, codes, moved, variance) == 1
    assert factor_vae_score(codes, factor, codes, moved, variance) == 0


def test_directions_do_not_depend_on_an_eigenvectors_sign():
    rng = np.random.default_rng(0)
    axis = np.array([[0.6, 0.8], [0.8, -0.6]])
    factor = np.arange(40) % 2
    spread = np.where(factor[:, None, None] == np.arange(2), 0.01, 1.0)
    codes = (rng.standard_normal((40, 64, 2)) * spread) @ axis
    found = directions(codes, factor, 2)
    np.testing.assert_allclose(np.abs((found * axis).sum(1)), 1, atol=1e-3)
    assert pca_score(codes, factor, found) == pca_score(codes, factor, -found) == 1
    assert pca_score(codes, factor, found[::-1]) == 0


def test_the_whole_grid_counts_in_whatever_order_and_part_of_it_that_trains():
    codes = standardized(0.02)
    order = np.random.default_rng(5).permutation(len(codes))
    count = len(codes) - 40
    splits = {"train": [0, count], "validation": [count, count + 40], "test": [0, count + 40]}
    images = codes[order].astype(np.float32)[:, None, None, :]
    names = ["shape", "size", "colour", "one"]
    data = prepared(images, factors=FACTORS[order], factor_names=names, splits=splits)
    run = run_of(Linear(torch.eye(3), torch.eye(3), None), data)
    run.latents["train_mean"] = run.latents["train_mean"][:count]
    found = evaluate(run, [SPEC])["disentanglement"]
    assert found["factor_vae"] == found["pca_factor_vae"] == 1
    assert found["mig"] > 0.9


def test_directions_are_the_metrics_own():
    images = standardized(0.02).astype(np.float32)[:, None, None, :]
    data = prepared(images, factors=FACTORS, factor_names=["shape", "size", "colour", "one"])
    names, found = latent_directions(run_of(Linear(torch.eye(3), torch.eye(3), None), data), votes=300)
    assert names == ["shape", "size", "colour"]
    np.testing.assert_allclose(np.abs(found), np.eye(3), atol=0.05)


def test_data_without_factors():
    identity = torch.eye(3)
    run = run_of(Linear(identity, identity, None), prepared(np.zeros((4, 1, 1, 3), np.float32)))
    with pytest.raises(UserError, match=r"made_up.*no known factors"):
        evaluate(run, [SPEC])
