"""A study that says only what differs is, composed, the study that says all."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import pytest
from dvc.utils.serialize import YAMLFileCorruptedError, parse_yaml
from hypothesis import given
from hypothesis import strategies as st

from vaebench.base.errors import UserError
from vaebench.study.document import compose, parse
from vaebench.study.params import parse_params

SCALARS = st.sampled_from(
    [
        *("1e-5", "1.0e-2", "1E5", "+1e3", "1e400", "-0", ".5", "5.", "1_000", "1_0.5", "_1", "0.1e-05"),
        *("010", "0o17", "0x1F", "0b11", "08", "+7", "1:30", "190:20:30", "685_230.15"),
        *(
            "yes",
            "No",
            "on",
            "OFF",
            "y",
            "true",
            "True",
            "TRUE",
            "~",
            "null",
            "Null",
            ".inf",
            "-.INF",
            ".NaN",
        ),
        *(
            "2024-01-01",
            "2024-13",
            "'1e-5'",
            '"yes"',
            "!!str 1e-5",
            "!!float 1",
            "!!int '3'",
            "=",
            "<<",
            "''",
        ),
    ]
) | st.from_regex(r"[-+]?[0-9_.]{1,6}([eE][-+]?[0-9]{1,3})?", fullmatch=True)
"""Scalars on whose meaning YAML 1.1 and 1.2 differ, and others like them."""

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


LAUGHS = "\n".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9 if before else ['x'] * 9)}]"
    for before, name in zip(["", *"abcdefgh"], "abcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (LAUGHS.encode(), "more than 1,000,000 values"),
        (b"a: &a {b: *a}", "an alias"),
        (b"[" * 2000 + b"]" * 2000, "."),
        ("a: 1".encode("utf-16"), "not UTF-8"),
        ("a: ü".encode("latin-1"), "not UTF-8 (byte 4); save it as UTF-8"),
        (b"a: 1\n---\na: 2\n", "line 2"),
        (b"a: !!python/object/apply:os.system [ls]", "line 1"),
        (b"<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> x\n", "line 2"),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else None,
)
def test_a_file_that_nobody_could_mean_is_refused_at_its_line(tmp_path, content, message):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        parse(compose(path), path)
    said = str(caught.value)
    assert said.startswith(f"{path} is not valid YAML: ")
    assert message in said
    assert "unicode string" not in said


@pytest.mark.parametrize("change", ["CRLF", "CR", "BOM", "no last newline", "anchors"])
def test_a_file_as_other_editors_write_it_is_the_same_study(studies, change):
    text = {
        "CRLF": WHOLE.replace("\n", "\r\n"),
        "CR": WHOLE.replace("\n", "\r"),
        "BOM": "\ufeff" + WHOLE,
        "no last newline": WHOLE.rstrip(),
        "anchors": WHOLE.replace("{name: l2}", "&l {name: l2}").replace(
            "densities:\n", "densities:\n  other: {<<: *l}\n", 1
        ),
    }[change]
    path = studies / "edited.yaml"
    path.write_bytes(text.encode())
    found = parse(compose(path), path)
    if change == "anchors":
        assert found["densities"].pop("other") == {"name": "l2"}
    assert found == parse(WHOLE, "")
    (studies / "longer.yaml").write_bytes(b"\xef\xbb\xbfextends: edited\r\ntraining: {epochs: 7}\r\n")
    assert parse(compose(studies / "longer.yaml"), "")["training"]["epochs"] == 7


def test_every_committed_short_study_says_only_what_differs():
    shorts = sorted(STUDIES.glob("*_short.yaml"))
    assert shorts
    for path in shorts:
        text = path.read_text(encoding="utf-8")
        assert f"\nextends: {path.stem.removesuffix('_short')}\n" in text
        assert len(text) < len(compose(path))


def as_dvc(text: str):
    """What DVC reads, or the error with which it refuses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return parse_yaml(text, "params.yaml")
    except (YAMLFileCorruptedError, ValueError, OverflowError) as error:
        return type(error)


def same(one, other) -> bool:
    """Equal in type, too; NaN is NaN."""
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return type(one) is type(other) and one == other


@given(SCALARS)
def test_a_scalar_is_what_dvc_reads(scalar):
    text = f"value: {scalar}\n"
    expected = as_dvc(text)
    if isinstance(expected, type):
        with pytest.raises(UserError):
            parse(text, "params.yaml")
    else:
        assert same(parse(text, "params.yaml")["value"], expected["value"])


@given(SCALARS)
def test_a_scalar_of_a_study_that_extends_another_is_what_its_own_file_says(tmp_path_factory, scalar):
    own = f"value: {{inner: {scalar}}}\n"
    expected = as_dvc(own)
    if isinstance(expected, type):
        return
    folder = tmp_path_factory.mktemp("studies")
    (folder / "base.yaml").write_text("value: {inner: 0, other: 1}\n", encoding="utf-8")
    (folder / "short.yaml").write_text("extends: base\n" + own, encoding="utf-8")
    inner = parse(compose(folder / "short.yaml"), "")["value"].get("inner")
    assert same(inner, expected["value"]["inner"])


PARAMS = """
study: {name: one, datasets: [d], methods: [m], seeds: [%(seed)s], densities: [p]}
datasets: {d: {source: {name: digits}, network: {name: compact}}}
methods: {m: {label: %(label)s, likelihood: {name: gaussian, eps: %(eps)s}}}
densities: {p: {name: gmm, components: %(components)s}}
training: {epochs: 1, learning_rate: %(rate)s}
evaluation: {features: none, metrics: [{name: reconstruction}]}
"""


@given(SCALARS, st.sampled_from(["seed", "label", "eps", "components", "rate"]))
def test_what_a_study_uses_is_what_dvc_reads_or_it_is_refused(scalar, place):
    values = {"seed": "0", "label": "A", "eps": "0.1", "components": "3", "rate": "0.1", place: scalar}
    text = PARAMS % values
    read = as_dvc(text)
    try:
        params = parse_params(parse(text, "params.yaml"), ("methods", "densities"))
    except UserError:
        return
    used = {
        "seed": params.study.seeds[0],
        "label": params.methods["m"].label,
        "eps": params.methods["m"].likelihood["eps"],
        "components": params.densities["p"]["components"],
        "rate": params.training.learning_rate,
    }[place]
    expected = {
        "seed": lambda: read["study"]["seeds"][0],
        "label": lambda: read["methods"]["m"]["label"] or "(m)",
        "eps": lambda: read["methods"]["m"]["likelihood"]["eps"],
        "components": lambda: read["densities"]["p"]["components"],
        "rate": lambda: read["training"]["learning_rate"],
    }[place]()
    whole = place in ("seed", "components")
    assert type(expected) in ((int,) if whole else (str,) if place == "label" else (int, float))
    assert used == expected
