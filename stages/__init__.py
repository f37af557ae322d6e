"""The stages, each run with the package beside it, also in the copies in which DVC runs experiments."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

ADVICE = (
    "activate .venv with `. .venv/bin/activate` (`make install` makes it, and repairs it where it is not "
    "whole), then run again."
)


def _in_a_line(kind, error, trace) -> None:
    """Say in a line what ends a stage before it begins: Ctrl-C, or a library that cannot be imported."""
    if issubclass(kind, KeyboardInterrupt):
        print("interrupted; run again.", file=sys.stderr)
    elif issubclass(kind, ImportError):
        print(f"{sys.executable} cannot import what vaebench needs ({error}): {ADVICE}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if sys.argv[:1] == ["-m"]:  # while `python -m stages.train` imports this package
    sys.excepthook = _in_a_line


def _needs_environment(error: ImportError) -> None:
    """Run again with the Python of ``.venv``, in whose shell DVC was not started, or say so."""
    here = Path(__file__).resolve().parents[1]
    root = Path(str(here).partition("/.dvc/tmp/exps/")[0])
    python = root / ".venv/bin/python"
    if python.is_file() and "VAEBENCH_PYTHON" not in os.environ:
        os.environ["VAEBENCH_PYTHON"] = str(python)
        os.execv(python, [str(python), *sys.orig_argv[1:]])
    raise error


try:
    from vaebench.study.stage import end_with_dvc
except ImportError as error:
    _needs_environment(error)

end_with_dvc()  # before a stage's imports, which take seconds
