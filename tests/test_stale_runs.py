"""What is edited while a stage runs, and what a stage has loaded: nothing is recorded as what it is not."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support import tiny_study

from vaebench.study.code import is_neutral

pytestmark = pytest.mark.pipeline

CELL = "tiny/digits/ae/0"
HISTORY = "reports/tiny/history/digits/ae/0.csv"


@pytest.fixture
def clone(tiny_repository, tmp_path) -> Path:
    """A repository whose tiny study has run; only the autoencoder is left in it."""
    return one_method(tiny_repository, tmp_path / "clone")


@pytest.fixture(scope="module")
def resolved(tiny_repository, tmp_path_factory) -> Path:
    """Such a repository after *resolve*; its stages may be run."""
    folder = one_method(tiny_repository, tmp_path_factory.mktemp("resolved") / "clone")
    tiny_study.run(folder, sys.executable, "-m", "stages.resolve")
    return folder


def one_method(repository: Path, folder: Path) -> Path:
    tiny_study.copy_repository(repository, folder)
    change(folder, lambda content: content["study"].update(methods=["ae"], densities=["gmm10"]))
    return folder


def change(folder: Path, edit) -> None:
    path = folder / "params.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")


def set_epochs(folder: Path, epochs: int) -> None:
    change(folder, lambda content: content["methods"]["ae"].update(training={"epochs": epochs}))


def append(folder: Path, file: str, text: str) -> None:
    path = folder / "src/vaebench" / file
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{text}\n", encoding="utf-8")


def start(folder: Path, *command: str) -> subprocess.Popen:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=folder, env=tiny_study.environment(folder), **pipes)


def read_until(process: subprocess.Popen, text: str) -> str:
    lines: list[str] = []
    while not lines or text not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], "".join(lines)
    return "".join(lines)


def epochs_trained(folder: Path) -> int:
    return len((folder / HISTORY).read_text(encoding="utf-8").splitlines()) - 1


def test_a_formula_that_is_repaired_is_measured_again_and_nothing_is_trained(clone):
    path = clone / "reports/tiny/metrics/digits/ae/0.json"
    tiny_study.run(clone, "dvc", "repro")
    before = json.loads(path.read_text(encoding="utf-8"))["fd_mnist_lenet"]
    append(clone, "report/terminal.py", "# a comment")
    assert tiny_study.executed(tiny_study.run(clone, "dvc", "repro")) == []
    frechet = clone / "src/vaebench/measure/features/frechet.py"
    text = frechet.read_text(encoding="utf-8")
    assert text.count("    return ") > 0
    name = "frechet_distance"
    append(clone, "measure/features/frechet.py",
           f"_whole = {name}\ndef {name}(*a, **k): return 2 * _whole(*a, **k)")  # fmt: skip
    stages = tiny_study.executed(tiny_study.run(clone, "dvc", "repro"))
    assert stages == ["reference@tiny-digits", "evaluate@tiny-digits-ae-0", "tabulate@tiny"]
    after = json.loads(path.read_text(encoding="utf-8"))["fd_mnist_lenet"]
    assert after["recon"] == pytest.approx(2 * before["recon"])


def test_parameters_edited_while_a_stage_trains_are_not_recorded_with_its_result(clone):
    set_epochs(clone, 40)
    first = start(clone, "dvc", "repro")
    read_until(first, "epoch 2/40")
    set_epochs(clone, 3)
    output = first.communicate()[0]
    assert first.returncode == 0, output
    assert epochs_trained(clone) == 40
    recorded = json.loads((clone / "data/resolved/tiny/digits/ae/train.json").read_text(encoding="utf-8"))
    assert recorded["parameters"]["training"]["epochs"] == 40
    study = yaml.safe_load((clone / "reports/tiny/study.yaml").read_text(encoding="utf-8"))
    assert study["methods"]["ae"]["training"] == {"epochs": 40}
    assert "train@tiny-digits-ae-0" in tiny_study.executed(tiny_study.run(clone, "dvc", "repro", "train"))
    assert epochs_trained(clone) == 3


def test_code_edited_and_committed_while_a_stage_trains_is_not_recorded_with_its_result(clone):
    set_epochs(clone, 40)
    tiny_study.run(clone, "git", "add", "-A")
    tiny_study.run(clone, "git", "commit", "-qm", "before")
    commit = tiny_study.run(clone, "git", "rev-parse", "HEAD").strip()
    first = start(clone, "dvc", "repro", "train")
    read_until(first, "epoch 2/40")
    append(clone, "training/loop.py", "EDITED = 1")
    tiny_study.run(clone, "git", "commit", "-qam", "after")
    output = first.communicate()[0]
    assert first.returncode == 0, output
    record = json.loads((clone / f"data/provenance/{CELL}/train.json").read_text(encoding="utf-8"))
    assert record["git_commit"] == commit
    assert record["git_dirty"] is False
    assert "train@tiny-digits-ae-0" in tiny_study.executed(tiny_study.run(clone, "dvc", "repro", "train"))
    again = json.loads((clone / f"data/provenance/{CELL}/train.json").read_text(encoding="utf-8"))
    assert again["digests"]["code"] != record["digests"]["code"]


def test_a_stage_whose_code_is_not_what_was_resolved_refuses(clone):
    append(clone, "training/loop.py", "EDITED = 1")
    item = ["--study", "tiny", "--dataset", "digits", "--method", "ae", "--seed", "0"]
    output = tiny_study.run(clone, sys.executable, "-m", "stages.train", *item, check=False)
    assert "vaebench.training.loop" in output
    assert "run `dvc repro` again" in output
    assert "Traceback" not in output


def interrupted(folder: Path) -> str:
    """Output of a training that is stopped after its first epoch, and leaves a checkpoint."""
    process = start(folder, sys.executable, "-m", "stages.train", *ITEM)
    output = read_until(process, "/400")
    process.send_signal(signal.SIGTERM)
    return output + process.communicate()[0]


def test_a_checkpoint_outlives_a_comment_and_no_edit_of_code(clone):
    set_epochs(clone, 400)
    assert "run again to go on from there" in interrupted(clone)
    append(clone, "training/loop.py", "# a comment")
    append(clone, "report/terminal.py", "EDITED = 1")
    assert "going on from epoch" in interrupted(clone)
    append(clone, "training/loop.py", "EDITED = 1")
    assert "starting from the beginning" in interrupted(clone)


LIST_MODULES = """
import json, runpy, sys
stage, *arguments = sys.argv[1:]
sys.argv = [f"stages/{stage}.py", *arguments]
runpy.run_module(f"stages.{stage}", run_name="__main__")
print("LOADED " + json.dumps(sorted(m for m in sys.modules if m.split(".")[0] == "vaebench")))
"""
ITEM = ("--dataset", "digits", "--method", "ae", "--seed", "0")
STAGES = {
    "prepare": (("--dataset", "digits"), "digits/prepare"),
    "reference": (("--dataset", "digits"), "digits/reference"),
    "train": (ITEM, "digits/ae/train"),
    "posthoc": ((*ITEM, "--density", "gmm10"), "posthoc/gmm10"),
    "evaluate": (ITEM, "digits/ae/evaluate"),
    "tabulate": ((), "tabulate"),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_every_module_that_it_loads(resolved, stage):
    arguments, inputs = STAGES[stage]
    command = [sys.executable, "-c", LIST_MODULES, stage, "--study", "tiny", *arguments]
    output = tiny_study.run(resolved, *command)
    (line,) = (line for line in output.splitlines() if line.startswith("LOADED "))
    loaded = {module for module in json.loads(line.removeprefix("LOADED ")) if not is_neutral(module)}
    code = json.loads((resolved / f"data/resolved/tiny/{inputs}.json").read_text(encoding="utf-8"))["code"]
    assert loaded - code.keys() == set()
