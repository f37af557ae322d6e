"""A function through torch.compile, or as it is where this machine cannot compile.

>>> double = Compiled(lambda x: 2 * x)
>>> with torch.compiler.set_stance("force_eager"):
...     double(torch.ones(1))
tensor([2.])
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable

import torch

__all__ = ["Compiled"]


class Compiled:
    """Callable as ``function``, which is compiled at the first call, or runs as it is where that fails.

    Compiling needs a C++ compiler, Python's headers, and a temporary folder from which code may be run.

    Args:
        function: of tensors whose shapes stay.
        say: called with a line where compiling fails.
        options: torch.compile's.
    """

    def __init__(self, function: Callable, say: Callable[[str], None] = print, **options):
        torch._dynamo.config.trace_autograd_ops = True
        if not torch.cuda.is_available():  # it would warn of a CUDA that is not there
            logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
        self._function, self._say = function, say
        self._call = torch.compile(function, dynamic=False, **options)
        self._works = False

    def __call__(self, *arguments):
        """Return value of ``function``."""
        if self._works:
            return self._call(*arguments)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module="torch._inductor.cpp_builder")
                result = self._call(*arguments)
        except Exception as error:
            self._call = self._function
            result = self._call(*arguments)  # what is wrong with the function itself is raised here
            self._say(
                f"not compiled, which this machine cannot ({_reason(error)}); slower, the same otherwise"
            )
        self._works = True
        return result


def _reason(error: Exception) -> str:
    """The line that says why compiling failed; torch adds the whole command and its own advice."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return next((line for line in lines if "fatal error" in line), lines[0]).strip()
