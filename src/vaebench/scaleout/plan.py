"""Which stage may go next: DVC's graph and DVC's order, several at a time."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

import networkx as nx
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

__all__ = ["Plan"]


class Plan:
    """The stages that ``dvc repro targets`` would visit, each given out once all it depends on is done.

    Args:
        repo: a locked repository; its index is used until the end and not read again.
        targets: stages or files, as for ``dvc repro``; none means all of ``dvc.yaml``.

    Attributes:
        waiting: names of the stages that were neither given out nor dropped.
        size: how many stages there are.
    """

    def __init__(self, repo: Repo, targets: Sequence[str] = ()):
        graph = get_active_graph(repo.index.graph)
        order: list[Stage] = plan_repro(graph, collect_stages(repo, targets or ["dvc.yaml"]))
        self._graph = graph.subgraph(order)
        self._sorter = TopologicalSorter({stage: self._graph.successors(stage) for stage in order})
        self._sorter.prepare()
        self._place = {stage: place for place, stage in enumerate(order)}
        self._ready: list[tuple[int, Stage]] = []
        self.waiting = {stage.addressing for stage in order}
        self.size = len(order)

    def next(self) -> Stage | None:
        """A stage whose dependencies are done, the first in DVC's order; None where none is ready."""
        for stage in self._sorter.get_ready():
            heapq.heappush(self._ready, (self._place[stage], stage))
        if not self._ready:
            return None
        _, stage = heapq.heappop(self._ready)
        self.waiting.discard(stage.addressing)
        return stage

    def done(self, stage: Stage) -> None:
        """Make ready what waited for ``stage`` alone."""
        self._sorter.done(stage)

    def drop(self, stage: Stage) -> list[str]:
        """Drop what depends on ``stage``, which failed; its names, without those dropped before."""
        dropped = [s.addressing for s in nx.ancestors(self._graph, stage) if s.addressing in self.waiting]
        self.waiting.difference_update(dropped)
        return sorted(dropped)
