import json
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
import torch
from PIL import Image
from support.fake_study import write_study
from typer.testing import CliRunner

from vaebench.base.errors import UserError
from vaebench.cli import app as cli
from vaebench.cli import ui
from vaebench.study.params import AXES, registry
from vaebench.tracking import follow

STUDY = """
study:
  name: {name}
  title: A {name} study
  datasets: [digits]
  methods: [vae, rae]
  seeds: [0, 1, 2]
  densities: [prior]
datasets:
  digits: {{source: {{name: {source}}}, network: {{name: compact, latent_dim: 3}}}}
methods:
  vae:
    label: MLE Diag-D
    likelihood: {{name: gaussian, variance: mle, shape: diag_d}}
    regularizer: {{name: kl, weight: 2.5}}
  rae:
    label: RAE
    likelihood: {{name: l2}}
    regularizer: {{name: rae_l2, embedding: 0.25}}
    posterior: {{name: deterministic}}
    training: {{epochs: 7}}
densities:
  prior: {{name: prior}}
training: {{epochs: 2}}
evaluation:
  features: {features}
  metrics: [{{name: reconstruction}}]
"""


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("VAEBENCH_DATA", "VAEBENCH_INCEPTION", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "studies").mkdir()
    for name, source, features in (("small", "digits", "classifier"), ("faces", "celeba", "inception")):
        study = STUDY.format(name=name, source=source, features=features)
        (tmp_path / "studies" / f"{name}.yaml").write_text(study)
    shutil.copy("studies/small.yaml", "params.yaml")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])


def line(output, word):
    (found,) = [row for row in output.splitlines() if word in row]
    return found


def trained(folder, regularizer="kl"):
    from vaebench.model.vae import ModelSpec, save_model

    torch.manual_seed(0)
    spec = ModelSpec(
        image_shape=(1, 8, 8),
        train_size=9,
        network={"name": "compact", "latent_dim": 3},
        likelihood={"name": "l2"},
        regularizer={"name": regularizer},
    )
    save_model(folder, spec.build())
    return folder


def fitted(folder):
    from vaebench.densities import DENSITIES

    density = DENSITIES.build({"name": "gaussian"})
    density.fit({"train_mean": np.eye(9, 3, dtype="float32"), "prior_scale": np.float32("nan")}, seed=0)
    density.save(folder)
    return folder


def test_help_and_completion_import_nothing_heavy():
    heavy = ("torch", "mlflow", "pandas", "sklearn", "scipy", "matplotlib", "pydantic")
    code = (
        "import sys; from typer.testing import CliRunner; from vaebench.cli.app import app;"
        "result = CliRunner().invoke(app, ['--help']); assert result.exit_code == 0, result;"
        "assert 'explain' in result.output and '--install-completion' in result.output;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_studies_lists_all_and_marks_the_active_one(workspace):
    (workspace / "studies" / "broken.yaml").write_text("study: {name: broken}")
    output = run("studies").output
    assert line(output, "A small study").split()[:8] == ["*", "small", "2", "×", "1", "×", "3", "="]
    assert not line(output, "A faces study").startswith("*")
    assert "cannot be read" in line(output, "broken")


def test_studies_outside_a_repository_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("studies")
    assert result.exit_code == 1
    assert "root" in result.output


def test_study_makes_another_one_active(workspace):
    assert run("study", "faces").exit_code == 0
    assert Path("params.yaml").read_text() == Path("studies/faces.yaml").read_text()
    assert not list(Path().glob("params.yaml.*"))


def test_study_keeps_every_change_that_is_nowhere_else(workspace):
    whole = Path("params.yaml").read_text()
    edits = [whole.replace("weight: 2.5", f"weight: {weight}") for weight in (3.5, 4.5)]
    for number, edit in enumerate(edits, 1):
        Path("params.yaml").write_text(edit)
        assert f"params.yaml.{number}" in run("study", "faces").output
        assert Path("params.yaml").read_text() == Path("studies/faces.yaml").read_text()
    assert [Path(f"params.yaml.{number}").read_text() for number in (1, 2)] == edits


def test_a_study_that_extends_another_is_written_whole_and_is_no_change(workspace):
    Path("studies/shorter.yaml").write_text("# One epoch.\nextends: small\ntraining: {epochs: 1}\n")
    assert run("study", "shorter").exit_code == 0
    text = Path("params.yaml").read_text()
    assert text.startswith("# One epoch.\nstudy:\n  name: shorter\n  title: A small study\n")
    assert "\ntraining: {epochs: 1}\n" in text
    assert line(run("studies").output, "shorter").startswith("*")
    run("study", "small")
    assert not list(Path().glob("params.yaml.*"))


@pytest.mark.parametrize("name", ["nope", "../params"])
def test_study_refuses_an_unknown_name_with_the_list(workspace, name):
    before = Path("params.yaml").read_text()
    result = run("study", name)
    assert result.exit_code == 1
    assert "faces, small" in result.output
    assert Path("params.yaml").read_text() == before


def test_study_does_not_activate_a_damaged_one(workspace):
    Path("studies/faces.yaml").write_text("study: 3")
    before = Path("params.yaml").read_text()
    assert run("study", "faces").exit_code == 1
    assert Path("params.yaml").read_text() == before


def test_methods_shows_the_axes_and_their_options(workspace):
    row = line(run("methods").output, "MLE Diag-D")
    assert "gaussian (variance mle, shape diag_d)" in row
    assert "kl (weight 2.5)" in row
    assert row.startswith("*")


def test_explain_gives_objective_options_and_source(workspace):
    output = run("explain", "vae").output
    assert "E[1/2 sum ln(r^2 + eps)]\n  + weight * KL(q(z|x) || N(0, I))" in output
    assert "    weight = 2.5\n" in output
    assert "    eps = 1e-06 (default)\n" in output
    assert "Takida" in output.split("source:")[1]
    assert "Kingma" in output.split("source:")[1]
    other = run("explain", "rae").output
    assert "z = mu(x)" in other
    assert "epochs = 7" in other
    assert "Ghosh" in other.split("source:")[1]
    assert "Takida" not in other.split("source:")[1]


@pytest.mark.parametrize("axis", AXES)
def test_every_value_of_the_axes_says_its_formula_for_the_defaults_and_every_choice(axis):
    from vaebench.cli import explain

    values = registry(axis)
    for name in values.names():
        assert explain._about(values.load(name)), name
        assert values.formula({"name": name}) != f"the {axis} {name!r}"
        words = values.read(name, "formula")
        if isinstance(words, dict):
            ((option, texts),) = words.items()
            parameter = values.options(name)[option]
            assert next(iter(texts)) == parameter.default, "the default comes first"
            assert set(texts) == set(get_args(get_type_hints(values.load(name).__init__)[option]))


def test_explain_speaks_of_a_method_of_one_s_own(workspace):
    from vaebench.model.likelihoods import LIKELIHOODS
    from vaebench.model.likelihoods.base import Likelihood

    class Cauchy(Likelihood):
        """Heavy tails.

        Args:
            width: of the peak.
        """

        def __init__(self, image_shape, activation, *, width: float = 0.5):
            super().__init__(image_shape, activation)

    text = Path("params.yaml").read_text().replace("{name: l2}", "{name: cauchy, width: 2}")
    Path("params.yaml").write_text(text)
    with LIKELIHOODS.adding("cauchy", Cauchy):
        output = run("explain", "rae").output
    assert "likelihood: cauchy\n    width = 2\n    Heavy tails.\n" in output


def test_errors_are_one_paragraph_unless_asked_for(workspace):
    result = run("explain", "nope")
    assert result.exit_code == 1
    assert result.output == (
        "vaebench: params.yaml has no method 'nope', and no axis has such a value; "
        "its methods are: vae, rae.\n"
    )
    assert isinstance(run("--traceback", "explain", "nope").exception, UserError)
    Path("params.yaml").unlink()
    assert "params.yaml is not there" in run("methods").output


def test_doctor_says_what_is_missing_and_which_studies_wait_for_it(workspace, monkeypatch):
    mnist = workspace / "mine" / "MNIST" / "raw"
    mnist.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (mnist / f"{name}-ubyte").touch()
    monkeypatch.setenv("VAEBENCH_DATA", str(workspace / "mine"))
    result = run("doctor")
    assert result.exit_code == 0, result.exception
    assert line(result.output, " mnist:").split()[:3] == ["ok", "mnist:", str(mnist)]
    assert line(result.output, " digits:").split()[0] == "ok"
    faces = line(result.output, " celeba:")
    assert faces.split()[0] == "missing"
    assert "img_align_celeba" in faces
    assert faces.endswith("Studies that need it: faces.")
    assert line(result.output, "FID's Inception").endswith("Studies that need it: faces.")
    assert torch.__version__.split("+")[0] in line(result.output, " torch:")
    assert not (workspace / "data").exists()


def test_doctor_finds_the_weights_that_are_named(workspace, monkeypatch):
    (workspace / "weights.pth").touch()
    monkeypatch.setenv("VAEBENCH_INCEPTION", str(workspace / "weights.pth"))
    from vaebench.cli.doctor import inception_weights

    assert inception_weights([]).found


def test_sample_draws_a_grid_that_the_seed_decides(workspace):
    folder = trained(workspace / "model")
    assert run("sample", folder, "-n", 7, "-o", "a.png").exit_code == 0
    run("sample", folder, "-n", 7, "-o", "b.png")
    run("sample", folder, "-n", 7, "-o", "c.png", "--seed", 1)
    with Image.open("a.png") as picture:
        assert picture.width == picture.height
        assert 900 < picture.width <= 1000
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    assert Path("a.png").read_bytes() != Path("c.png").read_bytes()


def test_sample_from_a_fitted_density(workspace):
    folder = trained(Path("data/models/small/digits/rae/0"), "none")
    density = Path("data/densities/small/digits/rae/0/gaussian")
    result = run("sample", folder)
    assert result.exit_code == 1
    assert "posthoc" in result.output
    fitted(density)
    assert "one of: gaussian" in run("sample", folder).output
    assert run("sample", folder, "-n", 1, "--density", density).exit_code == 0
    assert Path("grid.png").is_file()


def test_sample_takes_a_method_and_a_density_by_their_names(workspace):
    untrained = run("sample", "rae").output
    assert "rae is not trained on digits with seed 0: `dvc repro train@small-digits-rae-0`" in untrained
    folder = trained(Path("data/models/small/digits/rae/0"), "none")
    fitted(Path("data/densities/small/digits/rae/0/gaussian"))
    assert "there are: gaussian" in run("sample", "rae", "--density", "gmm10").output
    assert run("sample", "rae", "--density", "gaussian", "-o", "named.png").exit_code == 0
    assert "seed 1" in run("sample", "rae", "--model-seed", 1).output
    assert "methods are: vae, rae" in run("sample", "unknown").output
    run("sample", folder, "--density", "data/densities/small/digits/rae/0/gaussian", "-o", "placed.png")
    assert Path("named.png").read_bytes() == Path("placed.png").read_bytes()


def test_sample_refuses_what_it_cannot_use(workspace):
    from vaebench.densities.store import save_absent

    assert "spec.json" in run("sample", "nowhere").output
    folder = trained(workspace / "model")
    save_absent("none", "prior", "it has no prior.")
    for arguments, said in (
        (["-o", "nowhere/a.png"], "no folder nowhere"),
        (["--density", "none"], "it has no prior"),
        (["--density", "gone"], "posthoc"),
        (["-o", "a.unknown"], "a.unknown could not be written"),
    ):
        result = run("sample", folder, *arguments)
        assert (result.exit_code, said in result.output) == (1, True), result.output
    assert run("sample", folder, "-n", 0).exit_code == 2


def test_report_and_best_read_the_studys_results(workspace):
    assert "`dvc repro`" in run("best").output
    write_study(Path("reports"), "small", images=False)
    assert run("report").output == "wrote reports/index.html\n"
    output = run("best").output
    assert "MLE Iso-I" in output
    page = Path("reports/small/index.html")
    assert page.resolve().as_uri() in output
    made = page.read_text("utf-8")
    page.write_text("of another commit")
    run("best")
    assert page.read_text("utf-8") == made


def test_bandwidths_prints_both_tables_and_writes_what_claims_rest_on(workspace, monkeypatch):
    from vaebench.model import kde

    table = kde.bandwidth_table
    monkeypatch.setattr(kde, "bandwidth_table", lambda: table((10,), (500, 2000), 2))
    output = run("bandwidths").output
    assert "0.74 (0.74)" in output
    assert "0.56 (0.56)" in output
    assert "2 of the paper's 2 numbers agree" in output
    assert not Path("reports/bandwidths").exists()
    run("bandwidths", "--write")
    entry = json.loads(Path("reports/bandwidths/numbers.json").read_text("utf-8"))
    assert entry["provenance"]["command"] == "vaebench bandwidths --write"
    assert "holds" not in Path("reports/bandwidths/claims.json").read_text("utf-8")  # two of 30 numbers
    claims = run("claims", "--paper", "avae2024").output
    assert "[undecided, points this way] Table I" in claims


def test_ui_serves_the_local_store_to_this_machine_only(workspace, monkeypatch):
    commands = []
    monkeypatch.setattr(ui.os, "execve", lambda program, command, env: commands.append(command))
    monkeypatch.setattr(ui, "_runs_page", lambda uri: "/#/runs")
    monkeypatch.setattr(follow, "QUIET", {})
    monkeypatch.setattr(follow, "QUICK", {})
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert "`dvc repro`" in run("ui").output
    Path("mlflow.db").touch()
    assert "http://127.0.0.1:5999/#/runs" in run("ui", "--port", 5999).output
    (command,) = commands
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == "5999"
    assert command[command.index("--backend-store-uri") + 1] == "sqlite:///mlflow.db"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert f"port {port} is not free" in run("ui", "--port", port).output
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert "http://server:5000" in run("ui").output
    assert len(commands) == 1


def test_explain_knows_a_feature_network(workspace):
    output = run("explain", "classifier").output
    assert "fd_classifier and compares within a study" in output
    assert "64 penultimate units are features" in output


def test_networks_lists_shapes_and_weights(workspace):
    output = run("networks").output
    assert re.search(r"inception +fid +with papers' FID +pytorch-fid", output)
    assert re.search(r"takida_mnist +1 x 28 .* 13\.3 M", output)
    assert re.search(r"conv +3 x 32, 64, 128 ", output)


def test_networks_are_timed_where_that_is_asked(workspace, monkeypatch):
    monkeypatch.setattr("vaebench.cli.networks.SHAPES", [(1, 8, 8)])
    output = run("networks", "--seconds").output
    assert "timing conv on 1 x 8 x 8" in output
    assert re.search(r"conv +1 x 8 +64 +0\.8 M +\d+ +Any shape", output)
