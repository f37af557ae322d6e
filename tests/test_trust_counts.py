"""The numbers of docs/trust.md are those of the tests that exist."""

from __future__ import annotations

import re

import pytest
from support.scratch import QUICKSTART
from support.tiny_study import ROOT
from test_trust_kill import KILLS, METHODS, MORE_KILLS

FAULTS = {
    "a name is an identity": (
        "test_identity.py::test_a_new_study_that_is_none",
        "test_identity.py::test_a_study_whose_results",
        "test_identity.py::test_committed_results",
        "test_identity.py::test_edits_of_params",
        "test_identity.py::test_what_is_only_shown",
        "test_params.py::test_a_method_that_is_written_twice",
        "test_params.py::test_a_name_under_which",
        "test_params.py::test_a_study_is_named_by_its_file",
        "test_params.py::test_labels_that_are_not_unique",
        "test_cli.py::test_study_keeps_every_change",
        "test_report_outside.py::test_a_row_does_not_replace",
    ),
    "YAML of two dialects": (
        "test_document.py::test_a_file_",
        "test_document.py::test_a_scalar",
        "test_document.py::test_what_a_study_uses",
        "test_params.py::test_a_file_that_is_no_study",
        "test_trust_fuzz.py::test_any_bytes_for_params",
        "test_trust_fuzz.py::test_any_tree",
        "test_trust_fuzz.py::test_any_mistake",
        "test_trust_fuzz.py::test_many_mistakes",
    ),
    "pictures' modes": (
        "test_data_sources.py::test_a_picture",
        "test_data_sources.py::test_one_bit",
        "test_data_own.py::test_a_header",
        "test_data_own.py::test_arrays_",
        "test_data_own.py::test_pictures_",
        "test_trust_places.py::test_a_picture",
        "test_trust_places.py::test_many_pictures",
    ),
    "files in another place": (
        "test_data_sources.py::test_a_file_that_another_program",
        "test_data_sources.py::test_a_folder_of_other_files",
        "test_data_sources.py::test_a_link_to_nothing",
        "test_data_sources.py::test_an_incomplete_folder",
        "test_data_sources.py::test_hidden_files",
        "test_data_sources.py::test_missing_files_say",
        "test_data_sources.py::test_what_lies_in_place",
        "test_data_own.py::test_a_folder_that_cannot_be_used",
    ),
    "what only surrounds a training": (
        "test_streams.py",
        "test_step.py::test_where_compiling_fails",
        "test_step.py::test_without_a_compiler",
        "test_training.py::test_a_signal",
    ),
    "DVC's temporary copies": (
        "test_data_sources.py::test_raw_files_of_the_workspace",
        "test_features.py::test_the_weights_of_the_workspace",
        "test_tracking.py::test_experiments_in_dvcs_temporary_folders",
        "test_trust_places.py::test_a_temporary_experiment",
    ),
    "the MLflow store": (
        "test_tracking.py::test_a_clone_that_is_copied",
        "test_tracking.py::test_a_database_that_another",
        "test_tracking.py::test_a_killed_trainings_run",
        "test_tracking.py::test_a_reason_keeps",
        "test_tracking.py::test_a_store_that_",
        "test_tracking.py::test_an_experiment_or_a_run",
        "test_tracking.py::test_whatever_mlflow_does",
    ),
    "errors that nobody catches": (
        "test_features.py::test_classifier_without_anything",
        "test_trust_errors.py::test_a_full_disk",
        "test_trust_errors.py::test_a_study_of_the_wrong_shape",
        "test_trust_errors.py::test_a_test_set_of_one_image",
        "test_trust_errors.py::test_an_error_that_nobody_foresaw",
        "test_trust_errors.py::test_every_error",
    ),
    "files of ours, missing or damaged": ("test_reading.py", "test_data_store.py::test_damage"),
    "the environment": (
        "test_trust_errors.py::test_a_stage_finds_the_environment",
        "test_trust_errors.py::test_what_ends_a_stage",
        "test_trust_places.py::test_a_clone_in_a_folder",
        "test_trust_places.py::test_a_stage_in_a_folder",
        "test_trust_places.py::test_a_zip",
    ),
    "unknown is not false": (
        "test_trust_errors.py::test_a_clone_of_a_foreign_owner",
        "test_trust_errors.py::test_a_model_of_one_s_own",
        "test_trust_errors.py::test_a_plug_in_whose_code",
        "test_trust_errors.py::test_a_value_that_no_package",
        "test_trust_errors.py::test_an_entry_point",
        "test_trust_errors.py::test_git_that_cannot_tell",
        "test_trust_errors.py::test_verify",
        "test_trust_repeat.py::test_verify",
    ),
    "not measured and failed": (
        "test_report_page.py::test_a_run_that_always_diverged",
        "test_trust_repeat.py::test_divergence",
    ),
    "schedules that cannot take effect": (
        "test_identity.py::test_a_patience",
        "test_identity.py::test_a_warm_start",
        "test_identity.py::test_every_setting",
    ),
}
"""The tests of each row, by the beginnings of their names."""


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "docs/trust.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", FAULTS)
def test_a_row_counts_its_tests(kind, text, every_item):
    found = [item for item in every_item if item.nodeid.startswith(tuple(f"tests/{b}" for b in FAULTS[kind]))]
    files = {beginning.partition("::")[0] for beginning in FAULTS[kind]}
    if not files <= {item.path.name for item in every_item}:
        pytest.skip("counts when the whole suite is collected")
    for beginning in FAULTS[kind]:
        assert any(item.nodeid.startswith(f"tests/{beginning}") for item in found), f"no test is {beginning}"
    nightly = sum(item.get_closest_marker("nightly") is not None for item in found)
    (row,) = re.findall(rf"^\| {kind}[^|]*\| *(\d+) *\| *(\d*) *\|", text, re.MULTILINE)
    assert row == (str(len(found) - nightly), str(nightly or ""))


def test_every_row_is_counted(text):
    table = text[text.index("| kind |") :].split("\n\n")[0]
    rows = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert [kind for kind in FAULTS if not any(row.startswith(kind) for row in rows)] == []
    assert len(rows) == len(FAULTS)


def test_the_kills_are_counted(text):
    rows = dict(re.findall(r"^\| (`[^`]+`(?:, `[^`]+`)*) \| [^|]+ \| (\d+) \|$", text, re.MULTILINE))
    assert list(rows.values()) == [str(KILLS * len(METHODS)), str(MORE_KILLS * len(QUICKSTART["methods"]))]
