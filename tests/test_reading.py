"""Every file that a stage or a command wrote, read when it is missing and when it is damaged."""

from __future__ import annotations

import re
import shutil
from html import unescape
from pathlib import Path

import pytest
from support.fake_study import write_study
from support.outputs import write_outputs

from vaebench.base.errors import UserError
from vaebench.base.files import write_json
from vaebench.base.reading import UnreadableError, reading
from vaebench.cli.publish import Store
from vaebench.cli.verify import verify
from vaebench.data.store import Prepared
from vaebench.densities.saved import load_latents
from vaebench.densities.store import load_density
from vaebench.measure.features.reference import load_reference
from vaebench.model.vae import load_model
from vaebench.report.index import write_index
from vaebench.report.results import read_results
from vaebench.study.paths import resolved_dir
from vaebench.study.resolve import read_study


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    write_outputs(folder)
    study = write_study(folder / "reports")
    write_json(study / "outside/mnist/outside_x/0.json", {"label": "x", "metrics": {"mse": 1.0}})
    write_json(study / "claims.json", {"verdicts": []})
    write_json(study / "card.json", {})
    write_json(folder / resolved_dir("fake") / "study.json", {})
    weights = folder / "data/models/fake/mnist/mle_iso_i/0/model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    shutil.copytree(study / "provenance", folder / "data/provenance/fake")
    return folder


@pytest.fixture
def folder(written, tmp_path, monkeypatch) -> Path:
    """A copy to damage, as the current folder."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def index(_: str) -> None:
    raise UserError(write_index(Path("reports")).read_text("utf-8"))


def check(_: str) -> None:
    read_results("reports/fake").check()


def publish(_: str) -> None:
    Path("published").mkdir()
    Store("published").publish(read_results("reports/fake").params, ("fake", *RUN))


def measure_again(_: str) -> None:
    verify(read_results("reports/fake").params, *RUN)


RUN = "mnist", "mle_iso_i", 0
PLACES = {
    "store/meta.json": (lambda _: Prepared.open("store"), "prepare"),
    "store/images.npy": (lambda _: Prepared.open("store"), "prepare"),
    "store/labels.npy": (lambda _: Prepared.open("store"), "prepare"),
    "model/spec.json": (lambda _: load_model("model"), "train"),
    "model/model.safetensors": (lambda _: load_model("model"), "train"),
    "latents/latents.npz": (load_latents, "train"),
    "density/density.json": (lambda _: load_density("density"), "posthoc"),
    "density/arrays.npz": (lambda _: load_density("density"), "posthoc"),
    "reference/reference.json": (lambda _: load_reference("reference"), "reference"),
    "reference/features.npy": (lambda _: load_reference("reference"), "reference"),
    "reference/moments.npz": (lambda _: load_reference("reference"), "reference"),
    "reference/classifier.safetensors": (lambda _: load_reference("reference"), "reference"),
    "data/resolved/fake/study.json": (lambda _: read_study("fake"), "resolve"),
    "reports/fake/study.yaml": (lambda _: read_results("reports/fake"), "tabulate"),
    "reports/fake/card.json": (index, "vaebench report"),
}
"""What reads each file, and what the message has to name: the stage or the command that writes it."""

ONLY_MISSING = {
    "reports/fake/metrics/mnist/mle_iso_i/0.json": (measure_again, "evaluate"),
    "reports/fake/history/mnist/mle_iso_i/0.csv": (measure_again, "train"),
    "data/provenance/fake/mnist/mle_iso_i/0/train.json": (publish, "train"),
    "data/models/fake/mnist/mle_iso_i/0/model.safetensors": (publish, "dvc pull"),
}
"""Files whose absence elsewhere says that a cell has not run."""

ONLY_DAMAGED = {
    "reports/fake/metrics/mnist/mle_iso_i/0.json": (check, "evaluate"),
    "reports/fake/history/mnist/mle_iso_i/0.csv": (check, "train"),
    "reports/fake/provenance/mnist/mle_iso_i/0/train.json": (check, "train"),
    "reports/fake/claims.json": (index, "vaebench report"),
    "reports/fake/outside/mnist/outside_x/0.json": (check, "vaebench evaluate"),
    "data/provenance/fake/mnist/mle_iso_i/0/evaluate.json": (publish, "evaluate"),
}


@pytest.mark.parametrize("path", [*PLACES, *ONLY_MISSING])
def test_a_missing_file_names_its_writer(folder, path):
    read, writer = (PLACES | ONLY_MISSING)[path]
    (folder / path).unlink(missing_ok=True)
    with pytest.raises(UserError) as error:
        read(path)
    assert re.search(rf"{re.escape(path)} is missing.*{writer}", unescape(str(error.value)))


@pytest.mark.parametrize("path", [*PLACES, *ONLY_DAMAGED])
def test_a_damaged_file_is_named_with_what_writes_it_again(folder, path):
    read, writer = (PLACES | ONLY_DAMAGED)[path]
    content = (folder / path).read_bytes()
    (folder / path).write_bytes(b"{" + content[: len(content) // 2])
    with pytest.raises(UserError) as error:
        read(path)
    place = rf"({re.escape(path)}|{Path(path).parent})"
    assert re.search(rf"\b{place} .*damaged.*{writer}", unescape(str(error.value)))


def test_the_innermost_place_is_named_and_an_interrupt_is_not_damage():
    expected = pytest.raises(UnreadableError, match=r"inner is damaged: it lacks 'a'")
    with expected, reading("outer"), reading("inner"):
        _ = {}["a"]
    with pytest.raises(KeyboardInterrupt), reading("outer"):
        raise KeyboardInterrupt
