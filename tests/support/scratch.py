"""A tiny study in a folder of its own, whose stages run as processes or, once torch is imported, as forks."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from support.tiny_study import DIGITS

ROOT = Path(__file__).parents[2]
CELL = "tiny/digits"
FINISHED = "ae", "mle_iso_i"
"""Methods of the fixture ``finished``."""
QUICKSTART = yaml.safe_load((ROOT / "studies/quickstart.yaml").read_text(encoding="utf-8"))


def study(*methods: str, epochs: int = 3, **training) -> dict:
    """The quickstart cut down to ``methods``, which a stage gets through in seconds."""
    content = copy.deepcopy(QUICKSTART)
    content["study"] |= {"name": "tiny", "methods": list(methods)}
    content["datasets"]["digits"] = copy.deepcopy(DIGITS)
    content["training"] |= {"epochs": epochs, "compile": "never", **training}
    for method in content["methods"].values():
        if "warmup_steps" in method["likelihood"]:
            method["likelihood"]["warmup_steps"] = 10
    content["evaluation"] |= {
        "features": "classifier",
        "samples": 100,
        "metrics": [{"name": "reconstruction"}, {"name": "fid"}],
    }
    return content


def write_study(folder: Path, content: dict) -> Path:
    """The folder with its ``params.yaml``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return folder


def share_data(source: Path, folder: Path) -> None:
    """Let ``folder`` read the prepared data and the reference of ``source``."""
    for part in ("prepared", "reference"):
        (folder / "data").mkdir(exist_ok=True)
        (folder / "data" / part).symlink_to(source / "data" / part)


def environment(folder: Path) -> dict[str, str]:
    """Of a stage in ``folder``: this tree's code, one thread, no GPU."""
    path = os.pathsep.join(map(str, (ROOT / "src", ROOT)))
    ours = {"OMP_NUM_THREADS": "1", "VAEBENCH_DEVICE": "cpu", "VAEBENCH_TRACKING": "off"}
    return os.environ | {"PYTHONPATH": path, **ours}


def start(folder: Path, stage: str, *arguments: str, **options) -> subprocess.Popen:
    """``python -m stages.<stage>``, its output in one pipe."""
    command = [sys.executable, "-m", f"stages.{stage}", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment(folder), **pipes, **options)


def item(method: str, seed: int = 0, **more: str) -> list[str]:
    """A cell's arguments."""
    named = {"dataset": "digits", "method": method, "seed": str(seed), **more}
    return [part for name, value in named.items() for part in (f"--{name}", value)]


def results(folder: Path, method: str, seed: int = 0) -> dict[str, bytes]:
    """The bytes of all that the seed determines."""
    places = {
        "model": f"data/models/{CELL}/{method}/{seed}/model.safetensors",
        "spec": f"data/models/{CELL}/{method}/{seed}/spec.json",
        "latents": f"data/models/{CELL}/{method}/{seed}/latents.npz",
        "history": f"reports/tiny/history/digits/{method}/{seed}.csv",
        "metrics": f"reports/tiny/metrics/digits/{method}/{seed}.json",
    }
    return {name: (folder / p).read_bytes() for name, p in places.items() if (folder / p).exists()}


def leftovers(folder: Path) -> list[Path]:
    """Temporary files that nobody removed."""
    return [path for part in ("data", "reports", ".vaebench") for path in (folder / part).rglob("*.partial")]


_SERVER = """
import json, os, resource, sys
import sklearn.mixture, torch  # once, for all forks
from stages import evaluate, posthoc, prepare, reference, tabulate, train
from vaebench import densities, report
from vaebench.measure import features, pictures
from vaebench.study import params
import jinja2, vaebench.report.figures.comparison, vaebench.report.page
from vaebench.study.stage import run_stage
params.load_params(sys.argv[1])
print("ready", flush=True)
for line in sys.stdin:
    folder, stage, arguments, more = json.loads(line)
    if (pid := os.fork()) == 0:
        os.chdir(folder)
        log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1), os.dup2(log, 2)
        if limit := int(more.pop("FSIZE", 0)):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        os.environ |= more
        sys.argv = [f"{stage}.py", *arguments]
        specs = {"posthoc": ("densities",), "reference": (), "tabulate": ()}.get(stage, params.SPECS)
        run_stage(sys.modules[f"stages.{stage}"].main, *(a[2:] for a in arguments[::2]), specs=specs)
        sys.stdout.flush()
        os._exit(0)
    print(pid, flush=True)
    _, status = os.waitpid(pid, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Stages:
    """Runs stages as forks of a process that has imported torch; each is a process that can be killed."""

    def __init__(self, folder: Path):
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": folder}
        command = [sys.executable, "-c", _SERVER, str(folder / "params.yaml")]
        self._server = subprocess.Popen(command, env=environment(folder), **options)
        assert self._server.stdout.readline() == "ready\n"

    def close(self) -> None:
        self._server.stdin.close()
        self._server.wait()

    def run(self, folder: Path, stage: str, *arguments: str, kill: Kill | None = None, **more: str):
        """Exit status (−9 where it was killed) and what it said; ``more`` is added to its environment.

        ``FSIZE`` among it is the size beyond which no file can grow, as on a disk that is full.
        """
        line = json.dumps([str(folder), stage, arguments, more])
        self._server.stdin.write(line + "\n")
        self._server.stdin.flush()
        pid = int(self._server.stdout.readline())
        if kill is not None:
            kill(pid)
        status = int(self._server.stdout.readline())
        return status, (folder / "log").read_text(encoding="utf-8", errors="replace")


def train(stages: Stages, folder: Path, method: str, seed: int = 0) -> None:
    """One training, which must end well."""
    status, said = stages.run(folder, "train", *item(method, seed))
    assert status == 0, said


def measure(stages: Stages, folder: Path, method: str, seed: int = 0) -> None:
    """The stages that follow a training."""
    for density in ("prior", "gmm10"):
        status, said = stages.run(folder, "posthoc", *item(method, seed, density=density))
        assert status == 0, said
    status, said = stages.run(folder, "evaluate", *item(method, seed))
    assert status == 0, said


@dataclass
class Kill:
    """SIGKILL, ``seconds`` after the process began or, where ``file`` is given, after it first wrote that."""

    seconds: float
    file: Path | None = None

    def __post_init__(self):
        self._before = self._written()

    def __call__(self, pid: int) -> None:
        with suppress(ProcessLookupError):
            while self.file is not None and self._written() == self._before:
                self._wait_a_little(pid)
            until = time.monotonic() + self.seconds
            while time.monotonic() < until:
                self._wait_a_little(pid)
            os.kill(pid, signal.SIGKILL)

    @staticmethod
    def _wait_a_little(pid: int) -> None:
        os.kill(pid, 0)  # an error where it has ended
        time.sleep(0.001)

    def _written(self) -> int | None:
        return self.file.stat().st_mtime_ns if self.file is not None and self.file.exists() else None
