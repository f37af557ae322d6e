"""The README says of the papers' claims what the ledger says, and nothing beyond it."""

import re
from pathlib import Path

import pytest
from support.readme_claims import study_cell, written

from vaebench.base.files import read_json
from vaebench.report.claims import judge_numbers
from vaebench.report.ledger import ledger
from vaebench.report.loose import read_numbers
from vaebench.report.results import read_results

ROOT = Path(__file__).parent.parent
REPORTS = ROOT / "reports"
README, RESULTS = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/results.md"))
STUDIES = sorted(path.parent.name for path in REPORTS.glob("*/claims.json"))

DECIDED = ("holds", "does not hold")

DECIDING = r"\b(holds?|refute\w*|confirm\w*|reproduc\w*|disprove\w*|as in the paper|best|highest|closest)\b"
"""Words that decide; a study that has decided nothing may not be described with them."""


def row(study: str, document: str) -> list[str]:
    (line,) = re.findall(rf"^\| \[`{study}`\].*$", document, re.M)
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_the_lead_and_the_tables_are_the_ledgers():
    assert written(README, REPORTS) == README, "run: PYTHONPATH=tests python -m support.readme_claims"


def test_the_committed_ledger_is_made_of_the_committed_verdicts():
    assert read_json(REPORTS / "claims.json") == ledger(REPORTS)


@pytest.mark.parametrize("study", [name for name in STUDIES if (REPORTS / name / "study.yaml").is_file()])
def test_the_committed_verdicts_are_those_that_the_checks_give_now(study):
    verdicts = [v for v in read_results(REPORTS / study).verdicts if v.status in (*DECIDED, "undecided")]
    committed = read_json(REPORTS / study / "claims.json")["verdicts"]
    now = {(v.paper, v.claim.id): (v.words, v.coverage, v.limits) for v in verdicts}
    assert {(e["paper"], e["claim"]): (e["words"], e["coverage"], e["limits"]) for e in committed} == now


def test_the_committed_bandwidths_verdicts_are_those_that_the_checks_give_now():
    loose = read_numbers(REPORTS / "bandwidths")
    now = {v.claim.id: v.words for v in judge_numbers(loose.paper, loose.numbers)}
    committed = read_json(REPORTS / "bandwidths/claims.json")["verdicts"]
    assert {entry["claim"]: entry["words"] for entry in committed} == now


@pytest.mark.parametrize("study", STUDIES)
def test_a_studys_sentence_claims_no_more(study):
    if not re.match(r"\d+ (holds|does not hold)", study_cell(REPORTS, study)):
        assert not re.search(DECIDING, row(study, RESULTS)[-1])


@pytest.mark.parametrize("study", STUDIES)
def test_both_tables_of_studies_name_one_schedule(study):
    assert row(study, README)[1] == row(study, RESULTS)[1]
