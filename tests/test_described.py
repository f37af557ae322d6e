"""What classes say of themselves is the same from their source as from the class, and needs no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.fake_study import write_study

from vaebench.base.described import WORDS, Described, describes, words_in_source
from vaebench.base.registry import Registry
from vaebench.measure.metrics import METRICS
from vaebench.measure.metrics.described import described
from vaebench.model.likelihoods import LIKELIHOODS
from vaebench.report.describe import describe, is_measure
from vaebench.report.results import read_results
from vaebench.study.params import registry


@pytest.mark.parametrize("axis", ["likelihood", "regularizer", "posterior", "metric"])
def test_the_source_says_what_the_class_says(axis):
    values = registry(axis)
    words = {
        (name, attribute): values.read(name, attribute) for name in values.names() for attribute in WORDS
    }
    assert words == {key: vars(values.load(key[0])).get(key[1]) for key in words}
    assert any(words.values())


def test_every_metric_of_ours_describes_its_numbers():
    assert all(METRICS.read(name, "describes") for name in METRICS.names())


def test_what_is_no_literal_is_had_from_the_class():
    with pytest.raises(LookupError, match="not a literal"):
        words_in_source("vaebench.model.likelihoods.gaussian", "GaussianLikelihood", "citation")
    assert "Takida" in LIKELIHOODS.words({"name": "gaussian", "variance": "mle"}, "citation")
    assert LIKELIHOODS.words({"name": "gaussian"}, "citation") == ""


def test_a_formula_is_not_inherited_and_an_unknown_value_is_called_by_its_name():
    class Own(LIKELIHOODS.load("l2")):
        pass

    values = Registry("likelihood", {"own": Own})
    assert values.formula({"name": "own"}) == "the likelihood 'own'"
    assert values.formula({"name": "gone"}) == "the likelihood 'gone'"


def test_a_star_stands_for_the_rest_of_a_path():
    @describes(
        {"depth.*": Described("depth of *", better="lower"), "depth.count": Described("n", measures=False)}
    )
    def metric(run):
        return {}

    with METRICS.adding("depth", metric):
        assert described("depth.left eye").label == "depth of left eye"
        assert (describe("depth.x").better, describe("depth.count").better) == ("lower", "")
        assert (is_measure("depth.x"), is_measure("depth.count"), is_measure("depth.x_se")) == (
            True,
            False,
            False,
        )
    assert described("depth.x") is None


def test_a_page_with_formulas_and_titles_of_curves_needs_no_torch(tmp_path):
    folder = write_study(tmp_path, images=False)
    code = (
        "import sys; from vaebench.report.page import write_page;"
        "from vaebench.report.results import read_results;"
        f"write_page(read_results({str(folder)!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    page = (folder / "index.html").read_text("utf-8")
    assert "(d/2) ln E_batch[sum r^2]" in page
    assert read_results(folder).curve_titles["sigma2"] == "σ̂²"
