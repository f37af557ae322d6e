"""A study's best methods as plain text, for a terminal: one question at a time."""

from __future__ import annotations

from dataclasses import replace

from vaebench.base.terminal import columns
from vaebench.report.describe import describe
from vaebench.report.entries import DASH, Entry, number
from vaebench.report.questions import Answer, answers
from vaebench.report.results import Results

__all__ = ["best_rows"]

_MARKS = {
    "best": "* not distinguishable from the best (Welch's test of every pair, Holm's correction, 5 %).",
    "single": "° the best of one seed, which decides nothing.",
}


def best_rows(results: Results, n: int = 5) -> str:
    """The ``n`` best methods of each data set for each question, then what is not ranked or shown and why."""
    lines = [f"{results.name}: {results.title}" if results.title != results.name else results.name]
    for dataset in results.study.datasets:
        answered = answers(results, dataset)
        flags = {method: flag for (d, method), flag in results.flags.items() if d == dataset}
        empty = "no method is left to rank" if flags else "nothing evaluated yet"
        lines += ["", dataset if answered else f"{dataset}: {empty}"]
        for answer in answered:
            lines += ["", *_ranking(results, answer, n)]
        if flags:
            reasons = (f"  {results.label(method)}: {flag.reason}" for method, flag in flags.items())
            lines += ["", "Not ranked:", *reasons]
    if results.notice:
        lines += ["", results.notice]
    if found := [words for mark, words in _MARKS.items() if (results.measured["mark"] == mark).any()]:
        lines += ["", *found]
    return "\n".join(lines)


def _ranking(results: Results, answer: Answer, n: int) -> list[str]:
    measured = results.measured[results.measured["dataset"] == answer.dataset]
    entries = {(r.method, r.metric): _marked(r) for r in measured.itertuples()}
    rows = [[answer.question, "mean rank", *(describe(metric).label for metric in answer.metrics)]]
    rows += [_row(results, entries, answer, method, number(rank)) for method, rank in answer.ranking[:n]]
    rows += [_row(results, entries, answer, method, "apart") for method in answer.apart][:n]
    if len(rows) == 1:
        return [f"{answer.question}: no sound method to rank"]
    lines = columns(rows, numbers=True)
    return [lines[0], "-" * len(lines[0]), *lines[1:]]


def _marked(r) -> str:
    return replace(Entry.of(r), mark=r.mark).ours + "*" * (r.mark == "best")


def _row(results: Results, entries: dict, answer: Answer, method: str, rank: str) -> list[str]:
    return [results.label(method), rank, *(entries.get((method, metric), DASH) for metric in answer.metrics)]
