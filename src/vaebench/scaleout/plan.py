"""Which stage may go next: DVC's graph, several at a time, each result as early as it can be."""

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
        visited: list[Stage] = plan_repro(graph, collect_stages(repo, targets or ["dvc.yaml"]))
        self._graph = graph.subgraph(visited)
        results = [stage for stage in visited if not self._graph.in_degree(stage)]
        rooted = nx.DiGraph(self._graph)
        rooted.add_edges_from(("all", stage) for stage in results)
        order = list(nx.dfs_postorder_nodes(rooted, "all"))[:-1]
        self._sorter = TopologicalSorter({stage: self._graph.successors(stage) for stage in order})
        self._sorter.prepare()
        self._place = {stage: place for place, stage in enumerate(order)}
        self._ready: list[tuple[int, Stage]] = []
        self.waiting = {stage.addressing for stage in order}
        self.size = len(order)

    def next(self) -> Stage | None:
        """A stage whose dependencies are done; None where none is ready.

        What one result needs comes before what the next one needs: a method's evaluation before another's
        training, where DVC itself goes through ``dvc.yaml`` stage by stage.
        """
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
