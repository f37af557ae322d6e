"""A model of another library, or samples alone, as rows of a study."""

from __future__ import annotations

import fake_study
import pytest

from vaebench.api import Measured
from vaebench.base.errors import UserError
from vaebench.report.page import write_page
from vaebench.report.results import read_results
from vaebench.report.tables import write_tables


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


def test_it_stands_in_the_tables_and_on_the_page(study, tmp_path):
    Measured({"fid": {"prior": 2.5}}, "").record("fake", "samples of a GAN", root=tmp_path)
    results = read_results(study)
    write_tables(results)
    tables = "".join(path.read_text() for path in (study / "tables").glob("*.md"))
    assert "samples of a GAN (from outside)" in tables
    page = next(path for path in write_page(results) if path.suffix == ".html")
    assert "samples of a GAN (from outside)" in page.read_text()


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
    with pytest.raises(UserError, match="tabulate stage"):
        measured.record("gone", "mine", root=tmp_path)
