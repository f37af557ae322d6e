"""Fuzz of what users choose freely: pictures' names, modes and sizes, and the folder of a clone."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.tiny_study import ROOT, environment, run

from vaebench.base.errors import UserError
from vaebench.data.celebahq import CelebAHQ
from vaebench.data.raw import RawFiles
from vaebench.data.store import Prepared, StoreWriter

MODES = ("1", "L", "P", "RGB", "RGBA", "LA", "I;16", "CMYK", "F", "I")
FORMATS = {"png": ("1", "L", "P", "RGB", "RGBA", "LA", "I;16"), "jpg": ("L", "RGB", "CMYK"), "tif": MODES}
NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=20)


def picture(mode: str, side: int, grey: int) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.full((side, side), grey * 257, np.uint16))
    return Image.new("L", (side, side), grey).convert(mode)


def check_pictures(folder, names, mode, form, side, grey) -> None:
    """One picture among good ones is taken with its grey, or refused by its name."""
    raw = folder / "raw"
    (raw / "celebahq").mkdir(parents=True)
    for number in range(2):
        Image.new("RGB", (8, 8)).save(raw / "celebahq" / f"{number}.png")
    path = raw / "celebahq" / f"z{names}.png"
    try:
        picture(mode, side, grey).save(path, format={"png": "PNG", "jpg": "JPEG", "tif": "TIFF"}[form])
    except OSError:  # no name of this file system, or no mode of the format
        return
    refusal = ""
    try:
        with StoreWriter(folder / "store", "celebahq") as store:
            CelebAHQ(test=1).write(RawFiles((raw,)), store)
    except UserError as error:
        refusal = str(error)
    assert bool(refusal) == (mode in ("CMYK", "F", "I")), refusal
    if refusal:
        assert path.name in refusal
        return
    expected = 255 * (grey > 127) if mode == "1" else grey
    found = Prepared.open(folder / "store").images[0].astype(int)  # names sort before numbers
    assert np.abs(found - expected).max() <= (3 if form == "jpg" else 0) or mode in ("1", "P")


CASES = st.sampled_from(sorted(FORMATS)).flatmap(
    lambda form: st.tuples(st.just(form), st.sampled_from(FORMATS[form]))
)


@settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)
@given(NAMES, CASES, st.integers(1, 40), st.integers(0, 255))
def test_a_picture_of_any_name_mode_and_size(tmp_path_factory, name, case, side, grey):
    check_pictures(tmp_path_factory.mktemp("pictures"), name, case[1], case[0], side, grey)


@pytest.mark.nightly
@settings(max_examples=1_000, suppress_health_check=list(HealthCheck), deadline=None, derandomize=False)
@given(NAMES, CASES, st.integers(1, 100), st.integers(0, 255))
def test_many_pictures_of_any_name_mode_and_size(tmp_path_factory, name, case, side, grey):
    check_pictures(tmp_path_factory.mktemp("pictures"), name, case[1], case[0], side, grey)


FOLDERS = ["a b", "it's", 'say "x"', "100%", "what?", "Übung ß", "a#b", "a&b;c", "$HOME", "[x](y)", "日本"]
CLONES = ["it's 100% Übung ß", 'say "x" what?', "a&b;c #d $HOME", "-日本 [x](y)!*"]


@pytest.mark.nightly
@pytest.mark.parametrize("name", CLONES)
def test_a_clone_in_a_folder_of_any_name(tiny_repository, tmp_path, name):
    """What is committed, cloned into a folder of that name: the first stages and the commands run there."""
    clone = tmp_path / name
    run(tmp_path, "git", "clone", "-q", str(tiny_repository), str(clone), env=environment(tmp_path))
    output = run(clone, "dvc", "repro", "train@tiny-digits-ae-0")
    assert "Traceback" not in output
    assert (clone / "data/models/tiny/digits/ae/0/model.safetensors").is_file()
    assert "ae" in run(clone, "vaebench", "methods")


@pytest.mark.nightly
def test_a_clone_in_a_folder_with_a_brace_says_that_dvc_will_fail(tiny_repository, tmp_path):
    clone = tmp_path / "{y}"
    run(tmp_path, "git", "clone", "-q", str(tiny_repository), str(clone), env=environment(tmp_path))
    output = run(clone, "dvc", "repro", "resolve", check=False)
    assert "has a brace in its name, with which DVC's cache fails: rename the folder" in output
    run(clone, "dvc", "cache", "dir", str(tmp_path / "cache"))
    run(clone, "dvc", "repro", "resolve")


@pytest.mark.nightly
def test_a_temporary_experiment_finds_the_workspace_s_raw_files(tiny_repository, tmp_path):
    """Small MNIST files in ``data/raw``, read from DVC's copy without a network."""
    from support.data_fixtures import write_mnist

    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(tiny_repository), str(clone), env=environment(tmp_path))
    write_mnist(clone / "data/raw", train=300, test=100)
    text = (clone / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("name: digits\n", "name: mnist\n", 1)
    (clone / "params.yaml").write_text(text, encoding="utf-8")
    run(clone, "git", "commit", "-qam", "mnist")
    output = run(
        clone, "dvc", "exp", "run", "--temp", "-S", "+datasets.digits.source.test_limit=30",
        "prepare@tiny-digits",
    )  # fmt: skip
    assert "Traceback" not in output
    assert "ownload" not in output


@pytest.mark.nightly
def test_a_zip_without_git_resolves(tiny_repository, tmp_path):
    folder = tmp_path / "unzipped"
    folder.mkdir()
    archive = tmp_path / "a.tar"
    run(tiny_repository, "git", "archive", "-o", str(archive), "HEAD")
    subprocess.run(["tar", "xf", archive, "-C", folder], check=True)
    env = environment(folder) | {"GIT_CEILING_DIRECTORIES": str(tmp_path)}
    run(folder, "dvc", "config", "--local", "core.no_scm", "true", env=env)
    output = run(folder, "dvc", "repro", "resolve", env=env)
    assert "git cannot tell the commit" in output
    assert "Traceback" not in output


def test_a_stage_in_a_folder_of_any_name_imports_its_package(tmp_path):
    for name in FOLDERS:
        folder = tmp_path / name
        folder.mkdir()
        for part in ("src", "stages", "studies", "papers"):
            if (ROOT / part).exists():
                (folder / part).symlink_to(ROOT / part)
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [sys.executable, "-m", "stages.resolve", "--help"]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (name, done.stderr)
