"""Progress of a training: a bar in a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tqdm import tqdm

__all__ = ["EpochProgress"]


class EpochProgress:
    """Callable with the history after each epoch, and a context manager.

    Args:
        name: what is trained.
        epochs: how many there will be.
        also: called with the history too.
    """

    def __init__(self, name: str, epochs: int, also: Callable[[list[dict]], None]):
        self.name, self.epochs, self.also = name, epochs, also
        self._bar = None

    def __enter__(self) -> EpochProgress:
        """Show the bar, in a terminal."""
        if sys.stderr.isatty():
            self._bar = tqdm(total=self.epochs, desc=self.name, unit="epoch")
        return self

    def __exit__(self, *_) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()

    def __call__(self, history: list[dict]) -> None:
        """Show the last row and pass the history on."""
        row = history[-1]
        shown = {k: f"{v:.4g}" for k, v in row.items() if k not in ("epoch", "learning_rate")}
        if self._bar is not None:
            self._bar.update(row["epoch"] - self._bar.n)
            self._bar.set_postfix(shown)
        else:
            text = ", ".join(f"{k} {v}" for k, v in shown.items())
            print(f"{self.name}: epoch {row['epoch']}/{self.epochs}: {text}", flush=True)
        self.also(history)

    def say(self, line: str) -> None:
        """A line that does not disturb the bar."""
        tqdm.write(f"{self.name}: {line}", file=sys.stdout)
        sys.stdout.flush()
