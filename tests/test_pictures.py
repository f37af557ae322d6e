"""Maps of latents, and images decoded from latents that were moved."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.distance import pdist
from support.metric_models import Linear, linear_data, orthogonal, prepared, run_of

from vaebench.measure.pictures import decoded, embeddings, write_pictures
from vaebench.measure.pictures.embeddings import metric_mds

WEIGHT = orthogonal(8, 3, (2.0, 1.0, 0.5))
SIZES = (3, 4, 5)
FACTORS = np.indices(SIZES).reshape(3, -1).T
LATENT, SMOOTH, FACTOR = {"name": "latent"}, {"name": "smoothness"}, {"name": "disentanglement", "votes": 60}


def run_with(std: float | None = 0.5, factors: bool = False, prior_scale: float | None = 1.0, **more):
    weight = torch.linalg.pinv(WEIGHT)
    model = Linear(WEIGHT, weight, None if std is None else torch.full((3,), std), prior_scale=prior_scale)
    if factors:
        codes = torch.from_numpy(((FACTORS - FACTORS.mean(0)) / FACTORS.std(0)).astype(np.float32))
        images = (codes @ WEIGHT.T).reshape(-1, 1, 1, 8).numpy()
        data = prepared(images, factors=FACTORS, factor_names=["shape", "size", "hue"])
    else:
        images = np.clip(0.5 + 0.1 * linear_data(60, WEIGHT, 0.0), 0, 1)
        data = prepared(images, labels=np.arange(60) % 10)
    return run_of(model, data, **more)


def names(files) -> set[str]:
    return {path.name for path in files} - {"reconstructions.png", "interpolations.png"}


@pytest.mark.parametrize(("std", "scale"), [(0.5, 1.0), (None, None)])
def test_pictures_follow_from_the_metrics(tmp_path, std, scale):
    run = run_with(std, prior_scale=scale)
    assert names(write_pictures(run, [{"name": "fid"}], tmp_path / "few")) == set()
    few = run_with(std, factors=True, prior_scale=scale)
    assert names(write_pictures(few, [FACTOR], tmp_path / "factors")) == {"traversals.png"}
    found = write_pictures(run, [LATENT, SMOOTH], tmp_path / "all")
    assert names(found) == {"latents-tsne.png", "latents-mds.png", "perturbed.png"}
    for path in found:
        with Image.open(path) as picture:
            picture.verify()
    again = write_pictures(run_with(std, prior_scale=scale), [LATENT, SMOOTH], tmp_path / "again")
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in found]


def test_nothing_is_drawn_of_a_run_that_diverged(tmp_path):
    assert write_pictures(run_with(diverged_at_epoch=1), [LATENT, SMOOTH], tmp_path) == []


def test_latents_that_are_all_the_same_are_drawn(tmp_path):
    run = run_with(None, prior_scale=None)
    run.latents = {name: np.ones_like(codes)[:, :1] for name, codes in run.latents.items()}
    run.model.weight = WEIGHT[:, :1]
    assert "latents-tsne.png" in names(write_pictures(run, [LATENT], tmp_path))


@pytest.mark.parametrize(("std", "scale"), [(3.0, 1.0), (None, 0.5)])
def test_figure_1_is_of_means_beside_a_standard_normal(tmp_path, monkeypatch, std, scale):
    mapped = []
    monkeypatch.setattr(embeddings, "metric_mds", lambda points: mapped.append(points) or points[:, :2])
    run = run_with(std, prior_scale=scale)
    embeddings.draw_mds(run, tmp_path / "mds.png")
    means, normal = mapped
    assert pdist(means).max() == pytest.approx(pdist(run.latents["test_mean"]).max())
    assert normal.std() == pytest.approx(1, abs=0.15)


def test_mds_of_points_in_a_plane_keeps_every_distance():
    rng = np.random.default_rng(0)
    plane = rng.standard_normal((40, 2)) @ np.linalg.qr(rng.standard_normal((6, 2)))[0].T + 3
    found = metric_mds(plane)
    np.testing.assert_allclose(pdist(found), pdist(plane), atol=1e-6)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-9)
    line = np.array([[0.0], [1.0], [4.0]])
    np.testing.assert_allclose(pdist(metric_mds(line)), pdist(line), atol=1e-9)


def test_mds_is_scikit_learns_minimum():
    from sklearn.manifold import smacof

    points = np.random.default_rng(0).standard_normal((60, 5))
    wanted = pdist(points)

    def stress(found):
        return np.square(pdist(found) - wanted).sum()

    from scipy.spatial.distance import squareform

    best, _ = smacof(squareform(wanted), n_init=4, init=None, random_state=0)
    assert stress(metric_mds(points)) < 1.03 * stress(best)
    assert stress(metric_mds(points)) < 0.8 * stress(metric_mds(points, iterations=0))


def test_perturbed_rows_spread_as_their_variance(tmp_path, monkeypatch):
    grids = []
    monkeypatch.setattr(decoded, "save_grid", lambda path, images, columns: grids.append((images, columns)))
    codes, render = [], decoded.render
    monkeypatch.setattr(
        decoded, "render", lambda run, z: codes.append(z.reshape(-1, decoded.IMAGES, 3)) or render(run, z)
    )
    run = run_with()
    decoded.draw_perturbed(run, tmp_path / "perturbed.png")
    ((images, columns),) = grids
    rows = images.reshape(-1, columns, 8)
    shown = np.linspace(0, 59, columns).astype(int)
    assert rows.shape[0] == 8
    np.testing.assert_array_equal(rows[0], run.data.images[shown].reshape(columns, 8))
    (decoded_means,) = run.decode(run.latents["test_mean"][shown])
    np.testing.assert_allclose(rows[1], decoded_means.reshape(columns, 8).clip(0, 1), atol=1e-6)
    moves = (codes[0][1:] - run.latents["test_mean"][shown]).reshape(2, -1)
    np.testing.assert_allclose(np.square(moves).mean(axis=1), [1e-3, 1e-2], rtol=0.5)


def test_traversals_move_along_one_direction(tmp_path, monkeypatch):
    moved = []
    monkeypatch.setattr(
        decoded, "render", lambda run, codes: moved.append(codes) or np.zeros((len(codes), 1, 4, 4))
    )
    run = run_with(None, factors=True)
    decoded.draw_traversals(run, tmp_path / "traversals.png", votes=60)
    assert (tmp_path / "traversals.png").exists()
    codes = run.latents["train_mean"]
    rows = moved[-1].reshape(3, decoded.STEPS, 3)
    for axis, row in enumerate(rows):
        assert np.ptp(row, axis=0).argmax() == axis
        np.testing.assert_allclose(
            np.delete(row, axis, 1), np.delete(row[:1], axis, 1).repeat(11, 0), atol=0.15
        )
        assert np.ptp(row[:, axis]) == pytest.approx(2 * codes[:, axis].std(), rel=0.05)
