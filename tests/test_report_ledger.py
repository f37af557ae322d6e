"""The ledger over studies: which evidence counts most, and what the terminal says of it."""

import re
from html import unescape

import pytest
from support.fake_study import write_study
from support.readme_claims import written

from vaebench.base.errors import UserError
from vaebench.report import build_report
from vaebench.report.bandwidths import bandwidth_numbers
from vaebench.report.claims import paper_claims
from vaebench.report.index import write_card, write_index
from vaebench.report.ledger import claims_text, damaged, ledger, paper_counts, write_verdicts
from vaebench.report.loose import write_numbers
from vaebench.report.results import read_results

METHODS = ("vae", "beta_tcvae", "rae", "aae", "wae", "avae")
FAR = {"vae": 20.0, "beta_tcvae": 40.0, "rae": 8.0, "aae": 1.0, "wae": 1.0, "avae": 0.3}


def add(reports, name, values, seeds=5, epochs=100, metrics=None):
    folder = write_study(
        reports,
        name=name,
        paper="avae2024",
        datasets=("mnist32",),
        methods={m: (m, {"name": "gaussian"}, {"name": "kl"}) for m in METHODS},
        seeds=tuple(range(seeds)),
        diverged=(),
        metrics=metrics or (lambda d, m, s: {"latent": {"kl_corrected": values[m] + 0.01 * s}}),
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


def test_one_seed_at_the_whole_schedule_points_and_does_not_decide(tmp_path):
    add(tmp_path, "short", {**FAR, "avae": 3.0}, seeds=5, epochs=20)
    add(tmp_path, "full", FAR, seeds=1)
    write_card(read_results(tmp_path / "full"))
    entry = claim(tmp_path)
    assert (entry["words"], entry["study"]) == ("undecided, points this way", "full")
    first = entry["evidence"][0]
    assert (first["schedule"], first["seeds"], first["limits"]) == (1.0, 1, "1 of the paper's 5 seeds")
    (row,) = (r for r in paper_counts(tmp_path) if r["key"] == "avae2024")
    assert row["schedule"] == "100 % of its schedule"
    assert "100 epochs, 100 % of the paper's schedule" in unescape(write_index(tmp_path).read_text("utf-8"))
    readme = "\n".join(
        [
            "**7 of the 9 claims are decided**; strongest evidence is of 1 to 40 % of the papers' schedules.",
            "<!-- claims: start -->\nold\n<!-- claims: end -->",
            "| [`full`](notes.md) | 50 and 100 epochs, one seed | – | what was measured |",
        ]
    )
    text = written(readme, tmp_path)
    count = sum(len(paper_claims(key)) for key in ("avae2024", "pythae2022", "takida2022"))
    assert f"**0 of the {count} claims are decided**; strongest evidence is of 100 % of the papers'" in text
    assert re.search(r"\| `avae2024` \| 0 \| 0 \| \d+ \| \d+ \| 3 \| 100 % of its schedule \| 9 \|", text)
    assert re.search(r"one seed \| undecided: \d this way, \d the other way \| what was measured", text)


def test_a_study_that_has_finished_half_of_its_methods_is_judged_on_those(tmp_path):
    done = ("vae", "wae", "avae")
    add(
        tmp_path,
        "half",
        FAR,
        1,
        metrics=lambda d, m, s: {"latent": {"kl_corrected": FAR[m]}} if m in done else None,
    )
    entry = claim(tmp_path)
    assert entry["words"] == "undecided, points this way"
    assert entry["evidence"][0]["coverage"] == "2 of 10 comparisons: 1 of 2 data sets, 3 of 6 methods"
    assert claim(tmp_path, "aae-matches")["status"] == "not measured"
    card = write_card(read_results(tmp_path / "half")).read_text("utf-8")
    assert '"runs": [3, 6]' in re.sub(r"\s+", " ", card).replace("[ ", "[").replace(" ]", "]")


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


def test_features_are_named_where_a_distance_took_part(tmp_path):
    add(tmp_path, "short", FAR, metrics=lambda d, m, s: {"fid": {"prior": FAR[m] + s}, "latent": {"kl": 1.0}})
    text = claims_text(tmp_path, "avae2024")
    assert "4 of 15 comparisons: 1 of 3 data sets, 5 of 6 methods; n = 5; inception features" in text
    assert "; inception features" in write_index(tmp_path).read_text("utf-8")
    add(tmp_path, "latents", FAR)
    assert claim(tmp_path)["evidence"][0]["features"] == ""


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


DAMAGED = [b"", b"[1]", b'{"verdicts": [{}]}', b'{"verdicts": 3}', b"\xff\xfe"]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_named_and_the_others_are_judged(tmp_path, content):
    add(tmp_path, "short", FAR)
    add(tmp_path, "other", FAR)
    path = tmp_path / "short" / "claims.json"
    path.write_bytes(content)
    assert [e["study"] for e in claim(tmp_path)["evidence"]] == ["other"]
    text = claims_text(tmp_path)
    assert text.startswith(f"short: {path} is damaged")
    assert "`vaebench report` writes it again" in text.partition("\n")[0]
    page = write_index(tmp_path).read_text("utf-8")
    assert "short/claims.json is damaged" in page
    write_verdicts(read_results(tmp_path / "short"))
    assert damaged(tmp_path) == {}
    assert len(claim(tmp_path)["evidence"]) == 2


def test_numbers_of_no_study_are_judged_and_named_where_damaged(tmp_path):
    names = [(d, m) for d in (10, 20, 40, 50, 70, 100) for m in (500, 1000, 2000, 5000, 10_000)]
    rows = [
        {"latent_dim": d, "samples": m, "h_opt": 1.2 + d / 100 - m / 1e5, "h_corrected": 0.7, "error": 0.001}
        for d, m in names
    ]
    folder = tmp_path / "bandwidths"
    write_numbers(folder, "avae2024", bandwidth_numbers(rows, 6), {"command": "by hand"})
    build_report(tmp_path)
    found = {name: claim(tmp_path, name) for name in ("bandwidth-with-dimension", "bandwidths-as-printed")}
    assert [c["status"] for c in found.values()] == ["holds", "does not hold"]
    assert {c["study"] for c in found.values()} == {"bandwidths"}
    few = {key: value for key, value in bandwidth_numbers(rows, 6).items() if "m500" in key[1]}
    write_numbers(folder, "avae2024", few, {})
    build_report(tmp_path)
    entry = claim(tmp_path, "bandwidth-with-dimension")
    assert (entry["words"], entry["evidence"][0]["schedule"]) == ("undecided, points this way", None)
    (folder / "numbers.json").write_text('{"paper": 3}')
    page = build_report(tmp_path).read_text("utf-8")
    assert "bandwidths/numbers.json is damaged" in page
    assert 'href="bandwidths/' not in page


FILES = {
    "study.yaml": [b"", b"study: 3", b"\xff"],
    "card.json": [b"", b"[]", b'{"name": "short", "runs": 3}'],
    "claims.json": [b"", b"[]"],
    "summary.json": [b"[]"],
    "notes.md": [b"\xff\xfe\x00"],
    "metrics/mnist32/vae/0.json": [b"", b"[]", b'{"mse": [[]], "latent": "far"}'],
    "history/mnist32/vae/0.csv": [b"", b"\x00", b"epoch,loss\nx,y\n"],
    "provenance/mnist32/vae/0/train.json": [b"3", b'{"seconds": []}'],
    "images/mnist32/vae/0/samples-prior.png": [b"no picture"],
    "outside/mnist32/outside_x/0.json": [b"", b"[]", b'{"metrics": 3}'],
}


@pytest.mark.parametrize("file", FILES)
def test_one_studys_damaged_file_ends_no_other_study(tmp_path, file):
    add(tmp_path, "short", FAR, seeds=1)
    add(tmp_path, "other", FAR, seeds=1)
    path = tmp_path / "short" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    for content in FILES[file]:
        path.write_bytes(content)
        write_index(tmp_path)
        assert "other" in [e["study"] for e in claim(tmp_path)["evidence"]], content
        page = build_report(tmp_path).read_text("utf-8")
        assert 'href="other/index.html"' in page, content
        assert "other: " in claims_text(tmp_path), content


def test_a_paper_that_somebody_is_writing_ends_no_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    draft = tmp_path / "papers" / "draft2026"
    draft.mkdir(parents=True)
    (draft / "paper.yaml").write_text("name: Draft\n")
    add(tmp_path / "reports", "other", FAR)
    assert "draft2026" in build_report(tmp_path / "reports").read_text("utf-8")
    assert claim(tmp_path / "reports")["evidence"]
    with pytest.raises(UserError, match=r"draft2026.*paper\.yaml"):
        claims_text(tmp_path / "reports", "draft2026")


def test_the_index_shows_each_papers_standing_and_the_evidence(tmp_path):
    add(tmp_path, "short", FAR, seeds=2, epochs=5)
    html = write_index(tmp_path).read_text("utf-8")
    row = re.search(r'<tr><th[^>]*><a href="#avae2024">.*?</tr>', html, re.S)[0]
    counts = {r["key"]: r for r in paper_counts(tmp_path)}["avae2024"]
    expected = [str(counts[status]) for status in ("holds", "does not hold", "undecided", "not measured")]
    assert re.findall(r'<td class="num">(\d+)</td>', row)[:4] == expected
    assert "5 % of its schedule" in row
    assert ">short: undecided, points this way; 5 of 10 comparisons" in html
    (tmp_path / "short/index.html").touch()
    linked = write_index(tmp_path).read_text("utf-8")
    assert 'href="short/index.html">short</a>: undecided, points this way; 5 of 10 comparisons' in linked
