"""What a new user does: a clone, the README's two commands, and what the documents do with the results."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.browser import served
from support.documents import blocks, run_block
from support.tiny_study import NOT_INHERITED, ROOT, run

pytestmark = pytest.mark.nightly


def shell(clone: Path) -> dict[str, str]:
    """After `source .venv/bin/activate`, as the README says, in a shell with no environment of its own."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith((*NOT_INHERITED, "VIRTUAL_ENV"))}
    others = [p for p in os.environ["PATH"].split(os.pathsep) if not p.startswith(str(ROOT))]
    return inherited | {"PATH": os.pathsep.join([str(clone / ".venv/bin"), *others])}


def only(document: str, language: str, beginning: str) -> str:
    """The block of ``document`` for a fresh clone that begins so."""
    found = [
        block.text
        for block in blocks(ROOT / document, language)
        if block.when == "fresh clone" and block.text.startswith(beginning)
    ]
    assert len(found) == 1, (document, beginning, found)
    return found[0]


def execute(clone: Path, *command: str) -> str:
    """What ``command`` prints in the clone."""
    return run(clone, *command, env=shell(clone))


def execute_block(clone: Path, text: str) -> str:
    """What the commands of a bash block print in the clone."""
    return run_block(clone, text, shell(clone))


def stale(clone: Path) -> list[str]:
    """The stages that `dvc status` lists; *resolve*, which always runs, is one."""
    return [line for line in execute(clone, "dvc", "status").splitlines() if line[:1].strip()]


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A clone in which the README's two commands have run, `make test` included."""
    folder = tmp_path_factory.mktemp("fresh") / "vaebench"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    execute_block(folder, only("README.md", "bash", "make repro"))
    execute(folder, "vaebench", "track")  # the stages' exporters may still be at work
    return folder


def test_the_two_commands_leave_a_report(clone):
    assert "quickstart" in (clone / "reports/index.html").read_text(encoding="utf-8")
    assert stale(clone) == ["resolve@quickstart:"]


def test_a_method_run_again_gives_the_same_numbers(clone):
    assert execute_block(clone, only("docs/trust.md", "bash", "vaebench verify avae")).count("equal") >= 2


def test_the_logged_model_samples(clone):
    code = only("docs/compare.md", "python", "import mlflow")
    assert "(64, 1, 28, 28)" in execute(clone, "python", "-c", f"{code}\nprint(tuple(images.shape))")


def test_pictures_in_folders_train_from_a_study_file(clone):
    rng = np.random.default_rng(0)
    for number in range(400):
        folder = clone / "data/raw/my_pictures" / ("dark" if number % 2 else "light")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 128, (40, 40, 3), np.uint8) + 127 * (number % 2)
        Image.fromarray(pixels).save(folder / f"{number}.jpg")
    execute_block(clone, only("README.md", "bash", "cat > studies/mine.yaml"))
    assert "My pictures" in (clone / "reports/mine/index.html").read_text(encoding="utf-8")


def test_a_model_of_ones_own_is_a_row_on_the_page(clone):
    execute_block(clone, only("README.md", "bash", "vaebench study quickstart"))
    assert "PCA (from outside)" in (clone / "reports/quickstart/index.html").read_text(encoding="utf-8")


def test_mlflows_ui_is_served(clone):
    command = ["bash", "-c", only("README.md", "bash", "make ui")]
    with served(command, 5000, clone, shell(clone)) as address, urllib.request.urlopen(address) as page:
        assert b"MLflow" in page.read()


def test_in_parallel_nothing_is_left_to_run(clone):
    execute_block(clone, only("docs/scaleout.md", "bash", "make repro-parallel"))
    assert stale(clone) == ["resolve@quickstart:"]


def test_a_clone_can_share_a_cache(clone):
    execute_block(clone, only("docs/scaleout.md", "bash", "dvc config"))
    assert "cache.dir=/shared/vaebench-cache" in execute(clone, "dvc", "config", "--list")
