"""A model of another library, or samples alone, as rows of a study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from support import fake_study, scratch
from support.metric_models import pixels

from vaebench.api import Measured, evaluate_samples
from vaebench.base.errors import UserError
from vaebench.base.files import read_json, read_yaml, write_json
from vaebench.cli.outside import measure_outside
from vaebench.data.preparation import prepare
from vaebench.report.index import write_index
from vaebench.report.outside import measured_otherwise, outside_metrics
from vaebench.report.page import write_page
from vaebench.report.results import read_results
from vaebench.report.tables import write_tables
from vaebench.report.terminal import best_rows
from vaebench.study.params import load_params
from vaebench.study.paths import prepared_dir


@pytest.fixture
def study(tmp_path):
    return fake_study.write_study(tmp_path / "reports")


def test_a_recorded_model_is_a_row_marked_as_from_outside(study, tmp_path):
    before = read_results(study)
    dataset, seed = before.study.datasets[0], before.study.seeds[0]
    measured = Measured({"mse": 0.5, "fid": {"prior": 1.5}}, dataset)
    path = measured.record("fake", "pythae's VAE", root=tmp_path)
    assert path == study / f"outside/{dataset}/outside_pythae_s_vae/{seed}.json"
    results = read_results(study)
    rows = results.measured[results.measured["method"] == "outside_pythae_s_vae"]
    assert set(rows["label"]) == {"pythae's VAE (from outside)"}
    assert rows.set_index("metric")["mean"].to_dict() == {"mse": 0.5, "fid.prior": 1.5}
    assert results.digest == before.digest
    assert len(results.cells) == len(before.cells) + 1
    assert [v.status for v in results.verdicts] == [v.status for v in before.verdicts]


@pytest.mark.parametrize("label", ["VAE β", "VAE α", "VAE!", "vae α"])
def test_a_row_does_not_replace_one_whose_label_has_the_same_letters(study, tmp_path, label):
    first = Measured({"mse": 0.5}, "").record("fake", "VAE α", root=tmp_path)
    again = Measured({"mse": 0.7}, "")
    if label == "VAE α":
        assert again.record("fake", label, root=tmp_path) == first
        assert outside_metrics(first) == {"mse": 0.7}
        return
    with pytest.raises(UserError, match=r"would replace 'VAE α' .*another label, or delete .*outside_vae"):
        again.record("fake", label, root=tmp_path)
    assert outside_metrics(first) == {"mse": 0.5}


def test_it_stands_in_the_tables_and_on_the_page(study, tmp_path):
    Measured({"fid": {"prior": 2.5}}, "").record("fake", "samples of a GAN", root=tmp_path)
    results = read_results(study)
    write_tables(results)
    tables = "".join(path.read_text() for path in (study / "tables").glob("*.md"))
    assert "samples of a GAN (from outside)" in tables
    page = next(path for path in write_page(results) if path.suffix == ".html")
    assert "samples of a GAN (from outside)" in page.read_text()


def test_samples_alone_are_a_row_with_a_picture(study, tmp_path):
    images = np.random.default_rng(0).random((200, 1, 8, 8), np.float32)
    evaluate_samples(images, pixels(images)).record("fake", "my GAN", root=tmp_path)
    results = read_results(study)
    (cell,) = [cell for cell in results.cells if cell.method == "outside_my_gan"]
    (picture,) = results.images[cell]
    assert picture.name == "samples-prior.png"
    shown = np.asarray(Image.open(picture))[1 : 3 * 8 : 3, 1 : 3 * 8 : 3]  # enlarged threefold
    assert np.array_equal(shown, np.rint(images[0, 0] * 255))


def test_the_index_counts_it_apart_from_the_methods(study, tmp_path):
    write_page(read_results(study))
    before = read_json(study / "card.json")
    pictures = {"samples-prior": np.zeros((4, 4), np.uint8)}
    Measured({"mse": 0.5}, "", pictures).record("fake", "mine", root=tmp_path)
    write_page(read_results(study))
    assert before["outside"] == 0
    assert read_json(study / "card.json") == before | {"outside": 1}
    index = write_index(study.parent).read_text(encoding="utf-8")
    assert f"{before['methods']} methods and 1 from outside" in index


def change_study(study: Path, **evaluation) -> None:
    content = read_yaml(study / "study.yaml")
    content["evaluation"] |= evaluation
    (study / "study.yaml").write_text(yaml.safe_dump(content), "utf-8")


def test_a_row_that_was_measured_otherwise_is_not_ranked(study, tmp_path):
    best = {"fid": {"prior": 0.5}}
    path = Measured(best, "").record("fake", "mine", root=tmp_path)
    older = Measured({"fid": {"prior": 0.6}}, "").record("fake", "older", root=tmp_path)
    write_json(older, {name: value for name, value in read_json(older).items() if name != "measured_by"})

    def shown(method: str) -> tuple:
        frame = read_results(study).summary.query("metric == 'fid.prior'").set_index("method")
        row = frame.loc[f"outside_{method}"]
        return row["label"], row["rank"], row["mark"]

    assert shown("mine") == ("mine (from outside)", 1, "single")
    change_study(study, samples=77)
    label, rank, mark = shown("mine")
    assert (label, mark, np.isnan(rank)) == ("mine (from outside, measured otherwise)", "", True)
    assert shown("older") == ("older (from outside)", 1, "single")
    results = read_results(study)
    assert "other parameters of evaluate than" in results.flags["mnist", "outside_mine"].reason
    assert "mine (from outside, measured otherwise)" in best_rows(results).partition("Not ranked:")[2]
    assert results.unsound == {}
    assert Measured(best, "").record("fake", "mine", root=tmp_path) == path
    assert shown("mine") == ("mine (from outside)", 1, "single")


def test_a_row_that_was_measured_otherwise_on_one_data_set_is_ranked_on_the_others(tmp_path):
    method = {"wae_mmd": fake_study.METHODS["wae_mmd"]}
    small = {"paper": None, "images": False, "seeds": (0,), "methods": method}
    study = fake_study.write_study(tmp_path / "reports", datasets=("mnist", "celeba"), **small)
    for dataset in ("mnist", "celeba"):
        Measured({"fid": {"prior": 0.5}}, dataset).record("fake", "mine", root=tmp_path)

    def split_anew(dataset: str) -> None:
        content = read_yaml(study / "study.yaml")
        content["datasets"][dataset] |= {"source": {"name": "mnist", "validation": 5000}}
        (study / "study.yaml").write_text(yaml.safe_dump(content), "utf-8")

    split_anew("celeba")
    results = read_results(study)
    rows = results.summary.query("metric == 'fid.prior' and method == 'outside_mine'").set_index("dataset")
    assert list(rows["label"]) == ["mine (from outside)"] * 2
    assert rows["rank"].isna().to_dict() == {"mnist": False, "celeba": True}
    assert [d for d, m in results.flags if m == "outside_mine"] == ["celeba"]
    mnist, celeba = best_rows(results).split("\nceleba\n")
    assert "mine (from outside)" in mnist.partition("Not ranked:")[0]
    assert "mine (from outside): measured by other parameters" in celeba.partition("Not ranked:")[2]
    split_anew("mnist")
    assert read_results(study).label("outside_mine") == "mine (from outside, measured otherwise)"


@pytest.mark.parametrize("split", [True, False])
def test_another_split_or_other_features_are_another_measurement(study, tmp_path, split):
    Measured({"mse": 0.5}, "").record("fake", "mine", root=tmp_path)
    if split:
        content = read_yaml(study / "study.yaml")
        content["datasets"]["mnist"]["source"]["validation"] = 5000
        (study / "study.yaml").write_text(yaml.safe_dump(content), "utf-8")
    else:
        change_study(study, features="none")
    stages = {("mnist", "outside_mine"): ["prepare"] if split else ["reference", "evaluate"]}
    assert measured_otherwise(load_params(study / "study.yaml", specs=()), study) == stages


def test_a_row_of_no_such_study_data_set_or_seed_is_refused(study, tmp_path):
    measured = Measured({"mse": 0.5}, "")
    for options, message in (
        ({"dataset": "nowhere"}, "no data set 'nowhere'"),
        ({"seed": 77}, "no seed 77"),
    ):
        with pytest.raises(UserError, match=message):
            measured.record("fake", "mine", root=tmp_path, **options)
    with pytest.raises(UserError, match="use letters"):
        measured.record("fake", "—", root=tmp_path)
    with pytest.raises(UserError, match="stage tabulate"):
        measured.record("gone", "mine", root=tmp_path)


def test_the_command_measures_by_the_studys_metrics_and_leaves_out_what_needs_a_likelihood(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    content = scratch.study("ae")
    content["evaluation"] |= {"features": "none", "metrics": [{"name": "reconstruction"}, {"name": "nll"}]}
    scratch.write_study(tmp_path, content)
    params = load_params("params.yaml", specs=())
    prepare(params.datasets["digits"].source, prepared_dir("tiny", "digits"))
    (tmp_path / "reports/tiny").mkdir(parents=True)
    (tmp_path / "reports/tiny/study.yaml").write_text(Path("params.yaml").read_text())
    Path("mine.py").write_text(
        "import torch\n"
        "class Grey:\n"
        "    def encode(self, x): return torch.zeros(len(x), 2), torch.zeros(len(x), 2)\n"
        "    def decode(self, z): return torch.full((len(z), 1, 8, 8), 0.3)\n"
    )
    lines = []
    path = measure_outside(Path("params.yaml"), "mine:Grey", "grey", "", lines.append)
    assert lines == ["nll left out: a model with encode and decode alone has no p(x|z)"]
    (cell,) = [c for c in read_results("reports/tiny").cells if c.method == "outside_grey"]
    names = [image.name for image in read_results("reports/tiny").images[cell]]
    assert names == ["reconstructions.png", "samples-prior.png", "samples-gmm10.png", "interpolations.png"]
    assert outside_metrics(path)["active_units"] == 0
    assert outside_metrics(path)["kl"] == 0
    with pytest.raises(UserError, match="name it as module:object"):
        measure_outside(Path("params.yaml"), "mine:Gray", "", "", lines.append)
    scratch.write_study(tmp_path, content | {"evaluation": content["evaluation"] | {"samples": 77}})
    with pytest.raises(UserError, match=r"reports/tiny; .*evaluate.evaluation.samples \d+ → 77.*`dvc repro`"):
        measure_outside(Path("params.yaml"), "mine:Grey", "grey", "", lines.append)
