"""What happens to the output costs lines and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import sys
from pathlib import Path
from vaebench.base.streams import protect_streams
protect_streams()
protect_streams()
with open("first", "w") as file:  # would take the number of a stream that is closed
    assert file.fileno() > 2
    for number in range(2000):
        print("β-TCVAE: epoch", number, flush=number % 2 == 0)
        print("a warning", file=sys.stderr)
    file.write("whole")
Path("done").touch()
"""


def run(tmp_path, redirection: str, **environment: str):
    command = f'"{sys.executable}" -c "$SCRIPT" {redirection}'
    environment = os.environ | {"SCRIPT": SCRIPT} | environment
    return subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "redirection",
    [
        *(">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "| head -1", "2>&1 | head -1"),
        *("2>&1 >/dev/null | head -1", ">/dev/full", "2>/dev/full", ">/dev/full 2>&1"),
    ],
)
def test_a_stream_that_is_closed_or_broken_or_full_ends_nothing(tmp_path, redirection):
    result = run(tmp_path, f"{redirection}; exit ${{PIPESTATUS[0]}}")
    assert (tmp_path / "done").exists()
    assert (tmp_path / "first").read_text() == "whole"
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    assert "Exception" not in result.stdout + result.stderr


def test_a_character_that_the_terminal_lacks_is_escaped(tmp_path):
    result = run(tmp_path, "", PYTHONIOENCODING="ascii")
    assert result.returncode == 0
    assert result.stdout.startswith("\\u03b2-TCVAE: epoch 0\n")


def test_a_stage_of_which_nobody_reads_the_output_has_its_result(tmp_path):
    stage = """
from pathlib import Path
from types import SimpleNamespace
from vaebench.study.stage import Task, run_stage

def main(*_):
    'A stage.'
    print("line\\n" * 100000)
    Path("out").touch()
    return ["out"]

Task.begin = lambda *_: SimpleNamespace(check=lambda: None, began=0.0)
run_stage(main)
"""
    result = run(tmp_path, "| head -1; exit ${PIPESTATUS[0]}", SCRIPT=stage)
    assert (result.returncode, result.stdout, result.stderr) == (0, "line\n", "")
    assert (tmp_path / "out").exists()
