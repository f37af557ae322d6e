"""Progress of a training or a fit: a bar in a terminal, a line per epoch elsewhere."""

from __future__ import annotations

from collections.abc import Callable

from vaebench.base.terminal import bars

__all__ = ["EpochProgress"]


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
        text = ", ".join(f"{k} {v}" for k, v in shown.items())
        self._bars.update(self._epochs, completed=row["epoch"], note=text)
        if self._bars.disable:
            print(f"{self.name}: epoch {row['epoch']}/{self.epochs}: {text}", flush=True)
        self.also(history)

    def say(self, line: str) -> None:
        """A line that does not disturb the bar."""
        print(f"{self.name}: {line}", flush=True)
