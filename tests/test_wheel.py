"""What ``pip wheel .`` packs, and that it works away from the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parent.parent

FIND = """
from vaebench.report.papers import read_paper
from vaebench.study.papers import paper_folder, paper_keys
print(*(paper_folder(key).as_posix() for key in paper_keys()), read_paper("takida2022").name, sep="\\n")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return Path(next(WheelBuilder(str(ROOT)).build(directory=str(tmp_path_factory.mktemp("wheel")))))


def test_the_wheel_holds_every_module_template_and_paper(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = [p.relative_to(ROOT / "src") for p in (ROOT / "src/vaebench").rglob("*") if p.is_file()]
    papers = [Path("vaebench") / p.relative_to(ROOT) for p in (ROOT / "papers").rglob("*") if p.is_file()]
    wanted = {p.as_posix() for p in [*sources, *papers] if "__pycache__" not in p.parts}
    assert wanted <= names
    assert {name.partition("/")[0] for name in names} == {"vaebench", "vaebench-0.1.0.dist-info"}


def test_an_installed_package_finds_the_papers_and_a_workspaces_go_before(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "installed")
    own = tmp_path / "workspace/papers/takida2022"
    shutil.copytree(ROOT / "papers/takida2022", own, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "empty").mkdir()
    inside = (tmp_path / "installed/vaebench/papers").as_posix()

    def found(folder: str) -> list[str]:
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
        command = [sys.executable, "-c", FIND]
        done = subprocess.run(command, cwd=tmp_path / folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.split("\n")[:-1]

    assert found("empty") == [f"{inside}/{key}" for key in ("avae2024", "pythae2022", "takida2022")] + [
        "Takida"
    ]
    assert set(found("workspace")[:3]) == {own.as_posix(), f"{inside}/avae2024", f"{inside}/pythae2022"}
