"""``reports/claims.json``: every claim of every paper with all studies' verdicts and the current one.

A study leaves its verdicts in ``reports/<study>/claims.json``; the ledger puts them side by side, the
strongest evidence first: the share of the paper's schedule, then the seeds, then how much was measured.
The current verdict is that of the strongest evidence that decides, or, where none does, of the strongest.

A study whose file is damaged, and a paper whose folder is, are left out and named; the others are judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from vaebench.base.errors import UserError
from vaebench.base.files import read_json, write_json
from vaebench.base.reading import UnreadableError, reading
from vaebench.report.claims import STATUSES, Claim, Verdict, judge_numbers, judge_printed, needs, paper_claims
from vaebench.report.entries import percent
from vaebench.report.loose import read_numbers
from vaebench.report.papers import read_paper
from vaebench.report.results import Results
from vaebench.study.papers import paper_keys

__all__ = [
    "LEDGER",
    "claims_text",
    "damaged",
    "ledger",
    "paper_counts",
    "write_ledger",
    "write_loose_verdicts",
    "write_verdicts",
]

LEDGER = "claims.json"
_DECIDED = ("holds", "does not hold")
_MEASURED = (*_DECIDED, "undecided")


class _Evidence(BaseModel):
    """Evidence of a study on a claim, as its file has it."""

    model_config = ConfigDict(extra="ignore", strict=True)

    paper: str
    claim: str
    study: str
    status: Literal["holds", "does not hold", "undecided"]
    direction: str
    words: str
    evidence: str
    coverage: str
    comparisons: list[int]
    seeds: int
    schedule: float | None
    limits: str
    features: str


class _File(BaseModel):
    verdicts: list[_Evidence]


def write_verdicts(results: Results) -> Path:
    """Write a study's ``claims.json``: its verdicts on the claims of which it measured something."""
    return _write(results.path, results.verdicts)


def write_loose_verdicts(folder: Path) -> Path:
    """Write the ``claims.json`` of a folder with numbers of no study, see :mod:`vaebench.report.loose`."""
    loose = read_numbers(folder)
    return _write(folder, judge_numbers(loose.paper, loose.numbers))


def _write(folder: Path, verdicts: list[Verdict]) -> Path:
    found = [_evidence(folder.name, v) for v in verdicts if v.status in _MEASURED]
    write_json(folder / LEDGER, {"verdicts": found})
    return folder / LEDGER


def _evidence(study: str, verdict: Verdict) -> dict:
    return {
        "paper": verdict.paper,
        "claim": verdict.claim.id,
        "study": study,
        "status": verdict.status,
        "direction": verdict.direction,
        "words": verdict.words,
        "evidence": verdict.evidence,
        "coverage": verdict.coverage,
        "comparisons": list(verdict.comparisons),
        "seeds": verdict.seeds,
        "schedule": None if math.isnan(verdict.share) else round(verdict.share, 6),
        "limits": verdict.limits,
        "features": verdict.features,
    }


def ledger(reports: str | Path) -> dict:
    """The content of ``reports/claims.json``, made from the studies' verdicts.

    Returns:
        For each paper ``name``, ``cite``, ``counts`` and ``claims``; for each claim its text, the verdict on
        the paper's own numbers, the current verdict, and ``evidence``, strongest first; without any, what it
        ``needs``. What is :func:`damaged` is not in it.
    """
    evidence: dict[tuple[str, str], list[dict]] = {}
    for _, found in _files(reports):
        for entry in found if isinstance(found, list) else []:
            evidence.setdefault((entry["paper"], entry["claim"]), []).append(entry)
    papers = {}
    for key in sorted(paper_keys()):
        try:
            claims = [_entry(key, claim, evidence.get((key, claim.id), [])) for claim in paper_claims(key)]
            paper = read_paper(key)
        except UserError:
            continue
        head = {"name": paper.name, "cite": paper.cite, "counts": _counts(claims)}
        papers[key] = {**head, "claims": claims}
    return papers


def damaged(reports: str | Path) -> dict[str, str]:
    """Reason why a study's verdicts, or a paper's claims, are not in the ledger, by the folder's name."""
    notices = {path.parent.name: found for path, found in _files(reports) if isinstance(found, str)}
    for key in paper_keys():
        try:
            for claim in paper_claims(key):
                judge_printed(read_paper(key), claim)
        except UserError as error:
            notices[key] = str(error)
    return notices


def _files(reports: str | Path) -> Iterator[tuple[Path, list[dict] | str]]:
    """Each study's file with its evidence, or with its fault."""
    for path in sorted(Path(reports).glob(f"*/{LEDGER}")):
        try:
            with reading(path, command="vaebench report"):
                yield path, _File.model_validate(read_json(path)).model_dump()["verdicts"]
        except UnreadableError as error:
            yield path, str(error)


def _entry(key: str, claim: Claim, evidence: list[dict]) -> dict:
    ordered = sorted(evidence, key=_strength, reverse=True)
    current = next((e for e in ordered if e["status"] in _DECIDED), ordered[0] if ordered else None)
    return {
        "claim": claim.id,
        "source": claim.source,
        "text": claim.text,
        "qualitative": claim.qualitative,
        "needs": needs(read_paper(key), claim) if claim.check and not current else "",
        "paper": asdict(judge_printed(read_paper(key), claim)),
        **_current(claim, current),
        "evidence": [{k: v for k, v in e.items() if k not in ("paper", "claim")} for e in ordered],
    }


def _strength(evidence: dict) -> tuple[float, int, int]:
    schedule = evidence["schedule"]
    return 1.0 if schedule is None else schedule, evidence["seeds"], evidence["comparisons"][0]


def _current(claim: Claim, evidence: dict | None) -> dict:
    if evidence is None:
        status = "not measured" if claim.check else "not a matter of numbers"
        return {"status": status, "direction": "", "words": status, "study": None}
    return {key: evidence[key] for key in ("status", "direction", "words", "study")}


def _counts(claims: list[dict]) -> dict:
    statuses = [claim["status"] for claim in claims]
    shares = [c["evidence"][0]["schedule"] for c in claims if c["evidence"]]
    known = [share for share in shares if share is not None]
    return {
        **{status: statuses.count(status) for status in STATUSES},
        "schedule": [min(known), max(known)] if known else None,
        "contradicted by its own numbers": sum(c["paper"]["printed"] == "does not hold" for c in claims),
    }


def write_ledger(reports: str | Path) -> Path:
    """Write ``reports/claims.json``."""
    path = Path(reports) / LEDGER
    write_json(path, ledger(reports))
    return path


def paper_counts(reports: str | Path) -> list[dict]:
    """Counts of each paper's claims by status, and their schedule, for the report's first screen.

    Returns:
        One mapping per paper: ``key``, ``name``, ``cite``, a count for each status, ``schedule`` in words,
        and ``own``, how many claims the paper's own numbers contradict.
    """
    rows = []
    for key, paper in ledger(reports).items():
        counts = paper["counts"]
        own = counts["contradicted by its own numbers"]
        statuses: dict = {status: counts[status] for status in STATUSES}
        schedule = _schedule(counts["schedule"])
        head = {"key": key, "name": paper["name"], "cite": paper["cite"]}
        rows.append({**head, **statuses, "schedule": schedule, "own": own})
    return rows


def _schedule(ends: list[float] | None) -> str:
    if ends is None:
        return "nothing measured"
    low, high = map(percent, ends)
    return f"{low} of its schedule" if low == high else f"{low.removesuffix(' %')} to {high} of its schedule"


def claims_text(reports: str | Path, paper: str | None = None) -> str:
    """The ledger for a terminal: each paper's counts, then its claims with their strongest evidence.

    Args:
        reports: the folder of all studies' results.
        paper: the key of the one that is wanted; all by default.

    Raises:
        UserError: there is no such paper.
    """
    papers, notices = ledger(reports), damaged(reports)
    if paper in notices:
        raise UserError(notices[paper])
    if paper is not None and paper not in papers:
        raise UserError(f"the paper {paper!r} is not found; there are: {', '.join(papers) or 'none'}.")
    blocks = ["\n".join(f"{name}: {reason}" for name, reason in notices.items())] if notices else []
    for key, content in papers.items():
        if paper in (None, key):
            counts = content["counts"]
            summary = ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])
            standing = f"{summary or 'no claims'}; {_schedule(counts['schedule'])}"
            lines = [f"{key}: {content['cite']}", standing]
            order = {status: place for place, status in enumerate(STATUSES)}
            for claim in sorted(content["claims"], key=lambda c: order[c["status"]]):
                lines += ["", *_claim_lines(claim)]
            blocks.append("\n".join(lines))
    return "\n\n\n".join(blocks)


def _claim_lines(claim: dict) -> list[str]:
    lines = [f"[{claim['words']}] {claim['source']}: {claim['text']}"]
    own = claim["paper"]
    if own["printed"] != "not printed":
        decided = f", by its own spread {own['decided']}" if own["decided"] else ""
        lines.append(f"    the paper's own numbers: {own['printed']}{decided}")
    if claim["evidence"]:
        first = claim["evidence"][0]
        limits = f"; {first['limits']}" if first["limits"] else ""
        features = f"; {first['features']} features" if first["features"] else ""
        lines.append(f"    {first['study']}: {first['coverage']}; n = {first['seeds']}{features}{limits}")
        lines.append(f"    {first['evidence']}")
        others = len(claim["evidence"]) - 1
        if others:
            lines.append(f"    and {others} {'study' if others == 1 else 'studies'} with less")
    else:
        lines.append(f"    {claim['qualitative'] or claim['needs']}")
    return lines
