"""The papers' folders: their numbers, readings and names."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from vaebench.base.errors import UserError
from vaebench.report.bandwidths import bandwidth_text
from vaebench.report.papers import (
    bandwidths,
    paper_metric,
    paper_values,
    read_paper,
    spell,
    split_sweep,
    unspell,
)
from vaebench.study.papers import paper_folder, paper_keys
from vaebench.study.params import load_params

PAPERS = ("takida2022", "avae2024")
ROOT = Path(__file__).parent.parent


def value(paper, dataset, method, metric):
    frame = paper_values(paper).set_index(["dataset", "method", "metric"])
    return frame.loc[(dataset, method, metric), "value"]


@pytest.mark.parametrize("paper", PAPERS)
def test_every_number_has_one_place(paper):
    frame = paper_values(paper)
    assert not frame[["dataset", "method", "metric", "value"]].isna().any().any()
    assert not frame.duplicated(["dataset", "method", "metric"]).any()


@pytest.mark.parametrize(
    ("paper", "dataset", "method", "metric", "expected"),
    [
        ("takida2022", "mnist", "mle_iso_i", "mse_sampled", 4.40),
        ("takida2022", "mnist", "mle_diag_d", "fid.second_stage", 10.49),
        ("takida2022", "celeba", "mle_iso_d", "fid.gmm100", 40.39),
        ("takida2022", "mnist", "wae_mmd", "fid.interp_random", 12.41),
        ("takida2022", "celebahq", "mle_diag_d", "nll", -103572.99),
        ("takida2022", "mnist", "stochastic_m0_1", "smoothness.els", 6.76),
        ("takida2022", "mnist", "deterministic_0_0", "smoothness.gap_1e-3", 25.3),
        ("takida2022", "mnist", "sigma_z_0_8", "kl", 134.83),
        ("takida2022", "mnist_spatial_conditional_0_1", "mle_diag_d", "variance.SU", 0.11),
        ("takida2022", "mnist_spatial_conditional_0_1", "mle_iso_i", "variance.BL", 0.029),
        ("avae2024", "mnist32", "avae", "fid.prior", 13.27),
        ("avae2024", "mnist32", "rae", "fid.gaussian", 18.79),
        ("avae2024", "cifar10", "avae", "latent.kl_corrected", 24.74),
        ("avae2024", "shapes3d", "avae", "disentanglement.pca_factor_vae", 0.9193),
        ("avae2024", "dsprites", "vae", "disentanglement.mig", 0.07),
        ("avae2024", "dsprites", "vae", "disentanglement.pca_mig", 0.14),
    ],
)
def test_numbers_as_printed(paper, dataset, method, metric, expected):
    assert value(paper, dataset, method, metric) == pytest.approx(expected)


def test_rae_has_no_prior_in_saha_and_an_ae_none_in_takida():
    saha, takida = paper_values("avae2024"), paper_values("takida2022")
    assert saha.query("method == 'rae' and metric == 'fid.prior'").empty
    assert takida.query("method == 'ae' and metric == 'fid.prior'").empty


def test_standard_deviations_are_kept():
    row = paper_values("avae2024").query(
        "dataset == 'mnist32' and method == 'avae' and metric == 'fid.prior'"
    )
    assert row["std"].item() == 0.34


@pytest.mark.parametrize(
    ("paper", "dataset", "method", "column", "rounding"),
    [
        ("avae2024", "prior", "l10_m1000", "h_opt", (0.005, 0)),  # 0.70
        ("avae2024", "cifar10", "avae", "whitened_entropy", (0.005, 0.005)),  # 55.64 ± 0.00
        ("avae2024", "dsprites", "vae", "factor_vae_axes", (5e-5, 5e-5)),  # 64.80 ± 7.50 percent
        ("pythae2022", "celeba", "wae_mmd", "fid", (0.5, 0)),  # 55
        ("takida2022", "mnist", "sigma_z_1_0", "mi_bound", (5e-5, 0)),  # 8.0e-3
    ],
)
def test_a_number_may_have_been_rounded_by_half_a_unit_of_its_last_digit(
    paper, dataset, method, column, rounding
):
    values = paper_values(paper).set_index(["dataset", "method", "column"])
    found = values.loc[(dataset, method, column), ["rounding", "std_rounding"]]
    assert found.tolist() == pytest.approx(rounding)


def test_no_paper_number_is_a_classifier_distance():
    for paper in PAPERS:
        assert not paper_values(paper)["metric"].str.startswith("fd_classifier").any()
    assert paper_metric("fd_classifier.prior") == "fd_classifier.prior"
    assert paper_metric("fid.vae2") == "fid.second_stage"


def test_unknown_paper_is_named():
    with pytest.raises(UserError, match="kingma2014"):
        paper_values("kingma2014")


def test_names():
    assert (spell(-0.1), spell("1.0")) == ("m0_1", "1_0")
    assert read_paper("avae2024").dataset("mnist") == "mnist32"
    assert read_paper("takida2022").dataset("mnist") == "mnist"


def test_methods_that_a_study_calls_otherwise():
    takida = read_paper("takida2022")
    assert read_paper("avae2024").method("wae") == "wae_mmd"
    assert takida.method("eps_1e3_warm") == "mle_diag_d"
    assert takida.method("eps_1e3_warm", one_to_one=True) == "eps_1e3_warm"
    assert takida.method("wae") == "wae"


def test_a_sweeps_methods_spell_their_level():
    assert split_sweep("sigma_z_m0_5") == ("sigma_z", -0.5)
    assert split_sweep("sigma_1__kl") is None
    assert unspell(spell(-0.7)) == -0.7


def test_the_error_of_a_random_encoding_is_from_a_draw():
    frame = paper_values("takida2022")
    of = {
        key: set(rows["metric"]) & {"mse", "mse_sampled"} for key, rows in frame.groupby(["table", "method"])
    }
    assert of["1", "stochastic_m0_5"] == of["E.8", "sigma_z_1_0"] == {"mse_sampled"}
    assert of["4", "vae_gaussian"] == of["6", "mle_diag_d"] == {"mse_sampled"}
    assert of["1", "deterministic_m0_5"] == of["4", "wae_mmd"] == of["6", "rae"] == {"mse"}


def test_bandwidths_beside_the_papers():
    rows = [
        {"latent_dim": 20, "samples": 1000, "h_opt": 0.864, "h_corrected": 0.654, "error": 0.001},
        {"latent_dim": 20, "samples": 5000, "h_opt": 0.8071, "h_corrected": 0.628, "error": 0.001},
        {"latent_dim": 100, "samples": 1000, "h_opt": 1.14, "h_corrected": 0.752, "error": 0.001},
        {"latent_dim": 100, "samples": 5000, "h_opt": 1.11, "h_corrected": 0.743, "error": 0.001},
    ]
    first, second = bandwidth_text(rows).split("Table II")
    assert "0.86 (0.86)" in first
    assert "1.14 (> 1.0)" in first
    assert "1 of the paper's 2 numbers agree" in first
    assert "l = 20, m = 5000: 0.8071, 0.0021 outside what rounds to 0.80" in first
    assert "0.74 (0.74)" in second
    assert "3 of the paper's 4 numbers agree" in second


def test_bandwidths_of_tables_i_and_ii():
    frame = bandwidths().set_index(["latent_dim", "kde_samples"])
    assert frame.loc[(20, 1000), "h_opt"] == 0.86
    assert pd.isna(frame.loc[(100, 500), "h_opt"])
    assert frame.loc[(100, 500), "h_corrected"] == 0.76


def test_the_third_paper_is_a_folder_and_a_study_alone():
    assert {"takida2022", "avae2024", "pythae2022"} <= set(paper_keys())
    assert value("pythae2022", "mnist", "rae_l2", "fid.gmm10") == 9.9
    assert value("pythae2022", "celeba", "wae_mmd", "fid.prior") == 55
    study = load_params(ROOT / "studies" / "pythae_celeba.yaml", specs=()).study
    assert {read_paper(study.paper).method(name) for name in study.methods} == {"wae_mmd", "aae"}


def test_a_package_brings_a_paper_by_an_entry_point(tmp_path, monkeypatch):
    folder = tmp_path / "brings_papers" / "kingma2014"
    shutil.copytree(paper_folder("pythae2022"), folder)
    (folder.parent / "__init__.py").touch()
    (folder / "__init__.py").touch()
    metadata = tmp_path / "brings_papers-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: brings_papers\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[vaebench.paper]\nkingma2014 = brings_papers.kingma2014\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "kingma2014" in paper_keys()
    assert paper_folder("kingma2014") == folder
    assert read_paper("kingma2014").name == "pythae"
