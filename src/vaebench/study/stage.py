"""Frame of every script in ``stages/``: arguments, errors, and the line on what it wrote."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaebench.base.errors import UserError, paragraph
from vaebench.base.reading import mapping_or_empty
from vaebench.base.streams import protect_streams
from vaebench.study.params import Params, load_params
from vaebench.study.provenance import repository_state
from vaebench.study.resolve import changes, inputs, inputs_json, listed, read_study

__all__ = ["Task", "end_with_dvc", "run_stage"]

_HELP = {
    "dataset": "a key of `datasets` in params.yaml",
    "method": "a key of `methods`",
    "density": "a key of `densities`",
    "seed": "an integer below 2³²",
}


@dataclass(frozen=True)
class Task:
    """One stage of one cell, as it stood when the stage began.

    Attributes:
        stage: the stage's name.
        params: the study.
        cell: the arguments that name the cell: ``dataset``, ``method``, ``seed``, ``density``.
        inputs: the parameters and the code that the result depends on.
        recorded: the file with ``inputs`` that DVC records; None where the stage runs by hand.
        repository: git's state.
        loaded: modules of ``inputs`` that the process had imported.
        began: ``time.perf_counter()``.
        cpu_began: ``time.process_time()``.
    """

    stage: str
    params: Params
    cell: dict[str, Any]
    inputs: dict[str, Any]
    recorded: Path | None
    repository: dict[str, Any]
    loaded: frozenset[str]
    began: float
    cpu_began: float

    @classmethod
    def begin(cls, stage: str, study: str | None, specs: tuple[str, ...], cell: dict[str, Any]) -> Task:
        """Read the parameters and digest the code.

        Args:
            stage: the stage's name.
            study: a study that *resolve* wrote; None takes ``params.yaml``.
            specs: the parts of ``params.yaml`` that are checked against their signatures.
            cell: see :class:`Task`.

        Raises:
            UserError: something is missing or invalid, or the code is not what *resolve* saw.
        """
        clocks = time.perf_counter(), time.process_time()
        params = load_params(specs=specs) if study is None else read_study(study)
        params.check_defined(**{name: value for name, value in cell.items() if name != "seed"})
        made_from = inputs(params, stage, **cell)
        recorded = None if study is None else inputs_json(stage, study, **cell)
        loaded = frozenset(made_from["code"].keys() & sys.modules.keys())
        task = cls(stage, params, cell, made_from, recorded, repository_state(), loaded, *clocks)
        task.check()
        return task

    def check(self) -> None:
        """Refuse a result that would be recorded as made from what it was not made from.

        Raises:
            UserError: the recorded inputs are no longer these, or a module was edited before it was imported.
        """
        if self.recorded is not None and (different := changes(mapping_or_empty(self.recorded), self.inputs)):
            raise UserError(
                f"{self.recorded} is of other parameters or code ({listed(different)}), so the result would "
                "be recorded as made from what it was not made from; run `dvc repro` again."
            )
        late = (self.inputs["code"].keys() & sys.modules.keys()) - self.loaded
        if late:
            late &= set(changes(self.inputs, inputs(self.params, self.stage, **self.cell)))
        if late:
            raise UserError(
                f"{listed(sorted(late))} was edited while the stage ran and imported afterwards, so nothing "
                "says what ran; run it again."
            )

    @property
    def names(self) -> tuple[Any, ...]:
        """The study's name and the cell's values, as the functions of :mod:`.paths` take them."""
        return self.params.study.name, *self.cell.values()


def run_stage(main: Callable[[Task], Iterable[Path]], *arguments: str, specs: tuple[str, ...] = ()) -> None:
    """Call ``main`` with the task that the command line names, then say what it wrote and how long it took.

    An error becomes one paragraph on stderr and exit status 1; the files that ``main``
    writes are written atomically, so an earlier result is still whole.

    Args:
        main: the stage; returns the paths that it wrote.
        arguments: names of the options that tell its cell on the command line.
        specs: the parts of the parameters that it needs checked.
    """
    protect_streams()
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--study", help="a study that `resolve` wrote, as DVC gives it; else params.yaml")
    for argument in arguments:
        kind = _seed if argument == "seed" else str
        parser.add_argument(f"--{argument}", required=True, type=kind, help=_HELP[argument])
    cell = vars(parser.parse_args())
    name = Path(sys.argv[0]).stem
    try:
        task = Task.begin(name, cell.pop("study"), specs, cell)
        written = list(main(task))
        task.check()
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted; run again.")
    except Exception as error:
        sys.exit(f"{name}: {paragraph(error)}")
    print(f"{name}: wrote {', '.join(map(str, written))} in {time.perf_counter() - task.began:.1f} s")


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
