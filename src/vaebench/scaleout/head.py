"""The head: hands commands to an engine in the plan's order, and lets a failure stop what depends on it."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import quote

import networkx as nx
import yaml

from vaebench.base.errors import UserError
from vaebench.scaleout.command import Job
from vaebench.scaleout.engines import Engine
from vaebench.scaleout.plan import Plan, ask_dvc, read_graph
from vaebench.scaleout.view import View
from vaebench.study.lockfile import repair
from vaebench.study.resources import Resources, resources, study_resources

__all__ = ["grid", "only_head", "preview", "reproduce", "sweep"]

FOLDER, TAIL = Path(".dvc/tmp/scaleout"), 15
"""The folder of logs, and the number of lines shown of a failed command's output."""


def reproduce(engine: AbstractContextManager[Engine], targets: Sequence[str] = ()) -> bool:
    """Run the stages that ``dvc repro targets`` would, on ``engine``, in the current folder, a repository.

    Args:
        engine: started only if a stage must run.
        targets: stages; none means all.

    Returns:
        True if every stage is up to date now.

    Raises:
        UserError: no repository here, another head at work, or DVC's error.
    """
    with only_head():
        graph, _ = _stale(targets)
        stages, study = _stages(), study_resources(Path("params.yaml"))

        def wanted(name: str) -> Resources:
            return resources(name, stages.get(_kind(name), {}).get("meta"), study)

        return _work_off(engine, Plan(graph), lambda name: ["repro", "--single-item", name], wanted)


def preview(targets: Sequence[str] = ()) -> list[str]:
    """A line for each stage that would run, or might because of what it depends on, in the plan's order."""
    with only_head():
        graph, changed = _stale(targets)
    plan, lines = Plan(graph), []
    while name := plan.next():
        lines.append(f"{'runs   ' if name in changed else 'may run'}  {name}")
        plan.done(name)
    return lines


def sweep(engine: AbstractContextManager[Engine], points: dict[str, tuple[str, ...]]) -> bool:
    """Run an experiment of DVC's for each of the points of a :func:`grid`, each in a copy of its own.

    The result says whether all of them ended well.
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(points)
    with only_head():
        study = study_resources(Path("params.yaml"))
        options = {name: [f"--set-param={setting}" for setting in point] for name, point in points.items()}
        command = lambda name: ["exp", "run", "--temp", *options[name]]  # noqa: E731
        return _work_off(engine, Plan(graph), command, lambda name: study)


def grid(settings: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Each point's settings by its name.

    >>> list(grid(["a=1,2", "b=[3,4],5"]))
    ['a=1 b=[3,4]', 'a=1 b=5', 'a=2 b=[3,4]', 'a=2 b=5']
    """
    axes = []
    for setting in settings:
        key, equals, values = setting.partition("=")
        if not equals:
            raise UserError(f"-S {setting} has no value; write -S {setting}=1,2.")
        axes.append([f"{key}={value}" for value in re.split(r",(?![^\[({]*[\])}])", values)])
    return {" ".join(point): point for point in itertools.product(*axes)}


def _stale(targets: Sequence[str]) -> tuple[nx.DiGraph, set[str]]:
    """The stages that may run, and those of them that are out of date by themselves.

    A stage that always runs and depends on nothing, `resolve`, runs at once: DVC knows only then what its
    outputs make stale.
    """
    graph = read_graph(Path(), targets)
    always = {name for name, stage in _stages().items() if stage.get("always_changed")}
    first = [name for name in graph if _kind(name) in always and not graph.out_degree(name)]
    for name in first:
        ask_dvc(Path(), "repro", "--quiet", "--single-item", name)
    changed = (set(json.loads(ask_dvc(Path(), "status", "--json"))) & set(graph)) - set(first)
    possible = changed.union(*(nx.ancestors(graph, name) for name in changed))
    return graph.subgraph(possible), changed


def _stages() -> dict:
    return yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8")).get("stages", {})


def _kind(name: str) -> str:
    """``train`` of ``train@mnist-vae-0``."""
    return name.partition("@")[0]


def _work_off(
    start: AbstractContextManager[Engine],
    plan: Plan,
    command: Callable[[str], list[str]],
    wanted: Callable[[str], Resources],
) -> bool:
    engine: Engine | None = None
    running: dict = {}
    ended: SimpleQueue = SimpleQueue()
    with ExitStack() as stack:
        view = stack.enter_context(View(len(plan.waiting)))
        while True:
            while (engine is None or len(running) < engine.slots) and (name := plan.next()):
                if engine is None:
                    engine = stack.enter_context(start)
                    view.say(f"on {engine.where}")
                log = FOLDER.resolve() / f"{quote(name, safe='@')[:200]}.log"
                job = Job(name, ["dvc", "--wait-for-lock", *command(name)], Path.cwd(), dict(os.environ), log)
                try:
                    future = engine.submit(job, wanted(name))
                except UserError as error:
                    view.failed(name, str(error), plan.drop(name))
                    continue
                running[future] = job
                view.started(name)
                future.add_done_callback(ended.put)
            if not running:
                view.say(view.summary())
                return not view.counts["failed"]
            future = ended.get()
            job = running.pop(future)
            if why := _failure(future, job):
                view.failed(job.name, why, plan.drop(job.name))
            else:
                plan.done(job.name)
                view.ran(job.name, future.result()[1])


def _failure(future, job: Job) -> str:
    if error := future.exception():
        why = f"{type(error).__name__}: {str(error).strip()[-500:]}"
    elif code := future.result()[0]:
        why = f"ended with {code}"
    else:
        return ""
    text = job.log.read_text(encoding="utf-8", errors="replace") if job.log.is_file() else ""
    last = (f"    {line}" for line in text.splitlines()[-TAIL:])
    return "\n".join([f"{why}; the end of {job.log}:", *last])


@contextmanager
def only_head() -> Iterator[None]:
    """No second head here, and what a killed DVC left damaged is repaired."""
    if not Path(".dvc").is_dir() or not Path("dvc.yaml").is_file():
        raise UserError(f"{Path.cwd()} has no .dvc and dvc.yaml; run this in the repository's root.")
    FOLDER.mkdir(parents=True, exist_ok=True)
    # flock and no FileLock: whoever is refused reads in the locked file whose it is.
    with (FOLDER / "head.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise UserError(f"process {owner} works here already; wait for it to end, or end it.") from None
        file.truncate(0)
        file.write(f"{os.getpid()} on {socket.gethostname()}")
        file.flush()
        for line in repair(Path()):
            print(line)
        yield
