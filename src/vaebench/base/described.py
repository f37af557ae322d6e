"""Descriptions that a class carries: of its numbers, its formula, its source.

>>> @describes({"sparsity": Described("sparsity", better="higher", group="latent", help="share of zeros")})
... def sparsity(run):
...     return {"sparsity": 0.5}
>>> sparsity.describes["sparsity"].better
'higher'

Where they are literals they are read from the source, so that the report needs no torch to show them, and
:mod:`vaebench.study.code` leaves them out of the digests of stages that compute.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

__all__ = ["WORDS", "Better", "Described", "assigned", "describes", "words_in_source"]

Better = Literal["lower", "higher", ""]
Named = TypeVar("Named", bound=Callable)

WORDS = ("formula", "citation", "describes")
"""Attributes of a class that are only shown."""


@dataclass(frozen=True)
class Described:
    """Description of one number of a metric, or of one column of a history.

    Attributes:
        label: as tables and figures show it.
        better: "lower" or "higher", by which methods are ranked; empty where neither is.
        group: of the tables, a key of ``vaebench.report.describe.GROUPS``.
        unit: "nats", say; stands behind the label.
        help: its meaning, in a sentence.
        measures: False for a yardstick or a count beside the numbers that are of the model itself.
    """

    label: str
    better: Better = ""
    group: str = "other"
    unit: str = ""
    help: str = ""
    measures: bool = True

    @property
    def title(self) -> str:
        """The label, and in brackets the unit."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label


def describes(numbers: Mapping[str, Described]) -> Callable[[Named], Named]:
    """Attach ``numbers`` to a metric, a likelihood, a regularizer or a posterior.

    Args:
        numbers: by their dotted path in the metrics file, or by their column in the history. A path may end
            with ``*``, which stands for the rest of it, also in the label; the first that fits is taken.
    """

    def attach(value: Named) -> Named:
        value.describes = dict(numbers)  # type: ignore[attr-defined]
        return value

    return attach


def words_in_source(module: str, name: str, attribute: str) -> Any:
    """One of :data:`WORDS` of the class or function ``name`` of ``module``, which is not imported.

    Returns:
        None where ``name`` does not say it itself; what a base class says is not inherited.

    Raises:
        LookupError: ``name`` is not defined there, or what it says is no literal.
    """
    for node in _tree(module).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return _evaluate(_expression(node, attribute))
    raise LookupError(name)


@functools.cache
def _tree(module: str) -> ast.Module:
    try:
        spec = importlib.util.find_spec(module)
        return ast.parse(Path(str(spec and spec.origin)).read_bytes())
    except (ImportError, OSError, ValueError, SyntaxError) as error:
        raise LookupError(module) from error


def _expression(node: ast.ClassDef | ast.FunctionDef, attribute: str) -> ast.expr:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == attribute:
            return decorator.args[0]
    for statement in node.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and assigned(statement) == attribute:
            return statement.value or ast.Constant(None)
    return ast.Constant(None)


def assigned(statement: ast.Assign | ast.AnnAssign) -> str:
    """The one name that a statement of a class assigns; empty where it is no name."""
    target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
    return getattr(target, "id", "")


def _evaluate(node: ast.expr) -> Any:
    try:
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Described":
            options = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
            return Described(*map(ast.literal_eval, node.args), **options)
        if isinstance(node, ast.Dict):
            keys = [ast.literal_eval(key) for key in node.keys if key is not None]
            return dict(zip(keys, map(_evaluate, node.values), strict=True))
        return ast.literal_eval(node)
    except ValueError as error:
        raise LookupError("not a literal") from error
