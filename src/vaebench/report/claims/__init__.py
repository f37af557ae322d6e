"""What the papers claim, and whether a study's numbers bear it out.

A claim is a sentence of a paper as a predicate on means over seeds. It *holds*, *does not hold*, or was
*not measured* because a data set, method or metric that it speaks of is not in the study. A claim about
FID is judged on FID alone, never on a classifier's features. Where a claim speaks of more than the study
covers, the verdict is on the part that was measured, and the evidence says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vaebench.report.claims import avae, takida
from vaebench.report.claims.claim import Claim, NotMeasured, Numbers
from vaebench.report.results import Results

__all__ = ["CLAIMS", "Claim", "Verdict", "judge"]

CLAIMS = {"takida2022": takida.CLAIMS, "avae2024": avae.CLAIMS}
"""Each paper's claims, in its order."""


@dataclass(frozen=True)
class Verdict:
    """A claim and what the study says of it; ``evidence`` names the numbers or what is missing."""

    claim: Claim
    status: Literal["holds", "does not hold", "not measured"]
    evidence: str


def judge(results: Results) -> list[Verdict]:
    """The verdict on every claim of the study's paper.

    A study without a paper is judged on both papers' claims, and only those that it measured are given.
    """
    verdicts = []
    own = results.study.paper
    for paper in [own] if own else CLAIMS:
        means = Numbers(results.summary, paper)
        for claim in CLAIMS[paper]:
            try:
                holds, evidence = claim.check(means)
                verdicts.append(Verdict(claim, "holds" if holds else "does not hold", evidence))
            except NotMeasured as missing:
                if own:
                    verdicts.append(Verdict(claim, "not measured", f"needs {missing}"))
    return verdicts
