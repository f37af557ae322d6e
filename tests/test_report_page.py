"""The page: whole, escaped, self-contained, and small enough."""

import json
import re
from html.parser import HTMLParser

import pytest
from support.fake_study import METHODS, write, write_study

from vaebench.report import build_report, tabulate
from vaebench.report.index import write_index
from vaebench.report.notes import stamp_notes
from vaebench.report.results import read_results

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


class Page(HTMLParser):
    """The elements of a page, the texts of its scripts, and which element each text stands in."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.scripts, self._script, self.text = [], [], None, []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._script = [dict(attrs), ""] if tag == "script" else None

    def handle_endtag(self, tag):
        if tag == "script":
            self.scripts.append(tuple(self._script))
            self._script = None

    def handle_data(self, data):
        if self._script is not None:
            self._script[1] += data
        else:
            self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]

    def data(self):
        return [json.loads(text) for attrs, text in self.scripts if attrs.get("type") == "application/json"]


def html_of(reports, name="fake"):
    build_report(reports)
    return (reports / name / "index.html").read_text("utf-8")


def built(reports, name="fake"):
    return Page(html_of(reports, name))


@pytest.fixture
def reports(tmp_path):
    write_study(tmp_path / "reports")
    return tmp_path / "reports"


def rows_of(html, kind):
    table = html[html.index(f'<table class="{kind}') :]
    return re.findall(r"<tr(?: class=\"run\")? data-dataset.*?</tr>", table, re.DOTALL)


def cells_of(row):
    cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in cells]


def test_comparison_row_has_paper_ours_difference_and_rank(reports):
    rows = [cells_of(row) for row in rows_of(html_of(reports), "comparison")]
    found = next(cells for cells in rows if cells[0] == "MLE Iso-I" and cells[2].startswith("NLL"))
    assert found == [
        *(
            "MLE Iso-I",
            "mnist",
            "NLL ↓",
            "−887.17",
            "−880.00 ± 0.00 (may be the best)",
            "+7.17",
            "–",
            "ours −880.00 to −880.00",
            "1 of 2",
            "1 of 2",
        )
    ]


def test_overview_marks_the_best_of_one_seed_and_shows_a_dash_for_what_is_missing(reports):
    wae = next(row for row in rows_of(html_of(reports), "overview") if "WAE-MMD" in row)
    assert '<td class="num single" data-column="mse" data-value="4.3"><span class="ours">4.30†°' in wae
    assert cells_of(wae)[3:5] == ["–", "–"]
    assert "1 of 2 diverged" in wae


def test_a_run_that_always_diverged_says_so(tmp_path):
    write_study(tmp_path, diverged=tuple(("mnist", "wae_mmd", seed) for seed in (0, 1)))
    html = html_of(tmp_path)
    wae = next(row for row in rows_of(html, "overview") if "WAE-MMD" in row)
    assert wae.count('title="diverged at epoch 2">diverged</span>') == 9
    assert "Not ranked: diverged at epoch 2." in html


def test_a_broken_model_says_why_in_its_row_its_panel_and_its_picture(tmp_path):
    def metrics(dataset, method, seed):
        return {"mse": 1.0, "kl": 0.01 if method == "mle_iso_i" else 9.0}

    write_study(tmp_path, diverged=(), metrics=metrics)
    html = html_of(tmp_path)
    assert html.count('<span class="bad" title="collapsed: KL of 0.0100 nats') == 2 + 3
    assert "Not ranked: collapsed: KL of 0.0100 nats" in html
    assert "1 unsound" in (tmp_path / "index.html").read_text("utf-8")


def test_without_a_paper_nothing_stands_beside(tmp_path):
    write_study(tmp_path, paper=None, datasets=("digits",), diverged=())
    html = html_of(tmp_path)
    assert 'id="comparison"' not in html
    assert 'class="vs"' not in html


def test_few_columns_are_shown_and_the_others_can_be_chosen(tmp_path):
    many = {f"gmm{k}": 10.0 for k in range(20)}
    write_study(
        tmp_path, diverged=(), metrics=lambda *_: {"mse": 1.0, "kl": 9.0, "fid": {"prior": 2.0, **many}}
    )
    page = built(tmp_path)
    columns = [attrs for attrs in page.all("th") if "data-column" in attrs]
    assert len(columns) == 23
    shown = [attrs["data-column"] for attrs in columns if "hidden" not in attrs]
    assert shown == ["mse", "kl", "fid.prior", "fid.gmm10"]
    boxes = {
        attrs["value"]: "checked" in attrs for attrs in page.all("input") if attrs.get("name") == "column"
    }
    assert [path for path, checked in boxes.items() if checked] == shown
    assert len(boxes) == 23


def test_every_hostile_name_is_text(tmp_path):
    methods = {"evil": (EVIL, {"name": "l2", "note": EVIL}, {"name": "none"})}
    folder = write_study(
        tmp_path, title=EVIL, methods=methods, diverged=(), seeds=(0,), metrics=lambda *_: {}
    )
    record = folder / "provenance" / "mnist" / "evil" / "0" / "train.json"
    write(record, json.dumps({"command": EVIL, "versions": {EVIL: EVIL}}))
    write(
        folder / "metrics" / "mnist" / "evil" / "0.json", json.dumps({"mse": 1.0, EVIL: {"</script>": 2.0}})
    )
    page = built(tmp_path)
    assert len(page.scripts) == 2
    assert not [attrs for _, attrs in page.elements if any(name.startswith("on") for name in attrs)]
    assert page.data()[0]["methods"][0]["label"] == EVIL
    assert page.text.count(EVIL) >= 3


def test_notes_are_markdown_without_html_and_say_of_which_run_they_are(reports):
    notes = reports / "fake" / "notes.md"
    write(notes, f"**AVAE** is not\nclosest to `avae`.\n\n{EVIL}\n\n[x](javascript:alert(1))\n")
    html = html_of(reports)
    assert "<strong>AVAE</strong> is not\nclosest to <code>avae</code>" in html
    page = Page(html)
    assert len(page.scripts) == 2
    assert not [a for a in page.all("a") if a["href"].startswith("javascript")]
    assert "written about a run that they do not name" in html
    results = read_results(reports / "fake")
    stamp_notes(results)
    assert notes.read_text("utf-8").startswith(f"about: {results.digest}\n\n**AVAE**")
    assert "notes were written about" not in html_of(reports)
    write(reports / "fake" / "metrics" / "mnist" / "mle_iso_i" / "0.json", '{"mse": 9.0}')
    assert f"notes were written about another run ({results.digest})" in html_of(reports)
    notes.write_bytes(b"\xff")
    assert "notes.md is not text" in build_report(reports).read_text("utf-8")


def test_the_page_asks_for_nothing_but_files_beside_it(reports):
    page = built(reports)
    for tag, attrs in page.elements:
        for name in ("src", "srcset", "action", "data", "poster", "background"):
            assert not re.match(r"[a-z]+:|/", attrs.get(name, "")), (tag, name)
        if tag == "link":
            assert attrs["href"].startswith("data:")
        if tag == "a":
            assert not re.match(r"[a-z]+:|//", attrs["href"])
    style = re.search(r"<style>(.*?)</style>", html_of(reports), re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_what_the_script_draws_from(reports):
    (data,) = built(reports).data()
    assert data["values"]["mnist"]["mle_iso_i"]["mse"] == [4.55, pytest.approx(0.0707107)]
    assert "kl" not in data["values"]["mnist"]["wae_mmd"]
    assert data["curves"]["mnist"]["mle_iso_i"]["1"]["epoch"] == [1, 2, 3, 4, 5]
    assert [m["likelihood"] for m in data["methods"]] == ["gaussian", "gaussian · mle", "l2"]
    assert [m["regularizer"] for m in data["methods"]] == ["kl", "kl", "mmd"]


def test_a_panel_holds_formula_numbers_pictures_and_provenance(reports):
    html = html_of(reports)
    detail = re.search(r'<tr class="detail" id="detail-1".*?</div></td></tr>', html, re.DOTALL).group()
    for text in (
        "gaussian · mle",
        "(d/2) ln E_batch[sum r^2]",
        "dvc repro -f evaluate@fake-mnist-mle_iso_i-1",
        "0123456789ab",
        "cpu (2 cores)",
        "4.55 ± 0.07",
        "2 of 3",
    ):
        assert text in detail, text
    pictures = re.findall(r'src="([^"]+)"', detail)
    kinds = ["reconstructions", "samples-prior", "samples-gmm10", "interpolations"]
    assert pictures == [f"images/mnist/mle_iso_i/0/{kind}.png" for kind in kinds]


def test_pictures_are_files_of_the_first_seed_loaded_when_seen(reports):
    pictures = built(reports).all("img")
    sources = {a["src"] for a in pictures}
    assert len(sources) == len(METHODS) * 4
    assert len(pictures) == 2 * len(sources)
    assert all((reports / "fake" / source).is_file() for source in sources)
    assert all(a["loading"] == "lazy" for a in pictures)


def test_samples_of_all_methods_come_before_the_results(reports):
    html = html_of(reports)
    strip = html[html.index('<div class="strip') : html.index('id="results"')]
    first = strip[: strip.index("<div", 5)]
    assert "hidden" not in first.split(">")[0]
    for method in METHODS:
        assert f"images/mnist/{method}/0/samples-prior.png" in first


def test_each_study_on_disk_is_on_the_index_and_a_broken_one_a_notice(reports):
    write_study(reports, name="second", paper="avae2024", images=False)
    write_study(reports, name="broken", images=False)
    write(reports / "broken" / "metrics" / "mnist" / "mle_iso_i" / "0.json", "{")
    (reports / "screens").mkdir()
    write_study(reports, name="early", images=False)
    index = Page(build_report(reports).read_text("utf-8"))
    pages = dict.fromkeys(a["href"] for a in index.all("a") if not a["href"].startswith("#"))
    assert list(pages) == ["early/index.html", "fake/index.html", "second/index.html"]
    assert "mle_iso_i/0.json" in " ".join(index.text)
    (reports / "early/index.html").unlink()
    html = write_index(reports).read_text("utf-8")
    assert "early/index.html" not in html
    assert html.index("fake/index.html") < html.index("early · ")


def test_a_page_without_a_study_says_what_to_do(tmp_path):
    assert "make repro" in build_report(tmp_path).read_text("utf-8")


def test_ids_are_unique_and_links_within_the_page_lead_somewhere(reports):
    write_study(reports, name="second", paper="avae2024", datasets=("mnist", "celeba"))
    page = built(reports, "second")
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    inner = [a["href"][1:] for a in page.all("a") if a["href"].startswith("#")]
    assert set(inner) <= set(ids)
    assert {a["aria-controls"] for a in page.all("button") if "aria-controls" in a} <= set(ids)


def test_fifteen_methods_and_five_seeds_weigh_little(tmp_path):
    methods = {f"method_{i:02}": (f"Method {i}", {"name": "gaussian"}, {"name": "kl"}) for i in range(15)}
    write_study(
        tmp_path,
        methods=methods,
        seeds=tuple(range(5)),
        diverged=(),
        metrics=lambda d, m, s: {"mse": 1.0 + s, "fid": {"prior": 20.0 + s}},
        images=False,
        epochs=100,
    )
    assert len(html_of(tmp_path)) < 3_000_000


def test_tabulate_writes_everything_twice_the_same_and_takes_other_studies_as_they_are(tmp_path):
    import yaml

    from vaebench.study.params import parse_params

    other = write_study(tmp_path / "reports", "other", images=False)
    build_report(tmp_path / "reports")
    write(other / "metrics/mnist/mle_iso_i/0.json", "{")
    before = {path: path.stat().st_mtime_ns for path in other.rglob("*")}
    folder = write_study(
        tmp_path / "reports", epochs=3, image_side=16, metrics=lambda d, m, s: {"mse": len(m) + 0.1 * s}
    )
    content = yaml.safe_load((folder / "study.yaml").read_text("utf-8"))
    params = parse_params(content, specs=())
    first = {path: path.read_bytes() for path in tabulate(params, tmp_path)}
    names = {path.relative_to(tmp_path / "reports").as_posix() for path in first}
    assert {
        *(
            "index.html",
            "fake/index.html",
            "fake/card.json",
            "fake/study.yaml",
            "fake/tables/metrics.csv",
            "fake/tables/takida2022_table4.tex",
        ),
        *(f"fake/figures/{stem}.{kind}" for kind in ("png", "pdf") for stem in ("curves_mnist",)),
    } <= names
    linked = {a["href"] for a in Page((folder / "index.html").read_text("utf-8")).all("a")}
    files = {f"fake/{href}" for href in linked if not href.startswith(("#", "../"))}
    assert files <= names
    assert "fake/tables/takida2022_table4.tex" in files
    assert {path: path.read_bytes() for path in tabulate(params, tmp_path)} == first
    assert {path: path.stat().st_mtime_ns for path in other.rglob("*")} == before
    assert "other/index.html" in (tmp_path / "reports/index.html").read_text("utf-8")
