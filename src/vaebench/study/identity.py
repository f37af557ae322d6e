"""A study's name stands for one set of parameters: results that are committed are not overwritten by others'.

``params.yaml`` may be edited, and one epoch of two methods under a committed study's name would take the
place of its numbers, under its title and its notes.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from vaebench.base.errors import UserError
from vaebench.study.params import Params, load_params
from vaebench.study.paths import report_dir
from vaebench.study.resolve import changes, listed

__all__ = ["check_identity"]

STUDIES = Path("studies")

SHOWN: Any = {
    "study": {"title", "paper"},
    "methods": {"__all__": {"label"}},
    "training": {"checkpoint_seconds", "compile"},
    "resources": True,
}
"""Keys that may differ under one name: they change no number."""


def check_identity(params: Params) -> None:
    """Refuse ``params.yaml`` where it would replace the committed results of a study that it is not.

    A trial by ``dvc exp run`` is DVC's to keep apart, and a study without a file in ``studies/``, or without
    committed results, is the user's own.

    Raises:
        UserError: what differs, and how to give it another name.
    """
    name = params.study.name
    path = STUDIES / f"{name}.yaml"
    if "DVC_EXP_BASELINE_REV" in os.environ or not path.is_file():
        return
    committed = load_params(path, specs=())
    different = changes(*({"parameters": _content(study)} for study in (committed, params)))
    if different and _is_committed(report_dir(name)):
        raise UserError(
            f"params.yaml is not {path} ({listed(different)}), and {report_dir(name)}, which is committed, "
            "would be replaced under its title and notes. Give it a name of its own with `vaebench new-study "
            f"NAME`, try it with `dvc exp run`, or change {path}, too, if the study is to be that."
        )


def _content(params: Params) -> dict:
    return params.model_dump(mode="json", exclude=SHOWN)


def _is_committed(folder: Path) -> bool:
    try:
        files = subprocess.run(
            ["git", "ls-files", "--", folder / "metrics"], capture_output=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return bool(files.stdout)
