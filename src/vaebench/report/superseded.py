"""Results that *tabulate* has not seen: ``dvc repro`` writes cell after cell, and ``study.yaml`` at the end.

Stopped before that, it leaves metrics or curves beside a ``study.yaml`` whose parameters did not make them.
The record of *train* or *evaluate* under ``data/provenance/`` has the digest of what it wrote, so that it
speaks of the file that is there. A clone that has the report alone, and an older record, say nothing.
"""

from __future__ import annotations

from pathlib import Path

from vaebench.base.files import file_digest
from vaebench.base.reading import mapping_or_empty
from vaebench.study.params import Params
from vaebench.study.paths import provenance_dir, provenance_json
from vaebench.study.provenance import item_digest

__all__ = ["is_superseded"]


def is_superseded(path: Path, stage: str, folder: Path, params: Params, cell: tuple[str, str, int]) -> bool:
    """True if ``path`` is by parameters that are not the study's, nor those of what was tabulated last.

    Args:
        path: the file that the stage wrote.
        stage: ``train`` or ``evaluate``.
        folder: ``reports/<study>``.
        params: the study as ``folder`` has it.
        cell: data set, method and seed.
    """
    place = provenance_json(stage, params.study.name, *cell)
    record, copy = (
        mapping_or_empty(where).get("digests") or {}
        for where in (
            folder.parent.parent / place,
            folder / "provenance" / place.relative_to(provenance_dir(params.study.name)),
        )
    )
    if "result" not in record or record["result"] != file_digest(path):
        return False
    made = {name: record[name] for name in ("params", "training") if name in record}
    if made == {name: copy.get(name) for name in made}:
        return False
    now = {"params": item_digest(params, *cell, stage), "training": item_digest(params, *cell)}
    return made != {name: now[name] for name in made}
