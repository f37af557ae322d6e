"""What every script in ``stages/`` does around its work: arguments, errors, and what it wrote."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from vaebench.base.errors import UserError

__all__ = ["end_with_dvc", "run_stage"]

_HELP = {
    "dataset": "a key of `datasets` in params.yaml",
    "method": "a key of `methods`",
    "density": "a key of `densities`",
    "seed": "an integer below 2³²",
}


def run_stage(main: Callable[..., Iterable[Path]], *arguments: str) -> None:
    """Call ``main`` with the command line's ``arguments``, then say what it wrote and how long it took.

    A :class:`UserError` becomes one paragraph on stderr and exit status 1; the files that ``main``
    writes are written atomically, so an earlier result is still whole.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    for name in arguments:
        kind = _seed if name == "seed" else str
        parser.add_argument(f"--{name}", required=True, type=kind, help=_HELP[name])
    began = time.perf_counter()
    name = Path(sys.argv[0]).stem
    try:
        written = list(main(**vars(parser.parse_args())))
    except UserError as error:
        sys.exit(f"{name}: {error}")
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        sys.exit(
            f"{name}: {error.strerror or error}{where}. Check the room on the disk and the folder's "
            "permissions, then run again; what was written before is whole."
        )
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted; run again.")
    print(f"{name}: wrote {', '.join(map(str, written))} in {time.perf_counter() - began:.1f} s")


def _seed(text: str) -> int:
    if not text.isdecimal() or len(text) > 10 or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer from 0 to {2**32 - 1}")
    return int(text)


def end_with_dvc() -> None:
    """Have Linux end this process when the `dvc` that started it is killed; by itself it would run on.

    SIGTERM, so that a training saves its checkpoint first.
    """
    if "DVC_STAGE" in os.environ and sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
