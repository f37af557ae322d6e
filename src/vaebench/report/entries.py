"""Parts of a table: numbers as text, entries, columns and rows. A value not computed is a dash."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from vaebench.report.statistics import t_interval

__all__ = ["DASH", "Entry", "Table", "interval_words", "number", "percent"]

DASH = "–"


@dataclass(frozen=True)
class Entry:
    """Our mean of ``n`` seeds, of ``sound`` runs that did not diverge, next to the paper's value.

    ``se`` is the standard error over test images. ``mark`` is ``best``, not distinguishable from the best
    of its column; ``single``, the best of one seed, which decides nothing; or empty. ``flag`` says what is
    unsound. ``predicted`` are the ends of the paper's prediction interval, see :mod:`.means`.
    """

    mean: float = math.nan
    std: float = math.nan
    n: int = 0
    sound: int = 0
    diverged: int = 0
    paper: float = math.nan
    paper_std: float = math.nan
    mark: str = ""
    flag: str = ""
    se: float = math.nan
    predicted: tuple[float, float] = (math.nan, math.nan)

    @classmethod
    def of(cls, r) -> Entry:
        """The unmarked entry of a row of :func:`vaebench.report.means.summarise`, from ``itertuples``."""
        flag = f"{r.label}: {r.flag}" if r.flag else ""
        means = r.mean, r.std, r.n, r.sound, r.diverged, r.paper, r.paper_std
        return cls(*means, flag=flag, se=r.se, predicted=(r.predicted_low, r.predicted_high))

    @property
    def ours(self) -> str:
        """Our value and its error; a dash; or ``diverged`` where all runs did.

        The error is the deviation over seeds, or with one seed the standard error over test images. † stands
        behind it where some runs diverged, ‡ where it is unsound, ° where it is the best of one seed.
        """
        if self.diverged and not self.sound:
            return "diverged"
        signs = {"†": self.diverged, "‡": self.flag, "°": self.mark == "single"}
        value = number(self.mean, self.se if self.n == 1 else self.std)
        return value + ("".join(sign for sign, there in signs.items() if there) if self.n else "")

    @property
    def printed(self) -> str:
        """The paper's value or a dash."""
        return number(self.paper, self.paper_std)


@dataclass(frozen=True)
class Table:
    """A table ready to be written: ``columns`` are (group, label), each row a label and its entries.

    ``legend`` says what entries are where they are not ours next to the paper's; ``ranked`` along which line
    entries are of one kind, ``column``, ``row`` or "".
    """

    name: str
    title: str
    corner: str
    columns: list[tuple[str, str]]
    rows: list[tuple[str, list[Entry]]]
    note: str = ""
    legend: str = ""
    ranked: str = "column"

    @property
    def spans(self) -> list[tuple[str, int]]:
        """The upper header: each group and how many columns it spans."""
        spans: list[list] = []
        for group, _ in self.columns:
            if spans and spans[-1][0] == group:
                spans[-1][1] += 1
            else:
                spans.append([group, 1])
        return [(group, width) for group, width in spans]


def number(value: float, std: float = math.nan, like: float | None = None) -> str:
    """A value, ± its standard deviation at the same number of decimals; NaN is a dash.

    ``like`` is the number whose size decides the decimals, the value itself by default.

    >>> number(4.4, 0.031), number(6.31e-5), number(-0.05, like=4.4), number(math.nan)
    ('4.40 ± 0.03', '6.31e-05', '−0.05', '–')
    """
    if math.isnan(value):
        return DASH
    form = _form(abs(value if like is None else like))
    text = f"{value:{form}}"
    text = text.replace("-", "−", 1) if text.startswith("-") else text
    return text if math.isnan(std) else f"{text} ± {std:{form}}"


def interval_words(seeds: Iterable[int]) -> str:
    """Width of a mean's 95 % interval beside its deviation, by the number of seeds; none of one.

    >>> interval_words([5, 5, 1, 2])
    "A mean's 95 % interval in standard deviations: ± 8.98 (n = 2), ± 1.24 (n = 5)."
    """
    several = sorted({n for n in seeds if n > 1})
    widths = ", ".join(f"± {t_interval(0.0, 1.0, n)[1]:.2f} (n = {n})" for n in several)
    return f"A mean's 95 % interval in standard deviations: {widths}." if widths else ""


def percent(share: float) -> str:
    """A share at two digits; what is not all of it is never 100 %.

    >>> percent(1.0), percent(0.4), percent(0.025), percent(0.998)
    ('100 %', '40 %', '2.5 %', '99 %')
    """
    return "100 %" if share >= 1 else f"{min(100 * share, 99):.2g} %"


def _form(size: float) -> str:
    if size and not 1e-3 <= size < 1e6:
        return ".2e"
    return f".{1 if size >= 1000 else 2 if size >= 1 or not size else 3 if size >= 0.1 else 4}f"
