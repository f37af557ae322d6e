"""The README's tables of verdicts, made from the ledger.

PYTHONPATH=tests python -m support.readme_claims
"""

from __future__ import annotations

import re
from pathlib import Path

from vaebench.base.files import read_json
from vaebench.report.entries import percent
from vaebench.report.ledger import ledger, paper_counts

ROOT = Path(__file__).parent.parent.parent
START, END = "<!-- claims: start -->\n", "<!-- claims: end -->"

HEAD = (
    "| paper | holds | does not hold | undecided | not measured | not a matter of numbers | on | "
    "contradicted by its own numbers |\n| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: |\n"
)


def papers_block(reports: Path) -> str:
    """Counts of each paper's claims by status, one row per paper."""
    rows = [
        f"| `{r['key']}` | {r['holds']} | {r['does not hold']} | {r['undecided']} | {r['not measured']} | "
        f"{r['not a matter of numbers']} | {r['schedule']} | {r['own']} |\n"
        for r in paper_counts(reports)
    ]
    return HEAD + "".join(rows)


def study_cell(reports: Path, study: str) -> str:
    """The verdicts of one study in a few words."""
    words = [entry["words"] for entry in read_json(reports / study / "claims.json")["verdicts"]]
    counts = {word: words.count(word) for word in dict.fromkeys(words)}
    parts = [f"{counts[word]} {word}" for word in ("holds", "does not hold") if word in counts]
    this = counts.get("undecided, points this way", 0)
    other = counts.get("undecided, points the other way", 0)
    if this or other:
        parts.append(f"undecided: {this} this way, {other} the other way")
    return "; ".join(parts) or "–"


def lead(readme: str, reports: Path) -> str:
    """The README with the number of decided claims, and the schedule of the others' strongest evidence."""
    papers = ledger(reports).values()
    claims = [claim for paper in papers for claim in paper["claims"]]
    decided = sum(claim["status"] in ("holds", "does not hold") for claim in claims)
    counted = f"**{decided} of the {len(claims)} claims are decided**"
    readme = re.sub(r"\*\*\d+ of the \d+ claims are decided\*\*", counted, readme)
    ends = [end for paper in papers for end in paper["counts"]["schedule"] or ()]
    low, high = percent(min(ends)), percent(max(ends))
    shares = high if low == high else f"{low.removesuffix(' %')} to {high}"
    return re.sub(r"(strongest evidence is\sof) ([\d.]+ to )?[\d.]+ %", rf"\1 {shares}", readme)


def written(readme: str, reports: Path) -> str:
    """The README with the lead and both tables' verdicts as the ledger has them."""
    readme = lead(readme, reports)
    before, rest = readme.split(START)
    readme = f"{before}{START}{papers_block(reports)}{END}{rest.split(END)[1]}"
    for path in reports.glob("*/claims.json"):
        study = path.parent.name
        row = re.compile(rf"^(\| \[`{study}`\][^|]*\|[^|]*\|)[^|]*\|", re.M)
        readme = row.sub(lambda found, s=study: f"{found[1]} {study_cell(reports, s)} |", readme)
    return readme


if __name__ == "__main__":
    target = ROOT / "README.md"
    target.write_text(written(target.read_text("utf-8"), ROOT / "reports"), "utf-8")
