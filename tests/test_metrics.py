"""Runs, and the metrics that compare images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from support.metric_models import Linear, Normal, linear_data, orthogonal, pixels, prepared, run_of

from vaebench.base.errors import UserError
from vaebench.data.noise import partitions
from vaebench.measure.interpolation import interpolate
from vaebench.measure.metrics import METRICS
from vaebench.measure.metrics.prd import curve, f_pair
from vaebench.measure.metrics.similarity import psnr, ssim
from vaebench.measure.pictures.grids import LEAST, save_grid, write_grids
from vaebench.measure.run import evaluate
from vaebench.model.likelihoods.gaussian import GaussianLikelihood
from vaebench.report.papers import paper_metric, paper_values

WEIGHT = orthogonal(6, 2, (2.0, 0.5))


def autoencoder(std: torch.Tensor | None = None) -> Linear:
    return Linear(WEIGHT, torch.linalg.pinv(WEIGHT), std)


@pytest.fixture
def images():
    """Data on the model's plane, so that it is reconstructed exactly."""
    return linear_data(300, WEIGHT, 0.0)


def test_interpolation_on_the_sphere():
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 50, 5))
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    t = rng.uniform(size=50)
    middle = interpolate(a, b, t)
    np.testing.assert_allclose(np.linalg.norm(middle, axis=1), 1, rtol=1e-5)
    whole, part = (np.arccos((a * x).sum(1)) for x in (b, middle))
    np.testing.assert_allclose(part, t * whole, atol=1e-4)
    np.testing.assert_allclose(interpolate(a, b, np.zeros(50)), a, atol=1e-6)
    np.testing.assert_allclose(interpolate(a, b, np.ones(50)), b, atol=1e-6)


def test_interpolation_is_linear_where_there_is_no_arc():
    a = np.array([[1.0, 2.0], [0.0, 0.0], [1.0, 0.0]])
    b = np.array([[2.0, 4.0], [4.0, 0.0], [-3.0, 0.0]])
    np.testing.assert_allclose(interpolate(a, b, np.full(3, 0.25)), 0.75 * a + 0.25 * b, rtol=1e-6)


def test_fid_of_exact_reconstructions_is_zero_and_absent_densities_are_absent(images):
    densities = {"prior": None, "good": Normal(2), "bad": Normal(2, shift=3.0)}
    # Images are cut to [0, 1] on the way out, and these values reach from −10 to 10.
    data = prepared(images / 20 + 0.5, value_range=[-10, 10])
    run = run_of(autoencoder(), data, reference=pixels(data.images), densities=densities, samples=2000)
    result = evaluate(run, [{"name": "fid"}])["fd_classifier"]
    assert set(result) == {"recon", "interp_mid", "interp_random", "good", "bad"}
    assert result["recon"] == pytest.approx(0, abs=1e-6)
    assert result["good"] < result["interp_mid"] < result["bad"]
    exactly = 3.0**2 * (WEIGHT.sum(1) ** 2).sum().item() / 20**2
    assert result["bad"] == pytest.approx(exactly, rel=0.1)


def test_interpolations_are_of_different_images_and_at_the_right_ratio(images):
    run = run_of(autoencoder(), prepared(images[:2]), samples=400)
    a, b = run.latents["test_mean"]
    middle = run.codes("interp_mid")
    np.testing.assert_allclose(
        middle, np.broadcast_to(interpolate(a[None], b[None], np.array([0.5])), (400, 2)), rtol=1e-5
    )
    assert len(np.unique(run.codes("interp_random"), axis=0)) == 400


def test_images_are_compared_in_the_precision_they_are_stored_in(images):
    run = run_of(autoencoder(), prepared((np.clip(images, 0, 1) * 255).astype(np.uint8)))
    (rendered,) = run.render(np.array([[0.3, -0.2]], np.float32))
    decoded = WEIGHT @ torch.tensor([0.3, -0.2])
    assert rendered.dtype == torch.uint8
    np.testing.assert_array_equal(rendered.flatten(), (decoded.clamp(0, 1) * 255).round())
    (floats,) = run_of(autoencoder(), prepared(images)).render(np.array([[0.3, -0.2]], np.float32))
    np.testing.assert_allclose(floats.flatten(), decoded.clamp(0, 1), rtol=1e-6)


def test_at_most_so_many_test_images_are_reconstructed(images):
    run = run_of(autoencoder(), prepared(images), samples=40)
    codes = run.codes("recon")
    assert len(np.unique(codes, axis=0)) == 40
    run.samples = 1000
    np.testing.assert_array_equal(run.codes("recon"), run.latents["test_mean"])


def test_evaluation_depends_on_the_seed_alone(images):
    def result(names, seed=0):
        run = run_of(
            autoencoder(torch.full((2,), 0.5)), prepared(images), reference=pixels(images),
            densities={"prior": Normal(2)}, samples=200, seed=seed,
        )  # fmt: skip
        torch.manual_seed(len(names))
        return evaluate(run, [{"name": name} for name in names])

    names = ["reconstruction", "fid", "smoothness", "prd", "variance"]
    assert result(names) == result(names[::-1])
    assert result(["fid"])["fd_classifier"] == result(names)["fd_classifier"]
    assert result(names, seed=1)["smoothness"] != result(names)["smoothness"]


def test_each_set_of_images_is_extracted_once_and_never_held_whole(images):
    run = run_of(
        autoencoder(), prepared(images), reference=pixels(images), densities={"prior": Normal(2)},
        samples=200, batch_size=30,
    )  # fmt: skip
    network, seen = run.reference.network, []

    def recording(x):
        seen.append(len(x))
        return network(x)

    run.reference = replace(run.reference, network=recording)
    evaluate(run, [{"name": "fid"}, {"name": "prd"}])
    assert sum(seen) == 200 * len(["recon", "interp_mid", "interp_random", "prior"])
    assert max(seen) <= 30


def test_a_run_that_diverged_has_no_metrics(images):
    run = run_of(autoencoder(), prepared(images), diverged_at_epoch=3)
    assert evaluate(run, [{"name": "reconstruction"}]) == {"diverged_at_epoch": 3}


def test_values_that_are_not_finite_are_left_out(images):
    broken = {"a": {"b": float("nan"), "c": np.float32(2)}, "d": {"e": float("inf")}}
    more = {"a": {"x": np.int64(3)}}
    with METRICS.adding("broken", lambda run: broken), METRICS.adding("more", lambda run: more):
        result = evaluate(run_of(autoencoder(), prepared(images)), [{"name": "broken"}, {"name": "more"}])
    assert result == {"a": {"c": 2.0, "x": 3}}
    assert [type(value) for value in result["a"].values()] == [float, int]


def test_an_unknown_option_says_what_is_allowed(images):
    with pytest.raises(UserError, match="images"):
        METRICS.check({"name": "nll", "imges": 5}, "evaluation.metrics.0")


def test_features_need_a_reference(images):
    with pytest.raises(UserError, match=r"evaluation\.features"):
        evaluate(run_of(autoencoder(), prepared(images), densities={"prior": Normal(2)}), [{"name": "prd"}])


def test_reconstruction_in_closed_form():
    images = linear_data(4000, WEIGHT, 0.25)
    std = torch.tensor([0.5, 2.0])
    run = run_of(autoencoder(std), prepared(images))
    result = evaluate(run, [{"name": "reconstruction"}])
    flat = torch.from_numpy(images).flatten(1)
    rest = (flat - flat @ torch.linalg.pinv(WEIGHT).T @ WEIGHT.T).square().sum(1).mean().item()
    extra = ((WEIGHT**2).sum(0) * std**2).sum().item()
    mean = flat @ torch.linalg.pinv(WEIGHT).T
    kl = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, std), torch.distributions.Normal(0.0, 1.0)
    )
    assert result["mse"] == pytest.approx(rest, rel=1e-5)
    assert result["mse_pixel"] == pytest.approx(rest / 6, rel=1e-5)
    assert result["mse_mean_image"] == pytest.approx(images.var(0).sum(), rel=1e-5)
    assert result["kl_se"] == pytest.approx(kl.sum(1).std().item() / 4000**0.5, rel=1e-5)
    assert result["mse_sampled"] == pytest.approx(rest + extra, rel=0.05)
    assert result["kl"] == pytest.approx(kl.sum(1).mean().item(), rel=1e-5)


def test_reconstruction_of_a_deterministic_posterior_and_of_a_few_images(images):
    shifted = np.concatenate([images, images + 1])
    run = run_of(autoencoder(), prepared(shifted, splits={"train": [300, 600], "test": [0, 300]}))
    found = set(evaluate(run, [{"name": "reconstruction"}]))
    assert found >= {"mse", "mse_se", "mse_pixel", "active_units"}
    assert not found & {"mse_sampled", "mse_sampled_se", "kl", "kl_se"}
    assert evaluate(run, [{"name": "reconstruction"}])["mse"] == pytest.approx(0, abs=1e-8)
    few = evaluate(run, [{"name": "reconstruction", "split": "train", "images": 7}])
    ones = torch.ones(6)
    expected = (ones - WEIGHT @ torch.linalg.pinv(WEIGHT) @ ones).square().sum().item()
    assert few["mse"] == pytest.approx(expected, rel=1e-4)


def test_variance_by_partition():
    rng = np.random.default_rng(0)
    labels = np.arange(90) % 10
    images = rng.standard_normal((90, 1, 4, 4)).astype(np.float32)
    images[:, :, :2] *= np.where(labels < 5, 3.0, 1.0).astype(np.float32)[:, None, None, None]
    model = Linear(torch.zeros(16, 1), torch.zeros(1, 16), None)
    model.shape = (1, 4, 4)
    model.likelihood = GaussianLikelihood((1, 4, 4), "identity", variance="mle", shape="diag_d")
    result = evaluate(run_of(model, prepared(images, labels, noise={})), [{"name": "variance"}])["variance"]
    masks = partitions(labels, (1, 4, 4))
    for name, (rows, where) in masks.items():
        assert result[name] == pytest.approx((images[rows][:, where] ** 2).mean() + 1e-6, rel=1e-5)
    assert result["overall"] == pytest.approx((images**2).mean() + 1e-6, rel=1e-5)
    assert result["SU"] > 4 * result["BL"]
    clean = evaluate(run_of(model, prepared(images, labels)), [{"name": "variance"}])
    assert set(clean["variance"]) == {"overall"}


def test_variance_of_the_training_images():
    """Iso-D's is the image's own, so the split shows; Iso-I's is that of the training set on either."""
    images = np.concatenate([np.full((20, 1, 1, 6), 0.5), np.full((10, 1, 1, 6), 0.1)]).astype(np.float32)
    data = prepared(images, splits={"train": [0, 20], "test": [20, 30]})
    model = Linear(torch.zeros(6, 1), torch.zeros(1, 6), None)
    model.likelihood = GaussianLikelihood((1, 1, 6), "identity", variance="mle", shape="iso_d")
    for split, expected in (("train", 0.25), ("test", 0.01)):
        found = evaluate(run_of(model, data), [{"name": "variance", "split": split}])
        assert found["variance"]["overall"] == pytest.approx(expected, rel=1e-4)


def test_active_units_are_dimensions_whose_mean_varies():
    weight = torch.eye(6)[:, :3]
    images = linear_data(2000, weight, 0.01)
    encoder = torch.diag(torch.tensor([1.0, 0.05, 0.5])) @ weight.T  # variances 1, 0.0025, 0.25
    run = run_of(Linear(weight, encoder, torch.ones(3)), prepared(images))
    assert evaluate(run, [{"name": "reconstruction"}])["active_units"] == 2


def test_psnr_and_structural_similarity():
    first, second = torch.rand(2, 3, 1, 11, 11, generator=torch.Generator().manual_seed(0)).double()
    at = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(at, at) / at.sum() ** 2
    for a, b, found in zip(first[:, 0].numpy(), second[:, 0].numpy(), ssim(first, second), strict=True):
        mean_a, mean_b = (window * a).sum(), (window * b).sum()
        var_a, var_b = (window * (a - mean_a) ** 2).sum(), (window * (b - mean_b) ** 2).sum()
        both = (window * (a - mean_a) * (b - mean_b)).sum()
        expected = (2 * mean_a * mean_b + 1e-4) * (2 * both + 9e-4)
        expected /= (mean_a**2 + mean_b**2 + 1e-4) * (var_a + var_b + 9e-4)
        assert found.item() == pytest.approx(expected, rel=1e-9)
    torch.testing.assert_close(ssim(first, first), torch.ones(3, dtype=torch.float64))
    assert ssim(first[..., :10], second[..., :10]).isnan().all()
    torch.testing.assert_close(psnr(first * 0, first * 0 + 0.1), torch.full((3,), 20.0, dtype=torch.float64))


def test_structural_similarity_is_scikit_images():
    """structural_similarity of scikit-image 0.26 with Wang et al.'s window, as its manual says to get it."""
    i = torch.arange(24 * 24, dtype=torch.float64).view(1, 1, 24, 24)
    first = ((i / 7).sin() + 1) / 2
    second = (0.8 * first + 0.1 * (i / 3).cos()).clamp(0, 1)
    assert ssim(first, second).item() == pytest.approx(0.9217124296527285, rel=1e-9)


def test_no_variance_without_a_gaussian(images):
    model = autoencoder()
    model.likelihood.variance = lambda raw, x: None
    assert evaluate(run_of(model, prepared(images)), [{"name": "variance"}]) == {}


def test_precision_and_recall_of_known_histograms():
    same = np.array([0.5, 0.3, 0.2])
    assert f_pair(*curve(same, same)) == pytest.approx((1, 1), abs=1e-3)
    assert f_pair(*curve(np.array([1.0, 0.0]), np.array([0.0, 1.0]))) == (0, 0)
    precision, recall = f_pair(*curve(np.array([1.0, 0.0]), np.array([0.5, 0.5])))
    # All samples are in one of two modes: precision 1 is reached at recall ½ and recall never passes ½.
    assert precision == pytest.approx((1 + 1 / 64) * 0.5 / (1 / 64 + 0.5), abs=1e-3)
    assert recall == pytest.approx(65 * 0.5 / (64 + 0.5), abs=1e-3)


def test_prd_of_the_real_and_of_other_images(images):
    unit = (images - images.min()) / (images.max() - images.min())

    def prd(fake: np.ndarray) -> dict:
        run = run_of(
            autoencoder(), prepared(images), reference=pixels(unit), densities={"gaussian": Normal(2)}
        )
        run._features["gaussian"] = fake.reshape(len(fake), -1)
        return evaluate(run, [{"name": "prd"}])["prd_classifier"]

    assert prd(unit) == pytest.approx({"precision": 1, "recall": 1}, abs=0.02)
    assert prd(unit + 100) == pytest.approx({"precision": 0, "recall": 0}, abs=1e-6)
    one_mode = prd(np.repeat(unit[:1], 300, axis=0))
    assert one_mode["precision"] > 5 * one_mode["recall"]


@pytest.mark.parametrize(("kind", "name"), [("inception", "prd"), ("classifier", "prd_classifier")])
def test_precision_and_recall_are_named_by_their_features(images, kind, name):
    reference = replace(pixels(images), kind=kind)
    run = run_of(autoencoder(), prepared(images), reference=reference, densities={"prior": Normal(2)})
    assert set(evaluate(run, [{"name": "prd"}])) == {name}
    papers = {paper_metric(f"{name}.precision"), paper_metric(f"{name}.recall")}
    printed = set(paper_values("avae2024")["metric"])
    assert (papers <= printed) == (kind == "inception")


def test_distances_over_draws_have_a_mean_and_its_error(images):
    run = run_of(
        autoencoder(), prepared(images), reference=pixels(images), densities={"prior": Normal(2)}, samples=50
    )
    first = evaluate(run, [{"name": "fid"}])["fd_classifier"]
    found = evaluate(run, [{"name": "fid", "draws": 6}, {"name": "prd", "draws": 3}])
    distances = found["fd_classifier"]
    each = [run.reference.distance(run.features("prior", draw)) for draw in range(6)]
    assert each[0] == first["prior"]
    assert len(set(each)) == 6
    assert distances["prior"] == pytest.approx(np.mean(each))
    assert distances["prior_se"] == pytest.approx(np.std(each, ddof=1) / 6**0.5)
    assert distances.keys() == first.keys() | {f"{kind}_se" for kind in first}
    assert found["prd_classifier"].keys() == {"precision", "precision_se", "recall", "recall_se"}
    whole = replace(run, samples=len(images))
    assert "recon_se" not in evaluate(whole, [{"name": "fid", "draws": 2}])["fd_classifier"]


def test_no_prd_without_a_density_to_sample(images):
    run = run_of(autoencoder(), prepared(images), reference=pixels(images), densities={"prior": None})
    assert evaluate(run, [{"name": "prd"}]) == {}


def test_grid_places_images_row_by_row(tmp_path):
    images = np.linspace(0, 1, 5)[:, None, None, None] * np.ones((5, 3, LEAST, LEAST))
    save_grid(tmp_path / "grid.png", images, columns=3)
    grid = np.asarray(Image.open(tmp_path / "grid.png"))
    assert grid.shape == (2 * LEAST + 2, 3 * LEAST + 4, 3)
    assert [int(grid[0, (LEAST + 2) * i, 0]) for i in range(3)] == [0, 64, 128]
    assert [int(grid[LEAST + 2, (LEAST + 2) * i, 0]) for i in range(3)] == [191, 255, 255]
    assert (grid[LEAST : LEAST + 2] == 255).all()


def test_grids_of_a_model(tmp_path, images):
    pictures = (np.clip(images, 0, 1) * 255).astype(np.uint8)
    densities = {"prior": None, "gmm10": Normal(2)}
    run = run_of(autoencoder(), prepared(pictures), densities=densities)
    files = write_grids(run, tmp_path)
    assert sorted(p.name for p in files) == ["interpolations.png", "reconstructions.png", "samples-gmm10.png"]
    grid = np.asarray(Image.open(tmp_path / "reconstructions.png"))
    scale = LEAST
    np.testing.assert_array_equal(grid[0, : 6 * scale : scale], pictures[0, 0, 0])
    (below,) = run.render(run.latents["test_mean"][:1])
    np.testing.assert_array_equal(grid[scale + 2, : 6 * scale : scale], below.flatten())
    other = run_of(autoencoder(), prepared(pictures), densities=densities, seed=5)
    write_grids(other, tmp_path / "other")
    read = [(tmp_path / p / "interpolations.png").read_bytes() for p in (".", "other")]
    assert read[0] == read[1]
    run.diverged_at_epoch = 1
    assert write_grids(run, tmp_path / "diverged") == []


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "returned None"),
        (3.0, "returned 3.0"),
        ({"score": "high"}, "'high' as score"),
        ({"a": {"b": None}}, "None as a.b"),
        ({"score": np.ones(2)}, "as score"),
        ({"mse": 1.0}, "mse, which another metric"),
        ({"latent": 1.0}, "latent, which another metric"),
        ({"latent": {"kl": 1.0}}, "latent.kl, which another metric"),
    ],
)
def test_a_metric_that_returns_no_numbers_of_its_own_is_named(images, result, message):
    first = {"mse": 0.5, "latent": {"kl": 2}}
    with (
        METRICS.adding("first", lambda run: first),
        METRICS.adding("mine", lambda run: result),
        pytest.raises(UserError, match=rf"metric 'mine' .*{message}"),
    ):
        evaluate(run_of(autoencoder(), prepared(images)), [{"name": "first"}, {"name": "mine"}])


def test_numbers_of_every_library_are_numbers(images):
    values = {"a": np.float32(0.5), "b": torch.tensor(2), "c": np.int64(3), "d": True, "e": float("nan")}
    with METRICS.adding("mine", lambda run: values):
        found = evaluate(run_of(autoencoder(), prepared(images)), [{"name": "mine"}])
    assert found == {"a": 0.5, "b": 2, "c": 3, "d": 1}
    assert [type(value) for value in found.values()] == [float, int, int, int]


def test_a_part_within_another_counts_once(monkeypatch):
    from vaebench.measure import clock as module

    now = iter([0.0, 1.0, 4.0, 6.0, 10.0, 11.0])  # fid, features in it twice for 3 and 4 s
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(now))
    clock = module.Clock()
    with clock.part("fid"):
        for _ in range(2):
            with clock.part("features"):
                pass
    assert clock.seconds == {"features": 7.0, "fid": 4.0}
