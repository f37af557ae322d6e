"""The README and the guides do what they say: their commands run, word for word, in a fresh repository."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import typer.main
import yaml
from support.data_fixtures import write_mnist
from support.documents import BLOCK, DOCUMENTS, blocks, run_block
from support.tiny_study import ROOT, copy_repository, executed, run

from vaebench.cli.app import app
from vaebench.cli.check import check


def walk(document: Path, folder: Path, when: tuple[str, ...] = ("",)) -> list[str]:
    """Run the document's commands in order; what each block prints."""
    return [run_block(folder, block.text) for block in blocks(document, "bash") if block.when in when]


@pytest.fixture(scope="module")
def readme(tiny_repository, tmp_path_factory) -> SimpleNamespace:
    """The repository after the README's commands, and what they printed."""
    folder = copy_repository(tiny_repository, tmp_path_factory.mktemp("readme") / "vaebench")
    return SimpleNamespace(folder=folder, output="\n".join(walk(ROOT / "README.md", folder)))


def stages_run(readme) -> Counter:
    return Counter(executed(readme.output))


def test_a_changed_parameter_runs_its_methods_stages_alone(readme):
    cell = "tiny-digits-wae_mmd-0"
    densities = {f"posthoc@{cell}-{name}" for name in ("prior", "gmm10")}
    expected = {f"train@{cell}", f"evaluate@{cell}", "tabulate@tiny", *densities}
    assert stages_run(readme).keys() == expected


def test_what_is_compared_is_short_and_about_what_changed(readme):
    (header,) = (line for line in readme.output.splitlines() if line.split()[:2] == ["Experiment", "Created"])
    columns = header.split()[2:]
    assert "methods.wae_mmd.regularizer.weight" in columns
    assert "digits.wae_mmd.fd_mnist_lenet.prior" in columns
    assert all(".wae_mmd." in column for column in columns)
    moved = [
        line.split()[1] for line in readme.output.splitlines() if line.startswith("reports/tiny/summary.json")
    ]
    assert "digits.wae_mmd.mse" in moved
    assert all(name.startswith("digits.wae_mmd.") for name in moved)
    page = (readme.folder / "dvc_plots/index.html").read_text(encoding="utf-8")
    assert "history/digits/wae_mmd/0.csv" in page
    assert "reconstructions.png" in page


def test_a_pulled_clone_has_nothing_to_run_and_a_report(readme):
    ran = stages_run(readme)
    assert set(ran.values()) == {1}, "in the experiment alone"
    copy = readme.folder.parent / "copy"
    assert "WAE-MMD" in (copy / "reports/tiny/index.html").read_text(encoding="utf-8")
    model = "data/models/tiny/digits/wae_mmd/0/model.safetensors"
    assert (copy / model).read_bytes() == (readme.folder / model).read_bytes()
    assert run(copy, "git", "status", "--porcelain") == ""


def test_the_guide_to_comparing_goes_on_from_the_readme(readme):
    output = "\n".join(walk(ROOT / "docs/compare.md", readme.folder))
    assert "Removed experiments" in output
    assert "wrote reports/index.html" in output


OTHERS = [path for path in DOCUMENTS if path.name not in ("README.md", "compare.md")]


@pytest.mark.parametrize("document", OTHERS, ids=lambda path: path.stem)
def test_a_guides_commands_run(document, tiny_repository, tmp_path):
    if any(not block.when for block in blocks(document, "bash")):
        walk(document, copy_repository(tiny_repository, tmp_path / "vaebench"))


@pytest.mark.nightly
@pytest.mark.parametrize("document", OTHERS, ids=lambda path: path.stem)
def test_a_guides_slow_commands_run(document, tiny_repository, tmp_path):
    walk(document, copy_repository(tiny_repository, tmp_path / "vaebench"), ("", "nightly"))


@pytest.mark.nightly
def test_a_papers_table_is_run_again(tiny_repository, tmp_path, monkeypatch):
    """As the guide says, on random images, with two of the methods and an epoch each."""
    folder = copy_repository(tiny_repository, tmp_path / "vaebench")
    write_mnist(tmp_path, train=300, test=100)
    monkeypatch.setenv("VAEBENCH_DATA", str(tmp_path))
    for block in blocks(ROOT / "docs/rerun-a-table.md", "bash"):
        if block.when == "shortened":
            shorten(folder / "params.yaml")
        output = run_block(folder, block.text)
        assert block.when != "shortened" or "Diag-D (MLE)" in output
    table = folder / "reports/takida_mnist_short/tables/takida2022_table4.md"
    assert "(6.80)" in table.read_text(encoding="utf-8")


def shorten(params: Path) -> None:
    study = yaml.safe_load(params.read_text(encoding="utf-8"))
    study["study"] |= {"methods": ["ae", "mle_diag_d"], "seeds": [0]}
    study["training"]["epochs"] = study["densities"]["vae2"]["epochs"] = 1
    study["methods"]["mle_diag_d"]["likelihood"]["warmup_steps"] = 2
    study["evaluation"] |= {"samples": 100, "metrics": [{"name": "reconstruction"}, {"name": "fid"}]}
    params.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf-8")


@pytest.mark.nightly
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_the_second_gpu_is_used(tiny_repository, tmp_path):
    folder = copy_repository(tiny_repository, tmp_path / "vaebench")
    (slow,) = (b.text for b in blocks(ROOT / "docs/gpu.md", "bash") if b.when == "nightly")
    run_block(folder, slow.replace("=cpu", "=cuda:1"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)
def test_what_a_document_names_is_there(document):
    text = document.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = typer.main.get_command(app).commands
    for target in re.findall(r"\bmake ([a-z]+)\b(?=[`\n ]+(?:NAME|#|`|\n))", text):
        assert re.search(rf"^{target}:", makefile, re.M), target
    for command in re.findall(r"`vaebench ([a-z]+(?:-[a-z]+)*)", text):
        assert command in commands
    for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", text):
        assert (document.parent / link).exists() or link.startswith("reports/"), link
    assert len(re.findall(r"^<!-- test:", text, re.M)) == sum(
        bool(when) for when, *_ in BLOCK.findall(text)
    ), "a marker is not read"


def test_the_guide_to_extending_shows_code_that_works():
    from vaebench.model.regularizers.base import Context

    namespace: dict = {}
    for block in blocks(ROOT / "docs/extending.md", "python"):
        assert not block.when
        exec(compile(block.text, "docs/extending.md", "exec"), namespace)
    regularizer = namespace["LatentL1"](Context(2, 100, (1, 8, 8)), weight=0.5)
    z = torch.tensor([[1.0, -3.0], [2.0, 0.0]])
    assert regularizer(SimpleNamespace(z=z), None).item() == pytest.approx(1.5)
    bright = namespace["Brightness"](factor=2.0).load(None, None, {})
    assert torch.equal(bright(torch.ones(1, 3, 2, 2)), torch.full((1, 3), 2.0))
    run_of = SimpleNamespace(latents={"test_mean": np.array([[1.0, 0.0], [-1.0, 0.1]])})
    assert namespace["active_units"](run_of) == {"latent": {"active_units": 1}}


def test_the_guides_contributions_pass_the_check(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    checked: list[str] = []
    for number, block in enumerate(blocks(ROOT / "docs/extending.md", "python")):
        (tmp_path / f"guide_{number}.py").write_text(block.text, encoding="utf-8")
        assert check(f"guide_{number}", {}, checked.append), checked
    values = [line for line in checked if not line.startswith(" ")]
    assert values == ["regularizer latent_l1", "features brightness", "metric active_units"]


def test_the_readmes_imports_are_there():
    for block in blocks(ROOT / "README.md", "python"):
        exec(compile(block.text, "README.md", "exec"), {})


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == project["version"]
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


@pytest.mark.nightly
def test_a_pythae_model_is_measured(tiny_repository, tmp_path, monkeypatch):
    pytest.importorskip("pythae")
    monkeypatch.chdir(copy_repository(tiny_repository, tmp_path / "vaebench"))
    (block,) = (b for b in blocks(ROOT / "docs/compare.md", "python") if b.when == "nightly")
    namespace: dict = {}
    exec(compile(block.text.replace("quickstart", "tiny"), "docs/compare.md", "exec"), namespace)
    assert namespace["measured"].keys() >= {"mse", "mse_sampled", "kl", "fd_mnist_lenet"}
    assert Path("reports/tiny/outside/digits/outside_pythae_vae/0.json").is_file()


@pytest.mark.nightly
def test_the_reference_is_built(tmp_path):
    recipe = re.search(r"^\t(.*\bpdoc .*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M).group(1)
    command = recipe.replace("$$", "$").replace("docs/api", str(tmp_path))
    output = run(ROOT, "env", f"PYTHONPATH={ROOT / 'src'}", "bash", "-c", command)
    assert "Warn" not in output
    assert "build_method" in (tmp_path / "vaebench/api.html").read_text(encoding="utf-8")
    assert (tmp_path / "vaebench/model/likelihoods/gaussian.html").is_file()
