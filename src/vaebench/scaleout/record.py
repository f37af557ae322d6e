"""What DVC does around a stage's command, in the head: skip, restore, hand over, record.

The steps and their order are those of ``dvc.stage.Stage.reproduce`` and ``run`` of DVC 3.67, of which DVC
promises nothing, so its minor version is checked.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import dvc
from dvc.repo.reproduce import _reproduce_stage
from dvc.stage import PipelineStage
from dvc.stage.cache import RunCacheNotFoundError
from dvc.stage.run import _enforce_cmd_list, get_executable, prepare_kwargs

from vaebench.base.errors import UserError
from vaebench.scaleout.command import Job, wait_for_lock
from vaebench.scaleout.lock import LockFile

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

__all__ = ["TESTED_DVC", "Recorder"]

TESTED_DVC = "3.67"


class Recorder:
    """Does a stage's part of ``dvc repro`` without its command.

    Args:
        repo: a locked repository.
        folder: for the logs and locks of the commands.
    """

    def __init__(self, repo: Repo, folder: Path):
        if not dvc.__version__.startswith(f"{TESTED_DVC}."):
            raise UserError(
                f"DVC {dvc.__version__} is installed; running stages in parallel is tested with {TESTED_DVC} "
                f"only. Install it with `pip install 'dvc=={TESTED_DVC}.*'`, or run `dvc repro`."
            )
        self.repo = repo
        self.logs, self.locks = folder / "logs", folder / "locks"
        self._lock_files: dict[str, LockFile] = {}
        self._hashes: dict[str, list] = {}
        for path in (self.logs, self.locks):
            path.mkdir(parents=True, exist_ok=True)
        for path in self.locks.iterdir():
            with path.open("ab") as lock:
                wait_for_lock(lock, "an earlier run")
            path.unlink()

    def settle(self, stage: Stage) -> str:
        """Let DVC skip or restore ``stage``.

        Returns:
            "unchanged"; "restored", from the run cache; or, where its command must run, an empty string. Its
            outputs are then removed and the hashes of its dependencies known.
        """
        if stage.frozen or not stage.cmd:
            return "restored" if _reproduce_stage(stage) else "unchanged"
        if not stage.changed():
            return "unchanged"
        stage.remove_outs(ignore_remove=False, force=False)
        try:
            self.repo.stage_cache.restore(stage)
        except RunCacheNotFoundError:  # `restore` has saved the hashes of the dependencies
            self._hashes[stage.addressing] = [dep.hash_info for dep in stage.deps]
            return ""
        self._record(stage)
        return "restored"

    def job(self, stage: Stage) -> Job:
        """What a worker must know to run ``stage``."""
        prepared = prepare_kwargs(stage)
        outputs = [Path(out.fs_path) for out in stage.outs]
        kept = [Path(out.fs_path) for out in stage.outs if out.persist]
        file = quote(stage.addressing, safe="@")
        log = self.logs / f"{file}.log"
        log.unlink(missing_ok=True)
        return Job(
            name=stage.addressing,
            commands=_enforce_cmd_list(stage.cmd),
            folder=Path(stage.wdir),
            shell=get_executable(),
            environment=prepared["env"],
            removed=[path for path in outputs if path not in kept],
            outputs=outputs,
            lock=self.locks / file,
            log=log,
        )

    def commit(self, stage: Stage) -> None:
        """Record ``stage``, whose command has ended with 0.

        Raises:
            UserError: a dependency is not what it was when the command was handed over.
            DvcException: an output is missing.
        """
        before = self._hashes.pop(stage.addressing)
        stage.save_deps()
        changed = [str(dep) for dep, was in zip(stage.deps, before, strict=True) if dep.hash_info != was]
        if changed:
            raise UserError(
                f"{', '.join(changed)} changed while the command waited or ran: nothing says what it saw; "
                "it is not recorded and runs again next time."
            )
        self._record(stage)

    def _record(self, stage: Stage) -> None:
        """The rest of ``Stage.run`` and the writing of the lock file; the dependencies' hashes are saved."""
        stage.save_outs()
        stage.md5 = stage.compute_md5()
        if all(out.use_cache or out.is_metric or out.is_plot for out in stage.outs):
            self.repo.stage_cache.save(stage)
        stage.commit()
        if not isinstance(stage, PipelineStage):
            return stage.dump(update_pipeline=False)
        file = stage.dvcfile
        path = os.path.splitext(file.path)[0] + ".lock"  # noqa: PTH122
        if path not in self._lock_files:
            self._lock_files[path] = LockFile(Path(path), file.lockfile_contents)
        self._lock_files[path].record(stage)
        self.repo.scm_context.track_file(os.path.relpath(path))
