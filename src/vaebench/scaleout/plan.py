"""Order of the stages: DVC's graph, several at a time, each result as early as it can be."""

from __future__ import annotations

import heapq
import re
import subprocess
from collections.abc import Sequence
from graphlib import TopologicalSorter
from pathlib import Path

import networkx as nx

from vaebench.base.errors import UserError

__all__ = ["Plan", "ask_dvc", "read_graph"]


class Plan:
    """Names, each given out once all that it depends on is done.

    What one result needs comes before what the next one needs: a method's evaluation before another's
    training, where DVC itself goes through ``dvc.yaml`` stage by stage.

    Args:
        graph: an edge leads from a name to each that it depends on.

    Attributes:
        waiting: names that were neither given out nor dropped.
    """

    def __init__(self, graph: nx.DiGraph):
        self._graph = graph
        rooted = nx.DiGraph(graph)
        rooted.add_edges_from([("", name) for name in graph if not graph.in_degree(name)])
        order = list(nx.dfs_postorder_nodes(rooted, ""))[:-1] if graph else []
        self._place = {name: place for place, name in enumerate(order)}
        self._sorter = TopologicalSorter({name: graph.successors(name) for name in order})
        self._sorter.prepare()
        self._ready: list[tuple[int, str]] = []
        self.waiting = set(order)

    def next(self) -> str | None:
        """A name whose needs are done; None where none is ready."""
        for name in self._sorter.get_ready():
            heapq.heappush(self._ready, (self._place[name], name))
        if not self._ready:
            return None
        _, name = heapq.heappop(self._ready)
        self.waiting.discard(name)
        return name

    def done(self, name: str) -> None:
        """Make ready what waited for ``name`` alone."""
        self._sorter.done(name)

    def drop(self, name: str) -> list[str]:
        """Drop what depends on ``name``, which failed; the names, without those dropped before."""
        dropped = nx.ancestors(self._graph, name) & self.waiting
        self.waiting -= dropped
        return sorted(dropped)


def read_graph(root: Path, targets: Sequence[str] = ()) -> nx.DiGraph:
    """The stages of ``targets`` and all that they need; an edge leads from a stage to what it depends on.

    Args:
        root: the repository.
        targets: stages; the name of a matrix stands for all of its stages, and none for all of the project.

    Raises:
        UserError: DVC's error, or a target that is no stage.
    """
    text = ask_dvc(root, "dag", "--dot")
    graph = nx.DiGraph()
    graph.add_nodes_from(re.findall(r'^"([^"]+)";$', text, re.MULTILINE))
    graph.add_edges_from(
        (name, need) for need, name in re.findall(r'^"([^"]+)" -> "([^"]+)";$', text, re.MULTILINE)
    )
    kept = set() if targets else set(graph)
    for target in targets:
        found = [name for name in graph if name == target or name.startswith(f"{target}@")]
        if not found:
            raise UserError(f"there is no stage {target!r}; `dvc stage list --name-only` lists them.")
        kept.update(found, *(nx.descendants(graph, name) for name in found))
    return graph.subgraph(kept)


def ask_dvc(root: Path, *arguments: str) -> str:
    """Output of a command of DVC.

    Raises:
        UserError: with what DVC says went wrong.
    """
    command = ["dvc", "--wait-for-lock", *arguments]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if result.returncode:
        raise UserError(result.stderr.strip() or f"{' '.join(command)} ended with {result.returncode}")
    return result.stdout
