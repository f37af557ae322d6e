"""A study that says only what differs is, composed, the study that says all."""

from __future__ import annotations

from pathlib import Path

import pytest

from vaebench.base.errors import UserError
from vaebench.study.document import compose, parse

STUDIES = Path(__file__).parent.parent / "studies"

BASE = """\
# The paper's schedule.
study:
  name: base
  title: All of it
  methods:
    - vae
    - ae
    - rae
  densities: [prior, gmm100]

methods:
  vae:
    label: VAE
    likelihood: {name: gaussian, variance: fixed, sigma2: 1.0e-2}
    training: {epochs: 100}
  # The one without a prior.
  ae:
    label: AE
    likelihood: {name: gaussian, variance: mle}
  rae: {label: RAE, likelihood: {name: l2}}

densities:
  prior: {name: prior}
  gmm100: {name: gmm, components: 100}

training:
  epochs: 50
  batch_size: 64
"""

SHORT = """\
# A short form.
# Of two lines.
extends: base

study:
  methods: [vae, ae]
  densities: [prior]

methods:
  vae:
    likelihood: {sigma2: 0.1}
    training: null
  ae:
    likelihood: {name: l2}

training:
  epochs: 5

evaluation:
  features: none
"""

WHOLE = """\
# A short form.
# Of two lines.
study:
  name: short
  title: All of it
  methods: [vae, ae]
  densities: [prior]

methods:
  vae:
    label: VAE
    likelihood: {name: gaussian, variance: fixed, sigma2: 0.1}
  # The one without a prior.
  ae:
    label: AE
    likelihood: {name: l2}

densities:
  prior: {name: prior}

training:
  epochs: 5
  batch_size: 64

evaluation:
  features: none
"""


@pytest.fixture
def studies(tmp_path):
    (tmp_path / "base.yaml").write_text(BASE, encoding="utf-8")
    (tmp_path / "short.yaml").write_text(SHORT, encoding="utf-8")
    return tmp_path


def test_mappings_merge_lists_replace_null_removes_and_another_name_is_another_value(studies):
    assert compose(studies / "short.yaml") == WHOLE


def test_a_study_that_extends_nothing_is_its_own_text(studies):
    assert compose(studies / "base.yaml") == BASE


def test_a_chain_is_followed_to_its_end(studies):
    (studies / "shorter.yaml").write_text("extends: short\ntraining: {epochs: 1}\n", encoding="utf-8")
    expected = parse(WHOLE, "")
    expected["study"]["name"] = "shorter"
    expected["training"]["epochs"] = 1
    assert parse(compose(studies / "shorter.yaml"), "") == expected


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": "extends: a"}, "circle: a → a"),
        ({"a": "extends: b", "b": "extends: c", "c": "extends: b"}, "circle: a → b → c → b"),
        ({"a": "extends: nothing"}, "there are: a, base, short"),
        ({"a": "extends: ../a"}, "no study beside it"),
        ({"a": "extends: [base, short]"}, "no study beside it"),
        ({"a": "extends: list", "list": "- 1"}, "must be a mapping"),
        ({"a": "extends: base\nextends: short"}, "'extends' is there twice, line 2"),
        ({"a": "extends: broken", "broken": "study: ["}, "broken.yaml is not valid YAML"),
    ],
)
def test_what_cannot_be_composed_is_named(studies, files, message):
    for name, text in files.items():
        (studies / f"{name}.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        compose(studies / "a.yaml")
    assert ".yaml" in str(caught.value).split()[0]
    assert "\n" not in str(caught.value)


def test_every_committed_short_study_says_only_what_differs():
    shorts = sorted(STUDIES.glob("*_short.yaml"))
    assert shorts
    for path in shorts:
        text = path.read_text(encoding="utf-8")
        assert f"\nextends: {path.stem.removesuffix('_short')}\n" in text
        assert len(text) < len(compose(path))
