"""The head: hands stages over, records them, and lets a failure stop only what depends on it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import psutil
from dvc.exceptions import DvcException, NotDvcRepoError
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo

from vaebench.base.errors import UserError
from vaebench.scaleout.command import Ended, Job, measure
from vaebench.scaleout.economy import forget_listings, quick_params
from vaebench.scaleout.engines import Engine
from vaebench.scaleout.lockfile import repair
from vaebench.scaleout.plan import Plan
from vaebench.scaleout.record import Recorder
from vaebench.scaleout.view import View
from vaebench.study.resources import Resources, resources, study_resources

if TYPE_CHECKING:
    from dvc.stage import Stage

__all__ = ["reproduce"]

TICK = 1.0
"""Seconds between two pictures in a terminal."""

UNSEEN = 90.0
"""Seconds that a network file system has for showing the head what a worker wrote."""

TAIL = 15
"""Lines of a failed command's output that are shown."""


def reproduce(engine: AbstractContextManager[Engine], targets: Sequence[str] = ()) -> bool:
    """Do what ``dvc repro targets`` would, on ``engine``, in the repository around the current folder.

    DVC's own lock is held throughout: another DVC command that wants it, or a second head, is refused.

    Args:
        engine: started only if a command must run.
        targets: stages or files; none means all.

    Returns:
        Whether every stage is up to date now.

    Raises:
        UserError: no repository here, another head or DVC at work, an untested DVC, nothing to run it on.
    """
    try:
        root = Path(Repo.find_root())
    except NotDvcRepoError as error:
        raise UserError(f"{error}; run this in the repository's root.") from None
    folder = root / ".dvc/tmp/scaleout"
    with _only_head(folder), ExitStack() as stack:
        for line in repair(root):
            print(line)
        try:
            repo = stack.enter_context(Repo(os.fspath(root)))
            stack.enter_context(lock_repo(repo))
            stack.enter_context(quick_params())
            _refuse_beside_dvc(Path(repo.tmp_dir) / "rwlock")
            stack.enter_context(repo.scm_context(quiet=True))
            plan = Plan(repo, targets)
        except LockError as error:
            raise UserError(f"another dvc works in {root}; run again when it has ended. ({error})") from None
        except DvcException as error:
            raise UserError(str(error)) from None
        view = stack.enter_context(View(plan.size))
        recorder, study = Recorder(repo, folder), study_resources(root / "params.yaml")
        _Head(plan, recorder, view, study, lambda: stack.enter_context(engine)).run()
        view.say(view.summary())
        return not view.counts["failed"]


class _Head:
    def __init__(
        self, plan: Plan, recorder: Recorder, view: View, study: Resources, start: Callable[[], Engine]
    ):
        self.plan, self.recorder, self.view, self.study, self.start = plan, recorder, view, study, start
        self.engine: Engine | None = None
        self.running: dict = {}
        self.ended: SimpleQueue = SimpleQueue()
        self.unseen: deque[tuple[float, Stage, Job, Ended]] = deque()
        self.seen: dict[str, float] = {}

    def run(self) -> None:
        ticked = 0.0
        while True:
            self._collect(wait=False)
            stage = None if self._is_full() else self.plan.next()
            forget_listings()
            if stage:
                self._advance(stage)
            elif not self.running and not self.unseen:
                return
            else:
                self._collect(wait=True)
            if time.monotonic() - ticked > TICK:
                ticked = time.monotonic()
                self._look_again()
                self.view.tick(self._started())

    def _is_full(self) -> bool:
        return self.engine is not None and len(self.running) > self.engine.room(self.study)

    def _advance(self, stage: Stage) -> None:
        try:
            wanted = resources(stage.addressing, stage.meta, self.study)
            if how := self.recorder.settle(stage):
                self.view.settled(how)
                return self.plan.done(stage)
            job = self.recorder.job(stage)
        except (DvcException, UserError, OSError) as error:
            return self._fail(stage, str(error))
        if self.engine is None:
            self.engine = self.start()
            at = f"; dashboard: {self.engine.dashboard}" if self.engine.dashboard else ""
            self.view.say(f"on {self.engine.where}{at}")
        try:
            future = self.engine.submit(job, wanted)
        except UserError as error:
            return self._fail(stage, str(error))
        self.running[future] = stage, job
        self.view.handed_over(stage.addressing)
        future.add_done_callback(self.ended.put)

    def _collect(self, wait: bool) -> None:
        """Take what has ended off the queue; one at a time, so that its dependents are handed over soon."""
        try:
            future = self.ended.get(timeout=TICK if wait else None, block=wait)
        except Empty:
            return
        stage, job = self.running.pop(future)
        error = future.exception()
        if error is not None:
            self._fail(stage, f"{type(error).__name__}: {str(error).strip()[-500:]}", job)
        elif (ended := future.result()).code:
            how = f"was killed by signal {-ended.code}" if ended.code < 0 else f"ended with {ended.code}"
            self._fail(stage, f"its command {how}", job)
        else:
            self._commit(stage, job, ended, time.monotonic() + UNSEEN)

    def _look_again(self) -> None:
        for _ in range(len(self.unseen)):
            until, stage, job, ended = self.unseen.popleft()
            self._commit(stage, job, ended, until)

    def _commit(self, stage: Stage, job: Job, ended: Ended, until: float) -> None:
        missing = [path for path, there in ended.outputs.items() if measure(path) != there]
        if missing and time.monotonic() < until:
            return self.unseen.append((until, stage, job, ended))
        try:
            if missing:
                raise UserError(f"{', '.join(map(str, missing))} is not here as the worker wrote it.")
            self.recorder.commit(stage)
        except (DvcException, UserError, OSError) as error:
            return self._fail(stage, str(error), job)
        self.plan.done(stage)
        self.view.ran(job.name, ended.seconds)

    def _fail(self, stage: Stage, why: str, job: Job | None = None) -> None:
        if job and job.log.is_file():
            tail = job.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:]
            why = "\n".join([f"{why}; the end of {job.log}:", *(f"    {line}" for line in tail)])
        self.view.failed(stage.addressing, why, self.plan.drop(stage))

    def _started(self) -> dict[str, float]:
        """Running stages, known by the log that a worker opens first, and since when they are seen to run."""
        logs = {entry.path for entry in os.scandir(self.recorder.logs)}
        names = [job.name for _, job in self.running.values() if os.fspath(job.log) in logs]
        self.seen = {name: self.seen.get(name, time.time()) for name in names}
        return self.seen


def _refuse_beside_dvc(claims: Path) -> None:
    """A `dvc repro` releases DVC's lock while a command runs; its claims on paths, with its id, remain."""
    if not claims.is_file():
        return
    held = json.loads(claims.read_text(encoding="utf-8") or "{}")
    owners = [*held.get("write", {}).values(), *chain.from_iterable(held.get("read", {}).values())]
    if alive := sorted({owner["pid"] for owner in owners if psutil.pid_exists(owner["pid"])}):
        raise UserError(f"process {alive[0]} is a dvc that runs stages here; run again when it has ended.")


@contextmanager
def _only_head(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "head.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            owner = file.read().strip() or "unknown"
            raise UserError(
                f"process {owner} runs this study's stages already; wait for it to end, or end it."
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
