"""The report: what a study's files say, beside the papers' numbers.

    from vaebench.report import tabulate
    tabulate(load_params(), Path("."))    # study.yaml, tables, figures, reports/index.html

Everything is read from ``reports/<study>/``: ``study.yaml``, ``metrics/``, ``history/``, ``images/``
and ``provenance/``. Nothing here needs torch.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from vaebench.base.files import write_atomically
from vaebench.study.params import Params
from vaebench.study.paths import provenance_dir, report_dir

if TYPE_CHECKING:
    from vaebench.report.results import Study

__all__ = ["tabulate"]


def tabulate(params: Params, root: str | Path = ".") -> list[Path]:
    """Write a study's tables and figures, and the page over every study under ``root``.

    Args:
        params: the study.
        root: the repository's root, which holds ``reports/``.

    Returns:
        The files written: ``study.yaml``, tables, figures, and last ``reports/index.html``.

    Raises:
        UserError: a metrics, history or provenance file is damaged; the message names it.
    """
    import yaml

    from vaebench.report.figures.comparison import write_figures
    from vaebench.report.page import build_page
    from vaebench.report.results import read_study
    from vaebench.report.tables import write_tables

    study_dir = Path(root) / report_dir(params.study.name)
    study_dir.mkdir(parents=True, exist_ok=True)
    made = Path(root) / provenance_dir(params.study.name)
    if made.is_dir():
        shutil.copytree(made, study_dir / "provenance", dirs_exist_ok=True)
    study_yaml = study_dir / "study.yaml"
    content = yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    with write_atomically(study_yaml) as temporary:
        temporary.write_text(content, encoding="utf-8")
    _check_readable(read_study(study_dir))
    return [
        study_yaml,
        *write_tables(study_dir),
        *write_figures(study_dir),
        build_page(study_dir.parent, params.study.name),
    ]


def _check_readable(study: Study) -> None:
    """Before the old tables and figures go."""
    for cell in study.cells():
        study.metrics(*cell)
        study.history(*cell)
        study.provenance(*cell)
