"""Style of figures, and saving them: as PNG and PDF, the same bytes from the same numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator, FuncFormatter, LogLocator, NullFormatter

__all__ = ["drawing", "log_ticks", "panels", "plain", "save", "save_png"]

_STYLE = {
    "figure.dpi": 100,
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e6ea",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,
}


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """An empty figure of ``width`` × ``height`` inches in the house style."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.09, w_pad=0.06)
        FigureCanvasAgg(figure)
        yield figure


@contextmanager
def panels(
    count: int,
    panel: tuple[float, float],
    margin: tuple[float, float] = (0, 0),
    most: int = 3,
    **shared: bool,
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A :func:`drawing` of ``count`` axes, at most ``most`` side by side.

    Args:
        count: of the axes.
        panel: width and height of one, inches.
        margin: added to the width and height of all.
        most: axes in a row.
        shared: ``sharex`` and ``sharey``, as in matplotlib's ``subplots``.
    """
    wide = min(most, count)
    high = math.ceil(count / wide)
    with drawing(panel[0] * wide + margin[0], panel[1] * high + margin[1]) as figure:
        axes = list(figure.subplots(high, wide, squeeze=False, **shared).ravel())
        for ax in axes[count:]:
            ax.remove()
        yield figure, axes[:count]


def plain(text: str) -> str:
    """A name from outside as matplotlib draws it letter by letter, ``$`` included."""
    return text.replace("$", r"\$")


def log_ticks(axis: Axis) -> None:
    """Label a logarithmic axis, its data drawn, with plain numbers that do not run into each other."""
    low, high = axis.get_view_interval()
    decades = math.log10(high / low)
    steps = LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,))
    axis.set_major_locator(AutoLocator() if decades < 0.7 else steps)
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def save(figure: Figure, stem: Path, dpi: int = 150) -> list[Path]:
    """Write ``<stem>.png`` and ``<stem>.pdf``."""
    png, pdf = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.pdf")
    save_png(figure, png, dpi)
    figure.savefig(pdf, dpi=dpi, metadata={"CreationDate": None, "Producer": None, "Creator": None})
    return [png, pdf]


def save_png(figure: Figure, path: Path, dpi: int = 150) -> None:
    """Write the PNG alone; one without colour has one channel, which takes half the bytes."""
    from PIL import Image, ImageChops

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    figure.savefig(path, dpi=dpi, metadata={"Software": None})
    with Image.open(path) as written:
        drawn = written.convert("RGB")
    grey = drawn.convert("L")
    if ImageChops.difference(drawn, grey.convert("RGB")).getbbox() is None:
        grey.save(path, dpi=(dpi, dpi))
