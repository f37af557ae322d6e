"""The ledger over studies: which evidence counts most, and what the terminal says of it."""

import re

import pytest
from support.fake_study import write_study

from vaebench.base.errors import UserError
from vaebench.base.files import read_json
from vaebench.report.index import write_index
from vaebench.report.ledger import claims_text, ledger, paper_counts, write_ledger, write_verdicts
from vaebench.report.results import read_results

METHODS = ("vae", "beta_tcvae", "rae", "aae", "wae", "avae")
FAR = {"vae": 20.0, "beta_tcvae": 40.0, "rae": 8.0, "aae": 1.0, "wae": 1.0, "avae": 0.3}


def add(reports, name, values, seeds=5, epochs=100):
    folder = write_study(
        reports,
        name=name,
        paper="avae2024",
        datasets=("mnist32",),
        methods={m: (m, {"name": "gaussian"}, {"name": "kl"}) for m in METHODS},
        seeds=tuple(range(seeds)),
        diverged=(),
        metrics=lambda d, m, s: {"latent": {"kl_corrected": values[m] + 0.01 * s}},
        images=False,
        epochs=epochs,
    )
    write_verdicts(read_results(folder))


def claim(reports, name="closest-to-prior"):
    return next(c for c in ledger(reports)["avae2024"]["claims"] if c["claim"] == name)


def test_the_longest_schedule_comes_first_then_the_seeds(tmp_path):
    add(tmp_path, "short", FAR, seeds=5, epochs=5)
    add(tmp_path, "long", {**FAR, "avae": 3.0}, seeds=1, epochs=20)
    add(tmp_path, "long_more", FAR, seeds=2, epochs=20)
    entry = claim(tmp_path)
    assert [e["study"] for e in entry["evidence"]] == ["long_more", "long", "short"]
    assert (entry["words"], entry["study"]) == ("undecided, points this way", "long_more")
    assert entry["evidence"][0]["schedule"] == 0.2


def test_what_decides_stands_before_what_does_not(tmp_path):
    add(tmp_path, "full", {**FAR, "avae": 3.0}, seeds=5)
    add(tmp_path, "more", FAR, seeds=8)
    entry = claim(tmp_path)
    assert [e["study"] for e in entry["evidence"]] == ["more", "full"]
    assert (entry["status"], entry["study"]) == ("does not hold", "full")


def test_counts_by_paper_say_on_what_schedule(tmp_path):
    add(tmp_path, "short", FAR, epochs=5)
    rows = {row["key"]: row for row in paper_counts(tmp_path)}
    assert rows["avae2024"]["undecided"] > 0
    assert rows["avae2024"]["holds"] == rows["avae2024"]["does not hold"] == 0
    assert rows["avae2024"]["schedule"] == "5 % of its schedule"
    assert rows["takida2022"]["schedule"] == "nothing measured"


def test_the_terminal_names_study_seeds_limits_and_the_papers_own_verdict(tmp_path):
    add(tmp_path, "short", FAR, seeds=2, epochs=5)
    text = claims_text(tmp_path, "avae2024")
    assert "[undecided, points this way] Table V: AVAE's aggregate posterior" in text
    assert "the paper's own numbers: holds, by its own spread undecided" in text
    assert "short: 5 of 10 comparisons" in text
    assert "5 % of the paper's schedule, 2 of the paper's 5 seeds" in text
    assert "takida" not in text
    with pytest.raises(UserError, match="avae2024"):
        claims_text(tmp_path, "kingma2013")


def test_a_damaged_file_is_named(tmp_path):
    add(tmp_path, "short", FAR)
    assert read_json(write_ledger(tmp_path))["avae2024"]["counts"]["undecided"] > 0
    (tmp_path / "short" / "claims.json").write_text('{"verdicts": [{}]}')
    with pytest.raises(UserError, match=r"short.claims\.json"):
        ledger(tmp_path)


def test_the_index_shows_each_papers_standing_and_the_evidence(tmp_path):
    add(tmp_path, "short", FAR, seeds=2, epochs=5)
    html = write_index(tmp_path).read_text("utf-8")
    row = re.search(r'<tr><th[^>]*><a href="#avae2024">.*?</tr>', html, re.S)[0]
    counts = {r["key"]: r for r in paper_counts(tmp_path)}["avae2024"]
    expected = [str(counts[status]) for status in ("holds", "does not hold", "undecided", "not measured")]
    assert re.findall(r'<td class="num">(\d+)</td>', row)[:4] == expected
    assert "5 % of its schedule" in row
    assert 'href="short/index.html">short</a>: undecided, points this way; 5 of 10 comparisons' in html
