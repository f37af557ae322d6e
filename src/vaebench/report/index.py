"""``reports/index.html``: all studies at a glance, each read from one small file, its ``card.json``."""

from __future__ import annotations

import math
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from vaebench.base.files import read_json, write_json, write_text
from vaebench.base.reading import UnreadableError, reading
from vaebench.report.claims import STATUSES
from vaebench.report.entries import percent
from vaebench.report.ledger import damaged, ledger, paper_counts
from vaebench.report.papers import read_paper
from vaebench.report.results import Results
from vaebench.report.templates import template

__all__ = ["CARD", "paper_name", "schedule", "write_card", "write_index"]

CARD = "card.json"


class _Card(BaseModel):
    """Entry of a study on the index, as its file has it."""

    model_config = ConfigDict(extra="ignore", strict=True)

    name: str
    title: str
    paper: str
    datasets: list[str]
    methods: int
    outside: int = 0
    seeds: int
    schedule: str
    runs: list[int]
    verdicts: dict[str, int]
    unsound: int
    picture: str | None


def write_card(results: Results) -> Path:
    """Write a study's card: schedule, size, verdicts, unsound models and one picture."""
    study = results.study
    statuses = [verdict.status for verdict in results.verdicts]
    sound = [method for method in results.own_methods if all(m != method for _, m in results.flags)]
    card = _Card(
        name=results.name,
        title=results.title,
        paper=paper_name(results),
        datasets=study.datasets,
        methods=len(results.own_methods),
        outside=len(study.methods) - len(results.own_methods),
        seeds=len(study.seeds),
        schedule=schedule(results),
        runs=[sum(cell in results.metrics for cell in results.own_cells), len(results.own_cells)],
        verdicts={status: count for status in STATUSES[:4] if (count := statuses.count(status))},
        unsound=len(results.unsound),
        picture=_picture(results, sound),
    )
    path = results.path / CARD
    write_json(path, card.model_dump())
    return path


def _picture(results: Results, methods: list[str]) -> str | None:
    """Samples, or else reconstructions, of the last sound method: studies end with their own contribution."""
    shown = [p for m in methods for cell, paths in results.images.items() if cell.method == m for p in paths]
    for kind in ("samples", "recon"):
        pictures = [path for path in shown if path.stem.startswith(kind)]
        if pictures:
            return pictures[-1].relative_to(results.path).as_posix()
    return None


def paper_name(results: Results) -> str:
    """The paper whose numbers stand beside the study's; empty without one."""
    return read_paper(results.study.paper).cite if results.study.paper else ""


def schedule(results: Results) -> str:
    """Length of the trainings, and the share of the paper's schedule that it is.

    >>> from vaebench.report.results import read_results
    >>> schedule(read_results("reports/takida_mnist_short")).startswith("10 epochs")
    True
    """
    epochs = sorted({results.params.training_of(method).epochs for method in results.own_methods})
    spread = f"{epochs[0]} to {epochs[-1]}" if len(epochs) > 1 else str(epochs[0])
    text = f"{spread} epoch{'s' * (epochs[-1] > 1)}"
    shares = [v.share for v in results.verdicts if not math.isnan(v.share)]
    return f"{text}, {percent(min(shares))} of the paper's schedule" if shares else text


def write_index(reports: Path, broken: dict[str, str] | None = None) -> Path:
    """Write ``index.html`` over every folder that holds a ``study.yaml``, those first that have a page.

    Args:
        reports: the folder of all studies' results.
        broken: the reason for each study that could not be read, by its name.
    """
    cards, broken = [], dict(broken or {})
    for source in sorted(reports.glob("*/study.yaml")):
        folder = source.parent
        try:
            with reading(folder / CARD, command="vaebench report"):
                card = _Card.model_validate(read_json(folder / CARD)).model_dump()
        except UnreadableError as error:
            broken.setdefault(folder.name, str(error))
        else:
            cards.append(card | {"made": (folder / "index.html").is_file()})
    cards.sort(key=lambda card: not card["made"])
    for name, reason in damaged(reports).items():
        broken[name] = f"{broken[name]} {reason}" if name in broken else reason
    papers = paper_counts(reports)
    html = template("index.html").render(
        cards=cards,
        broken=broken,
        papers=papers,
        ledger=ledger(reports),
        studies={path.parent.name for path in reports.glob("*/index.html")},
    )
    target = reports / "index.html"
    write_text(target, html)
    return target
