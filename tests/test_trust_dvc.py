"""DVC's holes: a killed dvc whose stage runs on, two at once, and a lock file cut off while written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from threading import Thread

import pytest
import yaml
from dvc.repo import Repo
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from support import scaleout_toy as toy
from support import tiny_study

from vaebench.study.lockfile import repair, set_damaged_aside


@pytest.fixture
def repository(tiny_repository, tmp_path) -> Path:
    return tiny_study.copy_repository(tiny_repository, tmp_path / "repository")


def start_repro(repository: Path, shell: str) -> subprocess.Popen:
    environment = tiny_study.environment(repository) | {"SHELL": shell}
    options = {"cwd": repository, "env": environment, "text": True, "start_new_session": True}
    return subprocess.Popen(["dvc", "repro"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


def read_until(process: subprocess.Popen, text: str) -> str:
    said = ""
    while text not in said:
        said += (line := process.stdout.readline())
        assert line, said
    return said


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="only Linux tells a process that its parent died")
@pytest.mark.parametrize("shell", ["/bin/sh", pytest.param("/bin/bash", marks=pytest.mark.nightly)])
def test_a_second_dvc_waits_its_turn_and_a_killed_or_interrupted_one_ends_its_training(repository, shell):
    if not Path(shell).exists():
        pytest.skip(f"there is no {shell}")
    content = yaml.safe_load((repository / "params.yaml").read_text(encoding="utf-8"))
    content["study"]["methods"] = ["ae"]
    content["methods"]["ae"]["training"] = {"epochs": 100_000}
    (repository / "params.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    first = start_repro(repository, shell)
    read_until(first, "epoch 2/")
    checkpoints = repository / ".vaebench/checkpoints/tiny/digits/ae/0"
    trainer = int((checkpoints / "lock").read_text())
    assert toy.alive(trainer)

    second = start_repro(repository, shell)
    assert str(first.pid) in second.communicate()[0]
    assert second.returncode != 0
    assert toy.alive(trainer)

    Thread(target=first.stdout.read, daemon=True).start()  # as a terminal does; a full pipe would hold it up
    first.send_signal(signal.SIGKILL)
    first.wait()
    toy.until(lambda: not toy.alive(trainer), "the training outlived its dvc")
    first.stdout.close()
    assert (checkpoints / "checkpoint.pt").is_file()

    again = start_repro(repository, shell)
    assert "tiny-digits-ae-0" in read_until(again, "going on from epoch")
    read_until(again, "/100000: ")
    before = (checkpoints / "checkpoint.pt").stat().st_mtime_ns
    os.killpg(again.pid, signal.SIGINT)  # as Ctrl-C in a terminal does
    said = again.communicate()[0]
    assert again.returncode != 0
    assert "run again to go on from there" in said
    assert "Traceback" not in said
    assert (checkpoints / "checkpoint.pt").stat().st_mtime_ns > before


def test_what_a_killed_dvc_cut_off_is_repaired_and_all_comes_from_the_run_cache(repository):
    """Nothing is touched while another dvc holds the repository, which may be writing the files just then."""
    lock, rwlock = repository / "dvc.lock", repository / ".dvc/tmp/rwlock"
    whole = lock.read_bytes()
    assert repair(repository) == []
    lock.write_bytes(cut := whole[: whole.rindex(b"md5: ") + 20])
    rwlock.write_bytes(b"")
    assert "rwlock" in tiny_study.run(repository, "dvc", "status", "train", check=False)
    with Repo(str(repository)) as other, other.lock:
        assert repair(repository) == []
    assert (lock.read_bytes(), rwlock.read_bytes()) == (cut, b"")
    assert [line.split()[-1] for line in repair(repository)] == ["cache.", "dvc."]
    assert (repository / "dvc.lock.damaged").read_bytes() == cut
    said = tiny_study.run(repository, "dvc", "repro")
    assert set(tiny_study.executed(said)) <= {"tabulate@tiny"}
    assert yaml.safe_load(lock.read_bytes()) == yaml.safe_load(whole)


def test_a_lock_cut_off_anywhere_is_aside_or_one_that_dvc_reads(tiny_repository, tmp_path):
    whole = (tiny_repository / "dvc.lock").read_bytes()
    lock = tmp_path / "dvc.lock"
    lock.write_bytes(whole)
    assert set_damaged_aside(lock) is None
    assert set_damaged_aside(tmp_path / "absent") is None
    kept = 0
    for size in [*range(0, 60, 4), *range(60, len(whole), len(whole) // 30)]:
        lock.write_bytes(whole[:size])
        if set_damaged_aside(lock) is None:
            kept += 1
            COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(lock.read_bytes()))
    assert kept < 20
    other = ["- a\n", "schema: '2.0'\nstages: []\n", "schema: '2.0'\nstages:\n  a: {}\n", "\xff"]
    for text in ["<<<<<<< HEAD\n", *other]:
        lock.write_bytes(text.encode("latin1"))
        assert set_damaged_aside(lock) is not None
        assert not lock.exists()


def metrics(repository: Path) -> dict[Path, bytes]:
    folder = repository / "reports/tiny/metrics"
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.json"))}


@pytest.mark.nightly
def test_a_study_run_in_two_clones_gives_identical_metrics(tiny_repository, tmp_path):
    other = tiny_study.make_repository(tmp_path / "other")
    assert len(metrics(other)) == 3
    assert metrics(other) == metrics(tiny_repository)


@pytest.mark.nightly
def test_two_clones_share_one_cache(tiny_repository, tmp_path):
    """The second clone computes nothing that the first one has, and its metrics are the same bytes."""
    clones = [tiny_study.copy_repository(tiny_repository, tmp_path / name) for name in ("one", "two")]
    cache = tmp_path / "cache"
    shutil.move(clones[0] / ".dvc/cache", cache)
    shutil.rmtree(clones[1] / ".dvc/cache")
    for clone in clones:
        tiny_study.run(clone, "dvc", "cache", "dir", "--local", str(cache))
    shutil.rmtree(clones[1] / "data/models")
    (clones[1] / "dvc.lock").unlink()
    said = tiny_study.run(clones[1], "dvc", "repro")
    assert not [stage for stage in tiny_study.executed(said) if stage.startswith("train@")]
    assert metrics(clones[0]) == metrics(clones[1]) == metrics(tiny_repository)
