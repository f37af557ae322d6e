"""The stages, each run with the package beside it, also in the copies in which DVC runs experiments."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))


def _needs_environment(error: ImportError) -> None:
    """Run again with the Python of ``.venv``, in whose shell DVC was not started, or say so."""
    here = Path(__file__).resolve().parents[1]
    root = Path(str(here).partition("/.dvc/tmp/exps/")[0])
    python = root / ".venv/bin/python"
    if python.is_file() and "VAEBENCH_PYTHON" not in os.environ:
        os.environ["VAEBENCH_PYTHON"] = str(python)
        os.execv(python, [str(python), *sys.orig_argv[1:]])
    sys.exit(
        f"{sys.executable} has not what vaebench needs ({error}): activate .venv with `. .venv/bin/activate` "
        "(`make install` makes it), then run again."
    )


try:
    from vaebench.study.stage import end_with_dvc
except ImportError as error:
    _needs_environment(error)

end_with_dvc()  # before a stage's imports, which take seconds
