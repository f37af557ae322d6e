"""The best method, one question at a time, among the methods that can answer it.

A mean rank over whichever metrics a method happens to have favours the one that has few: an autoencoder
without a prior is not ranked in what it cannot do. So each question has its own metrics, methods that lack
one of them stand apart, and unsound ones are not ranked.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from vaebench.report.describe import across_networks, describe
from vaebench.report.means import SIGN
from vaebench.report.results import Results

__all__ = ["QUESTIONS", "Answer", "answers"]

_INTERPOLATED = ("recon", "interp_mid", "interp_random")


def _reconstruction(metric: str) -> bool:
    return metric == "mse" or across_networks(metric) == "fid.recon"


def _generation(metric: str) -> bool:
    family, _, images = across_networks(metric).partition(".")
    return family == "prd" or (family == "fid" and images not in _INTERPOLATED)


def _latent_space(metric: str) -> bool:
    scores = ("disentanglement.factor_vae", "disentanglement.mig")
    return metric in ("latent.kl_corrected", "latent.entropy_capped", *scores)


QUESTIONS = {
    "reconstruction": _reconstruction,
    "generation": _generation,
    "latent space": _latent_space,
    "likelihood": lambda metric: metric == "nll",
}
"""Each question and the metrics that answer it."""


@dataclass(frozen=True)
class Answer:
    """The methods in order for one question on one data set.

    Attributes:
        dataset: the data set.
        question: a key of :data:`QUESTIONS`.
        metrics: that it is judged by.
        ranking: (method, mean rank over the metrics among these methods), the best first.
        apart: methods that lack one of the metrics, and which: an autoencoder has no prior to sample from.
        unsound: flagged methods.
    """

    dataset: str
    question: str
    metrics: list[str]
    ranking: list[tuple[str, float]]
    apart: dict[str, list[str]]
    unsound: list[str]


def answers(results: Results, dataset: str) -> list[Answer]:
    """The answers on one data set; none to a question that no metric of the study measured."""
    measured = results.measured[results.measured["dataset"] == dataset]
    answered = []
    for question, asks in QUESTIONS.items():
        rows = measured[[bool(asks(m) and describe(m).better) for m in measured["metric"]]]
        if not rows.empty:
            answered.append(_answer(results, dataset, question, rows))
    return answered


def _answer(results: Results, dataset: str, question: str, rows: pd.DataFrame) -> Answer:
    metrics = list(dict.fromkeys(rows["metric"]))
    values = rows.pivot(index="method", columns="metric", values="mean").reindex(columns=metrics)
    values = values.reindex([m for m in results.study.methods if m in values.index])
    unsound = [method for method in values.index if (dataset, method) in results.flags]
    able = values.drop(index=unsound)
    complete = able.dropna()
    ranks = (complete * [SIGN[describe(m).better] for m in metrics]).rank(method="min").mean(axis=1)
    ranking = [(method, float(rank)) for method, rank in ranks.sort_values(kind="stable").items()]
    lacking = able.drop(index=complete.index).isna()
    apart = {method: [k for k in metrics if lacking.loc[method, k]] for method in lacking.index}
    return Answer(dataset, question, metrics, ranking, apart, unsound)
