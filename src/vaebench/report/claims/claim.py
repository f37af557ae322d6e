"""A paper's claims: read from its ``claims.yaml``, and the numbers that they are judged on."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Collection, Mapping
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vaebench.base.errors import UserError
from vaebench.base.registry import explain
from vaebench.report.claims.comparison import Group, Key
from vaebench.report.claims.vocabulary import Check, groups
from vaebench.report.papers import Paper, read_paper
from vaebench.report.results import Results
from vaebench.report.statistics import Sample

__all__ = ["Claim", "as_printed", "measured", "paper_claims"]

OURS = "our."
"""Prefix of a metric of ours that is no column of the paper."""


class Claim(BaseModel):
    """One claim of a paper.

    Attributes:
        id: its name within the paper, as long as the text may be reworded.
        source: where it is made.
        text: what it says.
        check: how numbers decide it; without one it is listed with what it ``needs``.
        needs: what is missing to decide it: a metric, a study, or eyes.
        collapse: whether a training that collapsed is a number of this claim; it is of no other.
        refuted_by: numbers, ``<data set>/<method>/<column>: value``, that make the sentence false when
            they replace those printed; where the printed ones already do, ``borne_out_by`` makes it true.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    source: str
    text: str
    check: Check | None = None
    needs: str = ""
    collapse: bool = False
    refuted_by: dict[str, float] = {}
    borne_out_by: dict[str, float] = {}

    def groups(self, paper: Paper) -> list[Group]:
        """The comparisons that decide it, none where numbers cannot."""
        return [] if self.check is None else _groups(paper, self.id)


@functools.cache
def _groups(paper: Paper, claim_id: str) -> list[Group]:
    claim = next(claim for claim in paper_claims(paper.key) if claim.id == claim_id)
    return groups(claim.check, paper)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    claims: list[Claim]


@functools.cache
def paper_claims(key: str) -> tuple[Claim, ...]:
    """The claims of a paper in its order; none where its folder has no ``claims.yaml``.

    Raises:
        UserError: the file is damaged; the message names the place.
    """
    path = read_paper(key).folder / "claims.yaml"
    if not path.is_file():
        return ()
    try:
        claims = _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).claims
    except ValidationError as error:
        raise UserError(f"{path}: {explain(error, '', _File)}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    ids = [claim.id for claim in claims]
    if repeated := {i for i in ids if ids.count(i) > 1}:
        raise UserError(f"{path} has two claims with the id {min(repeated)!r}.")
    return tuple(claims)


def as_printed(paper: Paper) -> dict[Key, Sample]:
    """The paper's own numbers, with their deviation and seeds where it prints a deviation."""
    return {
        (r.dataset, r.method, r.column): Sample(r.value, r.std, r.seeds if r.std == r.std else 1)
        for r in paper.values.itertuples()
    }


def measured(
    paper: Paper, results: Results, without: Collection[tuple[str, str]] = ()
) -> Mapping[Key, Sample]:
    """A study's means by the paper's names.

    ``our.trend.<column>`` is a training curve's rank correlation with the epoch: 1 where it always rises,
    −1 where it always falls.

    Args:
        paper: whose names.
        results: the study's.
        without: (data set, method) of the study whose trainings are no result.
    """
    found: dict[Key, Sample] = {}
    for (dataset, method, column), values in _trends(results).items():
        if (dataset, method) not in without:
            key = paper.dataset(dataset), paper.method(method, one_to_one=True), f"{OURS}trend.{column}"
            std = statistics.stdev(values) if len(values) > 1 else math.nan
            found[key] = Sample(statistics.fmean(values), std, len(values))
    for r in results.measured.itertuples():
        if (r.dataset, r.method) in without:
            continue
        dataset, method = paper.dataset(r.dataset), paper.method(r.method, one_to_one=True)
        sample = Sample(r.mean, r.std, r.n)
        found[dataset, method, f"{OURS}{r.metric}"] = sample
        for column, entry in paper.file.columns.items():
            if entry.metric(method) == r.metric:
                found[dataset, method, column] = sample
    return found


def _trends(results: Results) -> dict[tuple[str, str, str], list[float]]:
    found: dict[tuple[str, str, str], list[float]] = {}
    for cell, history in results.histories.items():
        ranks = history.select_dtypes("number").rank()
        if len(ranks) > 2:
            for column, trend in ranks.corrwith(ranks["epoch"]).dropna().items():
                found.setdefault((cell.dataset, cell.method, str(column)), []).append(float(trend))
    return found
