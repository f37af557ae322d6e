"""``reports/index.html``: all studies at a glance, each read from one small file, its ``card.json``."""

from __future__ import annotations

from pathlib import Path

from vaebench.base.files import read_json, write_atomically, write_json
from vaebench.report.papers import read_paper
from vaebench.report.results import Results
from vaebench.report.templates import template

__all__ = ["CARD", "write_card", "write_index"]

CARD = "card.json"


def write_card(results: Results) -> Path:
    """What the index says of a study: schedule, size, verdicts and one picture."""
    study = results.study
    statuses = [verdict.status for verdict in results.verdicts]
    pictures = [path for paths in results.images.values() for path in paths if path.stem.startswith("sample")]
    card = {
        "name": results.name,
        "title": results.title,
        "paper": read_paper(study.paper).cite if study.paper else "",
        "datasets": study.datasets,
        "methods": len(study.methods),
        "seeds": len(study.seeds),
        "epochs": results.params.training.epochs,
        "runs": [len(results.metrics), len(results.cells)],
        "verdicts": {status: statuses.count(status) for status in dict.fromkeys(statuses)},
        "picture": pictures[0].relative_to(results.path).as_posix() if pictures else None,
    }
    path = results.path / CARD
    write_json(path, card)
    return path


def write_index(reports: Path, broken: dict[str, str] | None = None) -> Path:
    """Write ``index.html`` over every folder that holds a ``study.yaml``.

    Args:
        reports: the folder of all studies' results.
        broken: why a study could not be read, by its name.
    """
    cards, broken = [], dict(broken or {})
    for source in sorted(reports.glob("*/study.yaml")):
        name = source.parent.name
        try:
            card = read_json(source.with_name(CARD))
        except FileNotFoundError:
            broken.setdefault(name, "it has no page yet; `vaebench report` makes it.")
        except ValueError:
            broken.setdefault(name, f"{source.with_name(CARD)} is damaged; `vaebench report` makes it again.")
        else:
            cards.append(card)
    html = template("index.html").render(cards=cards, broken=broken)
    target = reports / "index.html"
    with write_atomically(target) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return target
