"""Claims of the papers, and verdicts on them from a study's numbers.

A claim *holds* or *does not hold* where the intervals of its comparisons say so and the study follows the
paper's protocol: its schedule, its number of images, its seeds. Images of a source whose number is not known
are not the paper's. In every other study that measured some of it, it is *undecided*, with the direction in
which the means point. Only methods of the paper's own roster take part, and a claim about FID is judged on
FID alone, never on a classifier's features. Each claim is also judged on the numbers that the paper prints.
"""

from vaebench.report.claims.claim import Claim, paper_claims
from vaebench.report.claims.verdict import (
    STATUSES,
    PaperVerdict,
    Verdict,
    judge,
    judge_numbers,
    judge_printed,
    needs,
)

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
