"""Claims of the papers, and verdicts on them from a study's numbers.

A claim *holds* or *does not hold* where the intervals of its comparisons say so and the study follows the
paper's protocol: its schedule, its number of images, its seeds. Images of a source whose number is not known
are not the paper's. In every other study that measured some of
it, it is *undecided*, with the direction in which the means point. Only methods of the paper's own roster
take part, and a claim about FID is judged on FID alone, never on a classifier's features. Each claim is also
judged on the numbers that the paper itself prints.
"""

from __future__ import annotations

import contextlib
import functools
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vaebench.base.errors import UserError
from vaebench.data import training_images
from vaebench.report.claims.claim import Claim, paper_claims
from vaebench.report.claims.comparison import Judgement, Key, judge_groups
from vaebench.report.claims.numbers import SECONDS, Timing, as_printed, measured, timing
from vaebench.report.entries import percent
from vaebench.report.papers import Paper, read_paper
from vaebench.report.results import DIVERGED, Results
from vaebench.report.statistics import Sample
from vaebench.study.papers import paper_keys

__all__ = [
    "STATUSES",
    "Claim",
    "PaperVerdict",
    "Verdict",
    "judge",
    "judge_numbers",
    "judge_printed",
    "needs",
    "paper_claims",
]

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
    return [_of_numbers(paper, claim, part, numbers) for claim, part in found if part.measured]


def _of_numbers(paper: Paper, claim: Claim, found: Judgement, numbers: Mapping[Key, Sample]) -> Verdict:
    seeds = min(numbers[key].n for key in found.keys)
    limits = _limits(paper, found, seeds, math.nan)
    return Verdict(
        paper.key,
        claim,
        _status(found, limits),
        found.direction,
        found.evidence,
        _coverage(found),
        seeds,
        math.nan,
        limits,
        "",
        (found.measured, found.total),
        judge_printed(paper, claim),
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
    if not found.measured:
        broken = _left_out(results, paper, found) if not claim.collapse else ""
        wanted = f"{needs(paper, claim)}. {broken}".strip()
        return Verdict(paper.key, claim, "not measured", "", wanted, printed=printed)
    seeds = min(numbers[key].n for key in found.keys)
    share = _share(results, paper, found.keys)
    unknown = _unknown_images(results, paper, found.keys)
    timed = {d for d in results.study.datasets if (paper.dataset(d), SECONDS) in {k[::2] for k in found.keys}}
    timings = [timing(results, dataset) for dataset in sorted(timed)]
    limits = ", ".join(filter(None, [_limits(paper, found, seeds, share), unknown, _shared(timings)]))
    broken = _left_out(results, paper, found) if not claim.collapse else ""
    devices = ", ".join(sorted({times.device for times in timings}))
    on = f"Timed by the wall's clock on {devices}." if timed else ""
    return Verdict(
        paper.key,
        claim,
        _status(found, limits),
        found.direction,
        " ".join(part for part in (found.evidence, on, broken) if part),
        _coverage(found),
        seeds,
        share,
        limits,
        _features(results, paper, found),
        (found.measured, found.total),
        printed,
    )


def _features(results: Results, paper: Paper, found: Judgement) -> str:
    metrics = (paper.metric(column, method) or "" for _, method, column in found.keys)
    compared = any(metric.partition(".")[0] in ("fid", "prd") for metric in metrics)
    return results.params.evaluation.features["name"] if compared else ""


def _limits(paper: Paper, found: Judgement, seeds: int, share: float) -> str:
    """Points in which the study falls short of the paper's protocol; empty where nothing."""
    parts = []
    if share < 1:
        parts.append(f"{percent(share)} of the paper's schedule")
    wanted = max(paper.seeds(*key) for key in found.keys)
    if seeds < wanted:
        parts.append(f"{seeds} of the paper's {wanted} seeds")
    if seeds == 1 and wanted == 1:
        parts.append("one seed")
    return ", ".join(parts)


def _unknown_images(results: Results, paper: Paper, keys: tuple[Key, ...]) -> str:
    """Reason why numbers do not compare: of data sets with nobody knows how many training images."""
    ours = _ours(results, paper)
    used = dict.fromkeys(ours[d, m][0] for d, m, column in keys if column != SECONDS)
    unknown = [dataset for dataset in used if math.isnan(_images(results, paper, dataset))]
    return f"images of {', '.join(unknown)} not known to be as many as the paper's" if unknown else ""


_ALONE = 0.95
"""Share of its threads' time that a training has where nothing else runs; the rest is reading and writing."""


def _shared(timings: list[Timing]) -> str:
    """Reason why times do not compare: others used the machine, or may have."""
    shares = [times.share for times in timings]
    if any(map(math.isnan, shares)):
        return "times of which no record says whether other work shared the machine"
    if min(shares, default=1.0) >= _ALONE:
        return ""
    return f"times on a machine that other work shared: a training had {percent(min(shares))} of its threads"


def _left_out(results: Results, paper: Paper, found: Judgement) -> str:
    """The models that the claim speaks of and that are broken, with the reason."""
    needed = {(dataset, method) for dataset, method, _ in found.needed}
    parts = [
        f"{method} on {dataset} ({flag.reason})"
        for (dataset, method), flag in results.flags.items()
        if (paper.dataset(dataset), paper.method(method, one_to_one=True)) in needed
    ]
    return f"Left out as broken: {'; '.join(parts)}." if parts else ""


def _share(results: Results, paper: Paper, keys: tuple[Key, ...]) -> float:
    """The least share of the paper's epochs times images; NaN where it states none of them.

    The time of an epoch does not depend on how many there are. Images of an unknown number do not lower it.
    """
    shares, ours = [], _ours(results, paper)
    for dataset, method, column in keys:
        place, wanted = ours[dataset, method], paper.schedule(dataset, method, column)
        if wanted is not None and column != SECONDS:
            images = _images(results, paper, place[0])
            epochs = min(1.0, _epochs(results, *place) / wanted)
            shares.append(epochs if math.isnan(images) else epochs * images)
    return min(shares, default=math.nan)


def _ours(results: Results, paper: Paper) -> dict[tuple[str, str], tuple[str, str]]:
    """The study's data set and method by the paper's names."""
    study = results.study
    return {(paper.dataset(d), paper.method(m, True)): (d, m) for d in study.datasets for m in study.methods}


def _epochs(results: Results, dataset: str, method: str) -> int:
    """The least number of epochs behind a method's metrics.

    The histories tell, since ``study.yaml`` may be of before or after a change that only some cells were
    trained again for. A training that diverged, or that may stop early, counts with its schedule.
    """
    training = results.params.training_of(method)
    if training.early_stopping is not None:
        return training.epochs
    trained = (
        len(history)
        for cell, history in results.histories.items()
        if cell[:2] == (dataset, method) and DIVERGED not in results.metrics.get(cell, {DIVERGED: 0})
    )
    return min(trained, default=training.epochs)


def _images(results: Results, paper: Paper, dataset: str) -> float:
    """The share of the paper's training images that a data set of the study has.

    One where the paper does not say how many there are; NaN where the source's number is not known.
    """
    wanted = paper.images(paper.dataset(dataset))
    if not wanted:
        return 1.0
    images = training_images(results.params.datasets[dataset].source)
    return math.nan if images is None else min(1.0, images / wanted)


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
