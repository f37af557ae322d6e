"""The two papers' result tables, one tidy frame in this package's own names.

A study is compared by name: its data sets and methods are called as in ``papers/*.csv``
(``mnist``/``mle_iso_i``, ``mnist32``/``avae``; :func:`paper_method` knows the exceptions). Where a paper's
row is a number, the name spells it with ``_`` for the point and ``m`` for minus, so that it can be part of
a path:

| table | data set | method |
| --- | --- | --- |
| Takida 1 | ``mnist`` | ``stochastic_0_0`` … ``stochastic_m1_0``, ``deterministic_0_0`` … (log10 σx²) |
| Takida 3 | ``mnist_<pattern>_0_01``, ``mnist_<pattern>_0_1`` | ``mle_iso_i`` … ``mle_diag_d`` |
| Takida E.8 | ``mnist`` | ``sigma_z_1_0`` … ``sigma_z_m1_0`` (log10 σz²) |

Readings that are ours: Takida's tables print E‖x′ − x‖² with x′ decoded from z ~ q(z|x), so theirs is
``mse_sampled`` where the encoding is stochastic and ``mse`` where it is not. Saha's ``INT.`` is compared with
midpoints; RAE's samples are drawn from one Gaussian, so its third column is ``fid.gaussian``; Table V,
"accounting for known biases", is compared with the KL to each method's own prior, AVAE's N(0, (1 − h²)I);
Table VI is compared with the capped entropy, which is what the authors' code computes; FactorVAE's
percentages become shares; an estimated variance that the paper prints for a union of partitions stands beside
each of them.

    >>> frame = paper_values("takida2022")
    >>> frame.query("dataset == 'mnist' and method == 'mle_iso_i' and metric == 'mse_sampled'").value.item()
    4.4
"""

from __future__ import annotations

import functools
import math
import re
from importlib.resources import files

import pandas as pd

from vaebench.base.errors import UserError

__all__ = [
    "PAPERS",
    "bandwidths",
    "paper_dataset",
    "paper_method",
    "paper_metric",
    "paper_values",
    "spell",
    "split_sweep",
    "unspell",
]

PAPERS = {
    "takida2022": "Takida et al., Preventing Oversmoothing in VAE via Generalized Variance Parameterization, "
    "Neurocomputing 2022",
    "avae2024": "Saha, Joshi, Whitaker, Matching aggregate posteriors in the variational autoencoder, "
    "ICPR 2024",
}

COLUMNS = ["paper", "table", "dataset", "method", "metric", "value", "std"]

_METRICS = {
    "mse": "mse",
    "kl": "kl",
    "nll_iwae500": "nll",
    "fid_prior": "fid.prior",
    "fid_vae2": "fid.second_stage",
    "fid_gmm10": "fid.gmm10",
    "fid_gmm100": "fid.gmm100",
    "fid_interp_mid": "fid.interp_mid",
    "fid_interp_random": "fid.interp_random",
    "fid_recon": "fid.recon",
    "fid_interp": "fid.interp_mid",
    "prd_precision": "prd.precision",
    "prd_recall": "prd.recall",
    "kl_aggregate_prior": "latent.kl_corrected",
    "whitened_entropy": "latent.entropy_capped",
    "factor_vae": "disentanglement.pca_factor_vae",
    "mig": "disentanglement.pca_mig",
    "sigma_z2": "smoothness.sigma_z2",
    "mi_bound": "smoothness.mi_bound",
    "gap_1e-2": "smoothness.gap_1e-2",
    "gap_1e-3": "smoothness.gap_1e-3",
    "els": "smoothness.els",
}

_SYNONYMS = {
    "fid.vae2": "fid.second_stage",
    "fid.gmm_10": "fid.gmm10",
    "fid.gmm_100": "fid.gmm100",
    "sigma_z2": "smoothness.sigma_z2",
    "latent.sigma_z2": "smoothness.sigma_z2",
}

_DETERMINISTIC = ("ae", "wae_mmd", "rae", "rae_gp")
"""The rows of Takida's Tables 4 and 6 whose encoder gives one z for an image."""


def paper_metric(path: str) -> str:
    """The name under which :func:`paper_values` holds a metric of ours.

    A Fréchet distance on a classifier's features has none: it is not the papers' FID.
    """
    return _SYNONYMS.get(path, path)


def paper_dataset(paper: str | None, dataset: str) -> str:
    """The paper's name of a data set: Saha et al. pad MNIST to 32 × 32, and the CSV calls that mnist32."""
    return "mnist32" if paper == "avae2024" and dataset == "mnist" else dataset


def paper_method(paper: str | None, method: str, one_to_one: bool = False) -> str:
    """The paper's name of a method.

    ``wae`` is Saha's ``wae_mmd``. Points on the ε of MLE Diag-D, ``eps_…``, all stand beside Takida's
    ``mle_diag_d``, unless the answer must be ``one_to_one``.
    """
    if paper == "takida2022" and method.startswith("eps_") and not one_to_one:
        return "mle_diag_d"
    return "wae_mmd" if paper == "avae2024" and method == "wae" else method


def spell(number: float | str) -> str:
    """A number as part of a name: -0.1 is ``m0_1``."""
    return f"{number}".replace("-", "m").replace(".", "_")


def unspell(name: str) -> float:
    """The number that :func:`spell` wrote."""
    return float(name.replace("m", "-").replace("_", "."))


def split_sweep(method: str) -> tuple[str, float] | None:
    """A method of a sweep over log10 σ² as its kind and its level; None for any other.

    >>> split_sweep("stochastic_m0_5"), split_sweep("mle_iso_i")
    (('stochastic', -0.5), None)
    """
    match = re.fullmatch(r"(stochastic|deterministic|sigma_z)_(m?\d+_\d+)", method)
    return (match[1], unspell(match[2])) if match else None


@functools.cache
def paper_values(paper: str | None) -> pd.DataFrame:
    """Every number of one paper: ``paper, table, dataset, method, metric, value, std``, one a row.

    ``metric`` is our path, ``table`` the paper's own numbering, ``std`` NaN where none is printed. Without
    a paper the frame is empty.
    """
    if paper is None:
        return pd.DataFrame(columns=COLUMNS)
    if paper not in PAPERS:
        raise UserError(f"no numbers are stored for the paper {paper!r}; there are: {', '.join(PAPERS)}.")
    tables = [_READERS[key](_read(key)) for key in _READERS if key.startswith(paper)]
    frame = pd.concat(tables, ignore_index=True)
    frame["paper"] = paper
    return frame[COLUMNS]


def bandwidths() -> pd.DataFrame:
    """Saha's Tables I and II: ``latent_dim, kde_samples, h_opt, h_corrected``; h_opt NaN where "> 1.0"."""
    frame = _read("avae2024_table1_2")
    frame["h_opt"] = pd.to_numeric(frame["h_opt"], errors="coerce")
    return frame.astype({"latent_dim": int, "kde_samples": int, "h_corrected": float})


def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(str(files("vaebench.report") / "papers" / f"{name}.csv"), dtype=str)


def _tidy(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    metric = frame["metric"].map(_METRICS)
    return pd.DataFrame(
        {
            "table": table,
            "dataset": frame["dataset"],
            "method": frame["method"],
            "metric": metric,
            "value": frame["value"].astype(float),
            "std": pd.to_numeric(frame.get("std", math.nan)),
        }
    )


def _plain(table: str):
    return lambda frame: _tidy(frame, table)


def _smoothness(frame: pd.DataFrame) -> pd.DataFrame:
    method = frame["encoding"] + "_" + frame["log10_sigma_x2"].map(spell)
    return _sampled(_tidy(frame.assign(dataset="mnist", method=method), "1"))


def _fixed_posterior(frame: pd.DataFrame) -> pd.DataFrame:
    method = "sigma_z_" + frame["log10_sigma_z2"].map(spell)
    return _sampled(_tidy(frame.assign(dataset="mnist", method=method), "E.8"))


def _generation(table: str):
    return lambda frame: _sampled(_tidy(frame, table))


def _sampled(tidy: pd.DataFrame) -> pd.DataFrame:
    stochastic = ~(tidy["method"].str.startswith("deterministic") | tidy["method"].isin(_DETERMINISTIC))
    tidy.loc[stochastic & (tidy["metric"] == "mse"), "metric"] = "mse_sampled"
    return tidy


def _noise(frame: pd.DataFrame) -> pd.DataFrame:
    each = frame.assign(partition=frame["partitions"].str.split("+")).explode("partition")
    pattern = each["noise_pattern"].str.replace("-", "_")
    return pd.DataFrame(
        {
            "table": "3",
            "dataset": "mnist_" + pattern + "_" + each["noise_variance"].map(spell),
            "method": "mle_" + each["parameterization"],
            "metric": "variance." + each["partition"],
            "value": each["estimated_variance"].astype(float),
            "std": math.nan,
        }
    )


def _saha_fid(frame: pd.DataFrame) -> pd.DataFrame:
    tidy = _tidy(frame, "III")
    tidy.loc[(tidy["method"] == "rae") & (tidy["metric"] == "fid.prior"), "metric"] = "fid.gaussian"
    return tidy


def _saha_disentanglement(frame: pd.DataFrame) -> pd.DataFrame:
    tidy = _tidy(frame, "VII")
    on_axes = tidy["method"].str.endswith("_axis_aligned")
    tidy = tidy[~(on_axes & (tidy["metric"] == "mse"))].copy()
    on_axes = tidy["method"].str.endswith("_axis_aligned")
    tidy.loc[on_axes, "metric"] = tidy.loc[on_axes, "metric"].str.replace("pca_", "")
    tidy["method"] = tidy["method"].str.removesuffix("_axis_aligned")
    share = tidy["metric"].str.endswith("factor_vae")
    tidy.loc[share, ["value", "std"]] /= 100
    return tidy


_READERS = {
    "takida2022_table1": _smoothness,
    "takida2022_table3": _noise,
    "takida2022_table4": _generation("4"),
    "takida2022_table5": _plain("5"),
    "takida2022_table6": _generation("6"),
    "takida2022_table7": _plain("7"),
    "takida2022_tableE8": _fixed_posterior,
    "avae2024_table3": _saha_fid,
    "avae2024_table4": _plain("IV"),
    "avae2024_table5": _plain("V"),
    "avae2024_table6": _plain("VI"),
    "avae2024_table7": _saha_disentanglement,
}
