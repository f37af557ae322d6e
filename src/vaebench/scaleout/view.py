"""What runs, waits, failed and is left: one picture in a terminal, a line for each event elsewhere."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Mapping

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

__all__ = ["View"]

SHOWN = 20
"""Running stages listed in a terminal."""


class View:
    """Told of each event by the head; a context manager.

    Args:
        total: how many stages there are.
    """

    def __init__(self, total: int):
        self.total = total
        self.counts = {"unchanged": 0, "restored": 0, "ran": 0, "failed": 0, "dropped": 0}
        self._running: Mapping[str, float] = {}
        self._handed_over: set[str] = set()
        self._seconds: dict[str, list[float]] = defaultdict(list)
        self._slots = 1
        self._console = Console(highlight=False, soft_wrap=True)
        self._live = Live(console=self._console, auto_refresh=False) if sys.stdout.isatty() else None

    def __enter__(self) -> View:
        """Begin the picture, in a terminal."""
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_) -> None:
        """Leave the last picture."""
        if self._live:
            self._live.stop()

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(Text(line))

    def settled(self, how: str) -> None:
        """A stage did not have to run."""
        self.counts[how] += 1

    def handed_over(self, name: str) -> None:
        """A stage's command is the engine's."""
        self._handed_over.add(name)

    def ran(self, name: str, seconds: float) -> None:
        """A stage's command ended and is recorded."""
        self._handed_over.discard(name)
        self.counts["ran"] += 1
        self._seconds[_kind(name)].append(seconds)
        self.say(f"{self._done}/{self.total}  {name}  {_duration(seconds)}  {self._left()}")

    def failed(self, name: str, why: str, dropped: list[str]) -> None:
        """A stage failed, and so nothing that depends on it can run."""
        self._handed_over.discard(name)
        self.counts["failed"] += 1
        self.counts["dropped"] += len(dropped)
        also = f"; {len(dropped)} that depend on it do not run" if dropped else ""
        self.say(f"FAILED  {name}{also}\n{why}")

    def tick(self, running: Mapping[str, float]) -> None:
        """Show the state, given the stages whose commands run and since when (seconds of the epoch)."""
        self._running = running
        self._slots = max(self._slots, len(running))
        if self._live:
            self._live.update(self._picture(), refresh=True)

    def summary(self) -> str:
        """One line for the end."""
        c = self.counts
        parts = [
            f"{c['ran']} ran",
            f"{c['restored']} restored from the run cache",
            f"{c['unchanged']} unchanged",
        ]
        parts += [f"{c['failed']} failed, {c['dropped']} not run because of that"] if c["failed"] else []
        return f"{self.total} stages: " + ", ".join(parts) + "."

    @property
    def _done(self) -> int:
        return sum(self.counts.values()) - self.counts["failed"] - self.counts["dropped"]

    def _picture(self) -> Group:
        table = Table.grid(padding=(0, 2))
        ordered = sorted(self._running.items(), key=lambda item: item[1])
        for name, since in ordered[:SHOWN]:
            table.add_row("  runs", name, _duration(time.time() - since))
        if len(ordered) > SHOWN:
            table.add_row("", f"and {len(ordered) - SHOWN} more", "")
        waiting = self._unfinished - len(self._running)
        failed = f", {self.counts['failed']} failed" if self.counts["failed"] else ""
        line = f"{self._done} of {self.total} done, {len(self._running)} run, {waiting} wait{failed}; "
        line += self._left()
        return Group(table, Text(line, style="bold"))

    @property
    def _unfinished(self) -> int:
        return self.total - sum(self.counts.values())

    def _left(self) -> str:
        """An estimate: stages of a kind take what that kind took so far, as many at a time as at most ran."""
        if not self._seconds:
            return f"{self._unfinished} left"
        known = [s for seconds in self._seconds.values() for s in seconds]
        mean = {kind: sum(s) / len(s) for kind, s in self._seconds.items()}
        overall = sum(known) / len(known)
        names = self._handed_over
        work = sum(mean.get(_kind(name), overall) for name in names)
        work += overall * (self._unfinished - len(names))
        return f"{self._unfinished} left, about {_duration(work / self._slots)}"


def _kind(name: str) -> str:
    """``train`` of ``train@mnist-vae-0``."""
    return name.partition("@")[0]


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
