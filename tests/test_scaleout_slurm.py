"""Stages as jobs of a real Slurm on this machine, which listens on 127.0.0.1 alone."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from support import scaleout_toy as toy

PROGRAMS = "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo", "setpriv"
MISSING = [f"the program {name}" for name in PROGRAMS if shutil.which(name) is None]
MISSING += [] if find_spec("dask_jobqueue") else ["the package dask-jobqueue"]
MISSING += ["root"] if os.geteuid() else []
WHY = f"missing: {', '.join(MISSING)} (apt-get install slurmctld slurmd; pip install -e '.[slurm]')"
pytestmark = [pytest.mark.nightly, pytest.mark.skipif(bool(MISSING), reason=WHY)]

CONFIGURATION = """
ClusterName=vaebench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=4000
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""

JOBS = """
jobqueue:
  slurm: {cores: 1, processes: 1, memory: 500MB, walltime: "00:10:00", interface: lo,
    scheduler-options: {host: 127.0.0.1, dashboard_address: "127.0.0.1:0"}}
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Variables with which a shell finds the cluster and the size of a job."""
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool", "dask"):
        (folder / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    configuration = folder / "slurm.conf"
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        ports = [server.getsockname()[1] for server in (first, second)]
    configuration.write_text(CONFIGURATION.format(host=host, folder=folder, ports=ports))
    (folder / "dask/jobqueue.yaml").write_text(JOBS)
    found = {"SLURM_CONF": str(configuration), "DASK_CONFIG": str(folder / "dask")}
    quiet = {"env": os.environ | found, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    daemons = [subprocess.Popen([name, "-D"], **quiet) for name in ("slurmctld", "slurmd")]
    try:
        toy.until(lambda: "idle" in ask(found, "sinfo", "-h", "-o", "%t"), "no node became idle")
        yield found
    finally:
        ask(found, "scancel", "--user=root")
        toy.until(lambda: not jobs(found), "a job did not end")
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait()


def ask(slurm: dict[str, str], *command: str) -> str:
    return subprocess.run(command, env=os.environ | slurm, capture_output=True, text=True).stdout


def jobs(slurm: dict[str, str]) -> list[str]:
    return ask(slurm, "squeue", "-h", "-o", "%A").split()


@pytest.fixture
def project(tmp_path) -> Path:
    return toy.make(tmp_path / "project")


def test_lock_cache_and_files_are_those_of_dvc_repro(slurm, project, tmp_path):
    sequential = toy.make(tmp_path / "sequential")
    subprocess.run(["dvc", "repro", "-q"], cwd=sequential, env=toy.shell(sequential), check=True)
    guide = (toy.ROOT / "docs/scaleout.md").read_text()
    (slots,) = re.findall(r"^vaebench repro --engine slurm ([^#\n]+)", guide, re.M)
    head = toy.start(project, "slurm", *slots.split(), **slurm)
    assert head.wait() == 0, toy.said(project)
    assert "on Dask, tls://127.0.0.1:" in toy.said(project)
    assert toy.recorded(project) == toy.recorded(sequential)
    assert toy.runs(project) == dict.fromkeys(toy.STAGES, 1)
    toy.until(lambda: not jobs(slurm), "jobs outlived the head")


def test_a_cancelled_jobs_stage_runs_again_in_another_job(slurm, project):
    head, command = toy.hang(project, "prepare", "slurm", **slurm)
    (project / "hang/prepare").unlink()
    ask(slurm, "scancel", *jobs(slurm))
    toy.until(lambda: not toy.alive(command), "the command outlived its job")
    assert head.wait(toy.PATIENCE) == 0, toy.said(project)
    assert toy.runs(project) == dict.fromkeys(toy.STAGES, 1) | {"prepare": 2}


def test_a_killed_head_leaves_no_command_and_no_job_and_the_next_call_goes_on(slurm, project):
    head, command = toy.hang(project, "train-0", "slurm", **slurm)
    toy.until(lambda: "evaluate-1" in toy.lock(project)["stages"], "the other branch did not end")
    head.kill()
    head.wait()
    toy.until(lambda: not toy.alive(command), "the command outlived the head")
    toy.until(lambda: not jobs(slurm), "a job outlived the head")
    assert "train-0" not in toy.lock(project)["stages"]
    (project / "hang/train-0").unlink()
    assert toy.start(project, "slurm", **slurm).wait() == 0, toy.said(project)
    assert toy.runs(project) == dict.fromkeys(toy.STAGES, 1) | {"train-0": 2}
