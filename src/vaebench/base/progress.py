"""Progress of a training or a fit: a bar in a terminal, elsewhere a line per epoch.

A training that tells its steps, too, has a line per minute of a long epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from vaebench.base.terminal import bars

__all__ = ["EpochProgress"]

SILENCE = 60.0
"""Seconds after which a line says how far an epoch is."""

LOOK = 0.5
"""Seconds between two looks at a bar."""


class EpochProgress:
    """Callable with the history after each epoch, and a context manager.

    Args:
        name: of the training.
        epochs: of the schedule.
        also: called with the history too.
    """

    def __init__(self, name: str, epochs: int, also: Callable[[list[dict]], None]):
        self.name, self.epochs, self.also = name, epochs, also
        self._bars = bars()
        self._epochs = self._bars.add_task(name, total=epochs, note="")
        self._shown, self._note = time.monotonic(), ""

    def __enter__(self) -> EpochProgress:
        """Show the bar, in a terminal."""
        self._bars.start()
        return self

    def __exit__(self, *_) -> None:
        """Leave the bar as it is."""
        self._bars.stop()

    def __call__(self, history: list[dict]) -> None:
        """Show the last row and pass the history on."""
        row = history[-1]
        shown = {k: f"{v:.4g}" for k, v in row.items() if k not in ("epoch", "learning_rate")}
        self._note = ", ".join(f"{k} {v}" for k, v in shown.items())
        self._show(row["epoch"], f"epoch {row['epoch']}/{self.epochs}: {self._note}")
        self.also(history)

    def within(self, done: float) -> None:
        """Show how far a long epoch is: ``done`` epochs of all, with the part of this one."""
        part = done % 1  # 0 after an epoch's last step, whose row follows
        if part and time.monotonic() - self._shown >= (SILENCE if self._bars.disable else LOOK):
            self._show(done, f"epoch {int(done) + 1}/{self.epochs}, {int(100 * part)} % of it")

    def say(self, line: str) -> None:
        """A line that does not disturb the bar."""
        print(f"{self.name}: {line}", flush=True)

    def _show(self, done: float, line: str) -> None:
        self._shown = time.monotonic()
        self._bars.update(self._epochs, completed=done, note=self._note)
        if self._bars.disable:
            self.say(line)
