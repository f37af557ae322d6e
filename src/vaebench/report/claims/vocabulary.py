"""The words of ``claims.yaml``: what a check may say, and the comparisons that it stands for.

| check | true where |
| --- | --- |
| ``best: m`` | the method is best of a roster in each column on each data set, or among its ``first`` k |
| ``compare: [m …], is: below, than: …`` | each method's number is below (``above``, ``better``, ``worse``) |
| ``compare: [m …], is: equal, within: 0.05, than: …`` | it lies within the ratio of it |
| ``monotone: [m …], is: rises`` | the numbers rise (``falls``) from the first method to the last |
| ``all: [check …]`` | each of the checks is true |
| ``function: f`` | as the function of the folder's ``claims.py`` says |

``columns`` are the paper's, or ``our.<metric>`` for one that it does not print; ``on`` are data sets.
``than`` is a number, or the ``methods``, ``columns`` and ``on`` that differ from the left side; ``factor``
and ``plus`` act on it. With ``spread: true`` it is the deviations over seeds that are compared.
"""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from vaebench.base.errors import UserError
from vaebench.report.claims.comparison import Comparison, Group, Key, Spreads
from vaebench.report.describe import describe
from vaebench.report.papers import Paper, matches

__all__ = ["Check", "groups"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Best(_Strict):
    """A method among the ``first`` of a roster, by default all for which the paper prints the column."""

    best: str
    columns: list[str]
    on: list[str]
    first: PositiveInt = 1
    of: list[str] = []


class Than(_Strict):
    """The right side of a comparison: what differs from the left."""

    methods: list[str] = []
    columns: list[str] = []
    on: list[str] = []


class Compare(_Strict):
    """Each method against each of the other side, or within ``pairs``; ``most`` of them are enough."""

    compare: list[str] = []
    pairs: list[tuple[str, str]] = []
    columns: list[str]
    on: list[str]
    is_: Literal["below", "above", "better", "worse", "equal"] = Field(alias="is")
    than: float | Than = Than()
    factor: float = 1.0
    plus: float = 0.0
    within: float = 0.0
    most: bool = False
    spread: bool = False

    @model_validator(mode="after")
    def _of_spreads(self) -> Self:
        plain = self.is_ in ("below", "above") and (self.factor, self.plus) == (1.0, 0.0)
        if self.spread and not (plain and isinstance(self.than, Than)):
            raise ValueError("with spread, a number is below or above another number, and nothing else")
        return self


class Monotone(_Strict):
    """Numbers along methods in order; a pattern stands for the paper's methods in its order.

    Every pair is compared, so that a study which has some of the methods is judged on those.
    """

    monotone: list[str]
    columns: list[str]
    on: list[str]
    is_: Literal["rises", "falls"] = Field(alias="is")


class All(_Strict):
    """Several checks at once."""

    all: list[Check]


class Function(_Strict):
    """A function of ``claims.py`` beside ``claims.yaml``: it takes the paper and returns groups."""

    function: str


Check = Annotated[Best | Compare | Monotone | All | Function, Field(union_mode="left_to_right")]
All.model_rebuild()


def groups(check, paper: Paper) -> list[Group]:
    """The groups of comparisons that a check of ``claims.yaml`` stands for."""
    if isinstance(check, All):
        return [group for part in check.all for group in groups(part, paper)]
    if isinstance(check, Function):
        return _function(paper, check.function)(paper)
    if isinstance(check, Best):
        return _best(check, paper)
    if isinstance(check, Monotone):
        return [_monotone(check, paper)]
    return [_compare(check, paper)]


def _best(check: Best, paper: Paper) -> list[Group]:
    found = []
    for dataset, column in _printed_places(paper, check.on, check.columns):
        rivals = [m for m in check.of or _printed(paper, dataset, column) if m != check.best]
        sign = _sign(paper, column, check.best)
        own = (dataset, check.best, column)
        comparisons = [
            _difference(paper, (dataset, rival, column), own, sign, ties=True, verb="against")
            for rival in rivals
        ]
        found.append(Group(_said(paper, comparisons), places=check.first))
    return found


def _compare(check: Compare, paper: Paper) -> Group:
    comparisons: list[Comparison | Spreads] = []
    than = check.than if isinstance(check.than, Than) else Than()
    for dataset, column in itertools.product(check.on, check.columns):
        for place, quantity in itertools.product(than.on or [dataset], than.columns or [column]):
            sides = check.pairs or [
                (own, other)
                for own in _methods(paper, check.compare, dataset, column)
                for other in (_methods(paper, than.methods, place, quantity) if than.methods else [own])
            ]
            for method, other in sides:
                left = (dataset, method, column)
                right = check.than if isinstance(check.than, float) else (place, other, quantity)
                if left != right:
                    comparisons += _sides(check, paper, left, right)
    names = [*check.compare, *itertools.chain(*check.pairs), *than.methods, *than.columns, *than.on]
    return Group(_said(paper, comparisons, [*names, *check.columns, *check.on]), most=check.most)


def _sides(check: Compare, paper: Paper, left: Key, right: Key | float) -> list[Comparison] | list[Spreads]:
    if check.spread and not isinstance(right, float):
        small, large = (left, right) if check.is_ == "below" else (right, left)
        words = f"{_side(small, None, paper, 0)} scatters less than {_side(large, small, paper)}"
        return [Spreads((small, large), words)]

    def bound(within: float, sign: float, verb: str, ties: bool) -> Comparison:
        keys = (left,) if isinstance(right, float) else (left, right)
        fixed = right if isinstance(right, float) else 0.0

        def margin(own: float, other: float | None = None) -> float:
            target = check.factor * (fixed if other is None else other) + check.plus
            return within * abs(target) + sign * (target - own)

        words = _side(right, left, paper) if not isinstance(right, float) else f"{right:g}"
        words = f"{check.factor:g} × {words}" if check.factor != 1 else words
        words = f"{words} + {check.plus:g}" if check.plus else words
        verb = f"{verb} {1 + sign * within:g} ×" if within else verb
        return Comparison(keys, margin, f"{_side(left, None, paper, 0)} {verb} {words}", ties)

    if check.is_ == "equal":
        return [
            bound(check.within, 1.0, "at most", True),
            bound(check.within, -1.0, "at least", True),
        ]
    sign = {"below": 1.0, "above": -1.0}.get(check.is_)
    if sign is None:
        sign = _sign(paper, left[2], left[1]) * (1 if check.is_ == "better" else -1)
    return [bound(0.0, sign, "below" if sign > 0 else "above", False)]


def _monotone(check: Monotone, paper: Paper) -> Group:
    comparisons = []
    for dataset, column in _printed_places(paper, check.on, check.columns):
        methods = _methods(paper, check.monotone, dataset, column)
        for first, second in itertools.combinations(methods, 2):
            low, high = (first, second) if check.is_ == "rises" else (second, first)
            keys = (dataset, high, column), (dataset, low, column)
            comparisons.append(_difference(paper, *keys, 1.0, ties=True, verb="not below"))
    return Group(_said(paper, comparisons, [*check.on, *check.columns]))


def _difference(
    paper: Paper, high: Key, low: Key, sign: float, ties: bool = False, verb: str = "not below"
) -> Comparison:
    """Comparison: ``high`` is above ``low``; with ``sign`` −1 below it."""
    if verb == "against":
        text = f"{_side(low, None, paper, 0)} {verb} {_side(high, low, paper)}"
        return Comparison((low, high), lambda a, b: sign * (b - a), text, ties)
    text = f"{_side(high, None, paper, 0)} {verb} {_side(low, high, paper)}"
    return Comparison((high, low), lambda a, b: sign * (a - b), text, ties)


def _side(key: Key, beside: Key | None, paper: Paper, index: int = 1) -> str:
    """A number in words, without what it shares with the one beside it."""
    dataset, method, column = key
    label = describe(paper.metric(column, method) or column).label
    if beside is None:
        return f"{dataset} {label}: {method} {{{index}}}"
    words = [dataset] if dataset != beside[0] else []
    words += [label] if column != beside[2] else []
    return " ".join([*words, method if method != beside[1] or not words else "", f"{{{index}}}"]).replace(
        "  ", " "
    )


def _methods(paper: Paper, names: list[str], dataset: str, column: str) -> list[str]:
    """Methods by name; with a pattern among the names, those that the paper prints there and that fit."""
    if not any(mark in name for name in names for mark in "*!"):
        return names
    known = _printed(paper, dataset, column) or dict.fromkeys(m for d, m, _ in paper.printed if d == dataset)
    return [m for m in known if matches(m, names)]


def _printed(paper: Paper, dataset: str, column: str) -> list[str]:
    """The methods for which the paper prints a column, in its order."""
    return [m for d, m, c in paper.printed if (d, c) == (dataset, column)]


def _printed_places(paper: Paper, datasets: list[str], columns: list[str]) -> list[tuple[str, str]]:
    return [(d, c) for d in datasets for c in columns if _printed(paper, d, c)]


def _said(paper: Paper, comparisons: Sequence[Comparison | Spreads], names: Sequence[str] = ()) -> list:
    """The comparisons whose printed columns the paper has on their data set for their method.

    Raises:
        UserError: one of the names takes part in none, as a name that is misspelt does not.
    """
    kept = [
        c
        for c in comparisons
        if all(key in paper.printed or key[2] not in paper.file.columns for key in c.keys)
    ]
    used = {part for c in kept for key in c.keys for part in key}
    unused = [n for n in names if n not in used and not any(mark in n for mark in "*!")]
    if unused or not kept:
        raise UserError(
            f"{paper.folder / 'claims.yaml'}: a check speaks of {', '.join(unused) or 'a column'}, of which "
            "the paper's tables have no number to compare; correct the name."
        )
    return kept


def _sign(paper: Paper, column: str, method: str) -> float:
    better = describe(paper.metric(column, method) or column).better
    if not better:
        raise UserError(
            f"a claim of {paper.key} asks who is better in {column}, of which neither direction is; "
            "say below or above."
        )
    return 1.0 if better == "lower" else -1.0


def _function(paper: Paper, name: str) -> Callable[[Paper], list[Group]]:
    path = paper.folder / "claims.py"
    spec = importlib.util.spec_from_file_location(f"vaebench_paper_{paper.key}", path)
    assert spec is not None
    assert spec.loader is not None  # as of every file that ends in .py
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return getattr(module, name)
    except (FileNotFoundError, AttributeError) as error:
        raise UserError(f"{path} has no function {name!r}, which claims.yaml asks for: {error}") from None
