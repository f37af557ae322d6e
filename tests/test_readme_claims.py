"""The README says of the papers' claims what the ledger says, and nothing beyond it."""

import re
from pathlib import Path

import pytest

from vaebench.base.files import read_json
from vaebench.report.ledger import ledger, paper_counts

ROOT = Path(__file__).parent.parent
REPORTS = ROOT / "reports"
README = (ROOT / "README.md").read_text(encoding="utf-8")
STUDIES = sorted(path.parent.name for path in REPORTS.glob("*/claims.json"))

DECIDING = r"\b(holds?|refute\w*|confirm\w*|reproduc\w*|disprove\w*|as in the paper|best|highest|closest)\b"
"""Words that decide; a study that has decided nothing may not be described with them."""

HEAD = (
    "| paper | holds | does not hold | undecided | not measured | not a matter of numbers | on | "
    "contradicted by its own numbers |\n| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |\n"
)


def papers_block() -> str:
    rows = [
        f"| `{r['key']}` | {r['holds']} | {r['does not hold']} | {r['undecided']} | {r['not measured']} | "
        f"{r['not a matter of numbers']} | {r['schedule']} | {r['own']} |\n"
        for r in paper_counts(REPORTS)
    ]
    return HEAD + "".join(rows)


def study_cell(study: str) -> str:
    """The verdicts of one study in a few words."""
    words = [entry["words"] for entry in read_json(REPORTS / study / "claims.json")["verdicts"]]
    counts = {word: words.count(word) for word in dict.fromkeys(words)}
    parts = [f"{counts[word]} {word}" for word in ("holds", "does not hold") if word in counts]
    this = counts.get("undecided, points this way", 0)
    other = counts.get("undecided, points the other way", 0)
    if this or other:
        parts.append(f"undecided: {this} this way, {other} the other way")
    return "; ".join(parts) or "–"


def row(study: str) -> list[str]:
    (line,) = re.findall(rf"^\| \[`{study}`\].*$", README, re.M)
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_the_table_of_papers_is_the_ledgers():
    block = README.split("<!-- claims: start -->\n")[1].split("<!-- claims: end -->")[0]
    assert block == papers_block()


def test_the_lead_is_true():
    rows = paper_counts(REPORTS)
    decided = sum(row["holds"] + row["does not hold"] for row in rows)
    total = sum(len(paper["claims"]) for paper in ledger(REPORTS).values())
    assert ("No claim is decided yet" in README) == (decided == 0)
    assert f"How the {total} claims stand" in README


def test_the_committed_ledger_is_made_of_the_committed_verdicts():
    assert read_json(REPORTS / "claims.json") == ledger(REPORTS)


@pytest.mark.parametrize("study", STUDIES)
def test_a_studys_row_says_its_verdicts(study):
    assert row(study)[2] == study_cell(study)


@pytest.mark.parametrize("study", STUDIES)
def test_a_studys_sentence_claims_no_more(study):
    if not re.match(r"\d+ (holds|does not hold)", study_cell(study)):
        assert not re.search(DECIDING, row(study)[-1])
