"""The README says of the papers' claims what the ledger says, and nothing beyond it."""

import re
from pathlib import Path

import pytest
from support.readme_claims import study_cell, written

from vaebench.base.files import read_json
from vaebench.report.ledger import ledger

ROOT = Path(__file__).parent.parent
REPORTS = ROOT / "reports"
README, RESULTS = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/results.md"))
STUDIES = sorted(set(re.findall(r"^\| \[`(\w+)`\]", f"{README}{RESULTS}", re.M)))
"""Those that the documents name: what else lies in reports is what ran here, the quickstart say."""

DECIDING = r"\b(holds?|refute\w*|confirm\w*|reproduc\w*|disprove\w*|as in the paper|best|highest|closest)\b"
"""Words that decide; a study that has decided nothing may not be described with them."""


def row(study: str, document: str) -> list[str]:
    (line,) = re.findall(rf"^\| \[`{study}`\].*$", document, re.M)
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_the_lead_and_the_tables_are_the_ledgers():
    assert written(README, REPORTS) == README, "run: PYTHONPATH=tests python -m support.readme_claims"


def test_the_committed_ledger_is_made_of_the_committed_verdicts():
    assert read_json(REPORTS / "claims.json") == ledger(REPORTS)


@pytest.mark.parametrize("study", STUDIES)
def test_a_studys_sentence_claims_no_more(study):
    if not re.match(r"\d+ (holds|does not hold)", study_cell(REPORTS, study)):
        assert not re.search(DECIDING, row(study, RESULTS)[-1])


@pytest.mark.parametrize("study", STUDIES)
def test_both_tables_of_studies_name_one_schedule(study):
    assert row(study, README)[1] == row(study, RESULTS)[1]
