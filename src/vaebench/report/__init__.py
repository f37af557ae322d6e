"""The report: a study's results in tables, figures and a page, next to the papers' numbers.

    from vaebench.report import tabulate
    tabulate(load_params(), Path("."))    # study.yaml, tables, figures, the study's page and the index

Everything is read from ``reports/<study>/``: ``study.yaml``, ``metrics/``, ``history/``, ``images/``
and ``provenance/``. Nothing here needs torch.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from vaebench.base.errors import UserError
from vaebench.base.files import write_text
from vaebench.study.params import Params
from vaebench.study.paths import provenance_dir, report_dir

__all__ = ["build_report", "tabulate"]


def tabulate(params: Params, root: str | Path = ".") -> list[Path]:
    """Write a study's tables, figures and page, and put it on the index of all studies under ``root``.

    The other studies' files are taken as they are.

    Args:
        params: the study.
        root: the repository's root, which holds ``reports/``.

    Returns:
        The files written: ``study.yaml``, ``summary.json``, tables, figures, and last the pages.

    Raises:
        UserError: a metrics, history or provenance file is damaged; the message names it.
    """
    import yaml

    from vaebench.report.figures.comparison import write_figures
    from vaebench.report.index import write_index
    from vaebench.report.ledger import write_ledger, write_verdicts
    from vaebench.report.page import write_page
    from vaebench.report.results import read_results
    from vaebench.report.summary import write_summary
    from vaebench.report.tables import write_tables

    study_dir = Path(root) / report_dir(params.study.name)
    study_dir.mkdir(parents=True, exist_ok=True)
    records = Path(root) / provenance_dir(params.study.name)
    if records.is_dir():
        shutil.copytree(records, study_dir / "provenance", dirs_exist_ok=True)
    study_yaml = study_dir / "study.yaml"
    content = yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_text(study_yaml, content)
    results = read_results(study_dir).check()
    return [
        study_yaml,
        write_summary(results),
        *write_tables(results),
        *write_figures(results),
        write_verdicts(results),
        *write_page(results),
        write_ledger(study_dir.parent),
        write_index(study_dir.parent),
    ]


def build_report(reports_dir: str | Path, say: Callable[[str], object] = lambda line: None) -> Path:
    """Make every study's means, tables, verdicts and page under ``reports_dir``, and return the index's path.

    All of it is a function of the study's metrics, curves and provenance: neither models nor data are needed.
    A study that cannot be read is a notice on the index, whatever is wrong with it, so that it does not hide
    the others.

    Args:
        reports_dir: the folder of all studies' results.
        say: called with a line on each study of which not all is shown.
    """
    from vaebench.report.index import write_index
    from vaebench.report.ledger import write_ledger, write_loose_verdicts, write_verdicts
    from vaebench.report.loose import NUMBERS
    from vaebench.report.page import write_page
    from vaebench.report.results import read_results
    from vaebench.report.summary import write_summary
    from vaebench.report.tables import write_tables

    broken = {}
    for source in sorted(Path(reports_dir).glob(f"*/{NUMBERS}")):
        try:
            write_loose_verdicts(source.parent)
        except UserError as error:
            broken[source.parent.name] = str(error)
    for source in sorted(Path(reports_dir).glob("*/study.yaml")):
        try:
            results = read_results(source.parent).check()
            write_summary(results)
            write_tables(results)
            write_verdicts(results)
            write_page(results)
            if results.notice:
                say(results.notice)
        except UserError as error:
            broken[source.parent.name] = str(error)
        except Exception as error:  # a file that is valid and nonsense must not end the others' pages
            broken[source.parent.name] = f"its files cannot be read: {error!r}"
    write_ledger(reports_dir)
    return write_index(Path(reports_dir), broken)
