"""Verdicts on a paper's claims: by a study, by numbers alone, and by the numbers that the paper prints."""

from __future__ import annotations

import contextlib
import functools
import math
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from vaebench.base.errors import UserError
from vaebench.report.claims.claim import Claim, paper_claims
from vaebench.report.claims.comparison import Judgement, Key, judge_groups
from vaebench.report.claims.numbers import SECONDS, as_printed, measured, timing
from vaebench.report.claims.protocol import schedule_share, shared_machine, shortfalls, unknown_images
from vaebench.report.papers import Paper, read_paper
from vaebench.report.results import Results
from vaebench.report.statistics import Sample
from vaebench.study.papers import paper_keys

__all__ = ["STATUSES", "PaperVerdict", "Verdict", "judge", "judge_numbers", "judge_printed", "needs"]

Status = Literal["holds", "does not hold", "undecided", "not measured", "not a matter of numbers"]

STATUSES: tuple[Status, ...] = typing.get_args(Status)
"""The verdicts, from what is decided to what numbers cannot decide."""

_SHOWN = 7
"""So many names are listed of what is needed."""


@dataclass(frozen=True)
class PaperVerdict:
    """A claim judged on what its paper prints.

    Attributes:
        printed: whether the printed means bear it out: ``holds`` or ``does not hold``; ``not printed``
            where the paper has no numbers for it.
        decided: what the printed deviations and seeds say: ``holds``, ``does not hold``, ``undecided``, or
            empty where no spread is printed.
        evidence: the comparisons, those that are not so first.
    """

    printed: str
    decided: str
    evidence: str


@dataclass(frozen=True)
class Verdict:
    """A claim and what a study says of it.

    Attributes:
        paper: the key of the claim's paper.
        status: the verdict.
        direction: ``for`` or ``against``, where the means point; empty where nothing was measured.
        evidence: the numbers, or what is missing.
        coverage: how much of what the claim speaks of was measured.
        seeds: the least number of seeds behind a number that took part.
        share: the least share of the paper's schedule, epochs and images, that a number was trained for;
            NaN where the paper does not state it.
        limits: why a verdict that the intervals would give is not given.
        features: whose features the claim's Fréchet distances and precisions are of; empty without any.
        comparisons: how many comparisons were measured, of how many.
        printed: the claim on the paper's own numbers.
    """

    paper: str
    claim: Claim
    status: Status
    direction: str
    evidence: str
    coverage: str = ""
    seeds: int = 0
    share: float = math.nan
    limits: str = ""
    features: str = ""
    comparisons: tuple[int, int] = (0, 0)
    printed: PaperVerdict | None = None

    @property
    def words(self) -> str:
        """The status, and the direction of one that is undecided."""
        pointing = {"for": "points this way", "against": "points the other way"}.get(self.direction)
        return f"{self.status}, {pointing}" if self.status == "undecided" and pointing else self.status


def judge(results: Results) -> list[Verdict]:
    """The verdict on every claim of the study's paper.

    A study without a paper is judged on all papers' claims, and only those of which it measured something
    are given.
    A model that is flagged as broken is no result: it takes part in claims about collapse alone.
    """
    unsound = results.flags
    verdicts = []
    own = results.study.paper
    for key in [own] if own else _readable():
        paper = read_paper(key)
        sound, everything = (measured(paper, results, without) for without in (unsound, ()))
        for claim in paper_claims(key):
            verdict = _verdict(results, paper, claim, everything if claim.collapse else sound)
            if own or verdict.status in ("holds", "does not hold", "undecided"):
                verdicts.append(verdict)
    return verdicts


def judge_numbers(key: str, numbers: Mapping[Key, Sample]) -> list[Verdict]:
    """The verdicts of numbers that no training stands behind, on the claims of which they measure something.

    Args:
        key: of the paper whose names they have.
        numbers: as :func:`vaebench.report.loose.read_numbers` gives them.
    """
    paper = read_paper(key)
    found = ((claim, judge_groups(claim.groups(paper), numbers)) for claim in paper_claims(key))
    return [_judged(paper, claim, part, numbers, math.nan) for claim, part in found if part.measured]


def _judged(
    paper: Paper,
    claim: Claim,
    found: Judgement,
    numbers: Mapping[Key, Sample],
    share: float,
    limits: Iterable[str] = (),
) -> Verdict:
    """The verdict of numbers that are of ``share`` of the paper's schedule and have more ``limits``."""
    seeds = min(numbers[key].n for key in found.keys)
    limited = ", ".join(filter(None, [shortfalls(paper, found.keys, seeds, share), *limits]))
    return Verdict(
        paper.key,
        claim,
        _status(found, limited),
        found.direction,
        found.evidence,
        coverage=_coverage(found),
        seeds=seeds,
        share=share,
        limits=limited,
        comparisons=(found.measured, found.total),
        printed=judge_printed(paper, claim),
    )


def _status(found: Judgement, limits: str) -> Status:
    if found.decided is None or limits or (found.decided and found.measured < found.total):
        return "undecided"
    return "holds" if found.decided else "does not hold"


def _readable() -> list[str]:
    """The papers but for those whose folder is damaged, which the index names."""
    keys = []
    for key in paper_keys():
        with contextlib.suppress(UserError):
            keys += [key] if [claim.groups(read_paper(key)) for claim in paper_claims(key)] else []
    return keys


def judge_printed(paper: Paper, claim: Claim, numbers: Mapping[Key, Sample] | None = None) -> PaperVerdict:
    """A claim on the numbers that its paper prints, or on ``numbers`` in their place."""
    if numbers is None:
        return _printed_verdict(paper, claim.id)
    found = judge_groups(claim.groups(paper), numbers)
    if not found.total or found.measured < found.total:
        return PaperVerdict("not printed", "", found.evidence)
    spread = all(numbers[key].n > 1 for key in found.keys)
    decided = {True: "holds", False: "does not hold", None: "undecided"}[found.decided] if spread else ""
    return PaperVerdict("holds" if found.direction == "for" else "does not hold", decided, found.evidence)


@functools.cache
def _printed_verdict(paper: Paper, claim_id: str) -> PaperVerdict:
    claim = next(claim for claim in paper_claims(paper.key) if claim.id == claim_id)
    return judge_printed(paper, claim, as_printed(paper))


def _verdict(results: Results, paper: Paper, claim: Claim, numbers: Mapping[Key, Sample]) -> Verdict:
    printed = judge_printed(paper, claim)
    if claim.check is None:
        return Verdict(paper.key, claim, "not a matter of numbers", "", claim.qualitative, printed=printed)
    found = judge_groups(claim.groups(paper), numbers)
    broken = "" if claim.collapse else _left_out(results, paper, found)
    if not found.measured:
        wanted = f"{needs(paper, claim)}. {broken}".strip()
        return Verdict(paper.key, claim, "not measured", "", wanted, printed=printed)
    timed = {d for d in results.study.datasets if (paper.dataset(d), SECONDS) in {k[::2] for k in found.keys}}
    timings = [timing(results, dataset) for dataset in sorted(timed)]
    devices = ", ".join(sorted({times.device for times in timings}))
    on = f"Timed by the wall's clock on {devices}." if timed else ""
    share = schedule_share(results, paper, found.keys)
    limits = unknown_images(results, paper, found.keys), shared_machine(timings)
    return replace(
        _judged(paper, claim, found, numbers, share, limits),
        evidence=" ".join(filter(None, (found.evidence, on, broken))),
        features=_features(results, paper, found),
    )


def _features(results: Results, paper: Paper, found: Judgement) -> str:
    metrics = (paper.metric(column, method) or "" for _, method, column in found.keys)
    compared = any(metric.partition(".")[0] in ("fid", "prd") for metric in metrics)
    return results.params.evaluation.features["name"] if compared else ""


def _left_out(results: Results, paper: Paper, found: Judgement) -> str:
    """The models that the claim speaks of and that are broken, with the reason."""
    needed = {(dataset, method) for dataset, method, _ in found.needed}
    parts = [
        f"{method} on {dataset} ({flag.reason})"
        for (dataset, method), flag in results.flags.items()
        if (paper.dataset(dataset), paper.method(method, one_to_one=True)) in needed
    ]
    return f"Left out as broken: {'; '.join(parts)}." if parts else ""


def _coverage(found: Judgement) -> str:
    def of(index: int, name: str) -> str:
        have, need = ({key[index] for key in keys} for keys in (found.keys, found.needed))
        return f"{len(have & need)} of {len(need)} {name}"

    if found.measured == found.total:
        return "all of it"
    return f"{found.measured} of {found.total} comparisons: {of(0, 'data sets')}, {of(1, 'methods')}"


def needs(paper: Paper, claim: Claim) -> str:
    """The metrics, methods and data sets that a study has to measure for a claim."""
    keys = dict.fromkeys(key for group in claim.groups(paper) for c in group.comparisons for key in c.keys)
    metrics, methods, datasets = (
        list(dict.fromkeys(names))
        for names in (
            (paper.metric(column, method) or column for _, method, column in keys),
            (method for _, method, _ in keys),
            (dataset for dataset, _, _ in keys),
        )
    )
    return f"needs {_listed(metrics)} of {_listed(methods)} on {_listed(datasets)}"


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown
