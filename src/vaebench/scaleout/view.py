"""View of the commands that run, failed and are left: bars in a terminal, one line per event elsewhere."""

from __future__ import annotations

import sys

from rich.progress import TaskID
from rich.text import Text

from vaebench.base.terminal import bars

__all__ = ["View"]


class View:
    """Told of each event by the head; a context manager.

    Args:
        total: how many commands there are.
    """

    def __init__(self, total: int):
        self.counts = {"total": total, "ran": 0, "failed": 0, "dropped": 0}
        self._bars = bars(sys.stdout)
        self._all = self._bars.add_task("all", total=total, note="")
        self._running: dict[str, TaskID] = {}

    def __enter__(self) -> View:
        """Begin."""
        self._bars.start()
        return self

    def __exit__(self, *_) -> None:
        """Leave the last picture."""
        self._bars.stop()

    def say(self, line: str) -> None:
        """A line that stays."""
        self._bars.console.print(Text(line))

    def started(self, name: str) -> None:
        """A command is the engine's."""
        self._running[name] = self._bars.add_task(name, total=None, note="")

    def ran(self, name: str, seconds: float) -> None:
        """A command ended well."""
        self._ended(name)
        self.counts["ran"] += 1
        self.say(f"{self.counts['ran']}/{self.counts['total']}  {name}  {seconds:.1f} s")

    def failed(self, name: str, why: str, dropped: list[str]) -> None:
        """A command failed, and so nothing that depends on it can run."""
        self._ended(name)
        self.counts["failed"] += 1
        self.counts["dropped"] += len(dropped)
        also = f"; {len(dropped)} that depend on it do not run" if dropped else ""
        self.say(f"FAILED  {name}{also}\n{why}")

    def summary(self) -> str:
        """One line for the end."""
        c = self.counts
        failed = f", {c['failed']} failed, {c['dropped']} not run because of that" if c["failed"] else ""
        return f"{c['ran']} of {c['total']} done{failed}." if c["total"] else "Everything is up to date."

    def _ended(self, name: str) -> None:
        self._bars.advance(self._all)
        if name in self._running:
            self._bars.remove_task(self._running.pop(name))
