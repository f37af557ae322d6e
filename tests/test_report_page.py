"""The page: whole, escaped, self-contained, and small enough."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from fake_study import METHODS, write, write_study
from PIL import Image

from vaebench.report import page as page_module
from vaebench.report import tabulate
from vaebench.report.page import build_page

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


def built(reports):
    return Page(build_page(reports).read_text("utf-8"))


@pytest.fixture
def reports(tmp_path):
    write_study(tmp_path / "reports")
    return tmp_path / "reports"


def rows_of(html, kind):
    table = html[html.index(f'<table class="{kind}"') :]
    return re.findall(
        r"<tr(?: class=\"run\")? data-dataset.*?</tr>", table[: table.index("</table>")], re.DOTALL
    )


def cells_of(row):
    cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in cells]


def test_comparison_row_has_paper_ours_difference_and_rank(reports):
    html = build_page(reports).read_text("utf-8")
    rows = [cells_of(row) for row in rows_of(html, "comparison")]
    found = next(cells for cells in rows if cells[0] == "MLE Iso-I" and cells[2].startswith("MSE, z"))
    assert found == [
        *("MLE Iso-I", "mnist", "MSE, z sampled ↓", "4.40", "4.55 ± 0.07 (best)"),
        *("+0.15", "+3.4 %", "1", "1", "2"),
    ]


def test_overview_marks_the_best_and_shows_a_dash_for_what_is_missing(reports):
    html = build_page(reports).read_text("utf-8")
    wae = next(row for row in rows_of(html, "overview") if "WAE-MMD" in row)
    assert '<td class="num best" data-group="likelihood" data-value="4.3">' in wae
    assert cells_of(wae)[3:5] == ["–", "–"]
    assert "1 of 2 diverged" in wae


def test_a_run_that_always_diverged_says_so(tmp_path):
    write_study(tmp_path, diverged=tuple(("mnist", "wae_mmd", seed) for seed in (0, 1)))
    html = build_page(tmp_path).read_text("utf-8")
    wae = next(row for row in rows_of(html, "overview") if "WAE-MMD" in row)
    assert wae.count('<span class="ours">diverged</span>') == 8
    assert "diverged at epoch 2" in html


def test_a_data_set_without_numbers_in_the_paper_shows_dashes(tmp_path):
    write_study(tmp_path, paper=None, datasets=("digits",), diverged=())
    html = build_page(tmp_path).read_text("utf-8")
    for row in rows_of(html, "comparison"):
        cells = cells_of(row)
        assert (cells[3], cells[5], cells[6], cells[8]) == ("–", "–", "–", "–")
        assert cells[4] != "–"
    assert "No paper has numbers for this study" in html


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
    assert len(page.scripts) == 3
    assert not [attrs for _, attrs in page.elements if any(name.startswith("on") for name in attrs)]
    assert all(attrs.get("src", "").startswith("data:") for attrs in page.all("img"))
    assert page.data()[0]["methods"][0]["label"] == EVIL
    assert page.text.count(EVIL) >= 3


def test_what_somebody_makes_of_a_study_stands_in_paragraphs(reports):
    write(reports / "fake" / "notes.md", f"AVAE is not\nclosest.\n\n{EVIL}\n")
    page = built(reports)
    assert [a for a in page.all("p") if a.get("class") == "note"] == [{"class": "note"}] * 2
    assert "AVAE is not closest." in page.text
    assert EVIL in page.text
    (reports / "fake" / "notes.md").write_bytes(b"\xff")
    assert "notes.md is not text" in " ".join(built(reports).text)


def test_the_page_asks_for_nothing(reports):
    page = built(reports)
    for tag, attrs in page.elements:
        for name in ("src", "srcset", "action", "data", "poster", "background"):
            value = attrs.get(name, "data:")
            assert value.startswith("data:"), (tag, name, value[:80])
        if tag == "link":
            assert attrs["href"].startswith("data:")
        if tag == "a":
            assert not re.match(r"[a-z]+:|//", attrs["href"])
    style = re.search(r"<style>(.*?)</style>", build_page(reports).read_text("utf-8"), re.DOTALL).group(1)
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
    assert [m["regularizer"] for m in data["methods"]] == ["kl", "kl", "mmd · weight 10.0"]


def test_details_hold_parameters_pictures_and_provenance(reports):
    html = build_page(reports).read_text("utf-8")
    detail = re.search(r'<tr class="detail" id="s0-detail-1".*?</td></tr>', html, re.DOTALL).group()
    for text in (
        "gaussian · mle",
        "dvc repro -f evaluate@fake-mnist-mle_iso_i-1",
        "0123456789ab",
        "cpu (2 cores)",
    ):
        assert text in detail
    kinds = re.findall(r'<figure data-kind="([\w-]+)"', detail)
    assert kinds == ["reconstructions", "samples-prior", "samples-gmm10", "interpolations"]


def test_pictures_are_those_of_the_first_seed_only(reports):
    pictures = [a["src"] for a in built(reports).all("img")]
    assert len(pictures) == len(METHODS) * 4
    assert len(set(pictures)) == len(pictures)


def test_a_damaged_picture_is_said_and_does_not_stop_the_page(reports):
    path = reports / "fake" / "images" / "mnist" / "mle_iso_i" / "0" / "samples-prior.png"
    path.write_bytes(path.read_bytes()[:100])
    assert built(reports).text.count("not readable") == 1


def test_pictures_shrink_until_they_fit(reports, monkeypatch):
    rng = np.random.default_rng(0)
    paths = sorted((reports / "fake" / "images").rglob("*.png"))
    for path in paths:
        Image.fromarray(rng.integers(0, 255, (400, 400, 3), np.uint8)).save(path)
    monkeypatch.setattr(page_module, "PICTURES", 400_000)
    sources = [a["src"] for a in built(reports).all("img")]
    assert len(sources) == 12
    assert 100_000 < sum(map(len, sources)) <= 400_000


def test_each_study_on_disk_is_a_section_and_a_broken_one_a_notice(reports):
    write_study(reports, name="second", paper="avae2024", images=False)
    write_study(reports, name="broken", images=False)
    write(reports / "broken" / "metrics" / "mnist" / "mle_iso_i" / "0.json", "{")
    (reports / "screens").mkdir()
    page = built(reports)
    assert [a["data-study"] for a in page.all("article")] == ["fake", "second"]
    opens_with_second = Page(build_page(reports, "second").read_text("utf-8"))
    assert [a["data-study"] for a in opens_with_second.all("article")] == ["second", "fake"]
    text = " ".join(page.text)
    assert "could not be read" in text
    assert "mle_iso_i/0.json" in text


def test_a_page_without_a_study_says_what_to_do(tmp_path):
    assert "make repro" in " ".join(built(tmp_path).text)


def test_ids_are_unique_and_links_within_the_page_lead_somewhere(reports):
    write_study(reports, name="second", paper="avae2024", datasets=("mnist", "celeba"))
    page = built(reports)
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    studies = {a["data-study"] for a in page.all("article")}
    inner = [a["href"][1:] for a in page.all("a") if a["href"].startswith("#")]
    assert set(inner) <= set(ids) | studies
    assert {a["aria-controls"] for a in page.all("button") if "aria-controls" in a} <= set(ids)


def test_fifteen_methods_and_five_seeds_weigh_less_than_15_mb(tmp_path):
    methods = {f"method_{i:02}": (f"Method {i}", {"name": "gaussian"}, {"name": "kl"}) for i in range(15)}
    folder = write_study(
        tmp_path,
        methods=methods,
        seeds=tuple(range(5)),
        diverged=(),
        metrics=lambda d, m, s: {"mse": 1.0 + s, "fid": {"prior": 20.0 + s}},
        images=False,
        epochs=100,
    )
    rng = np.random.default_rng(0)
    for method in methods:
        target = folder / "images" / "mnist" / method / "0"
        target.mkdir(parents=True)
        for stem in ("reconstructions", "samples-prior", "samples-gmm10", "interpolations"):
            Image.fromarray(rng.integers(0, 255, (360, 360), np.uint8)).save(target / f"{stem}.png")
    assert 6_000_000 < build_page(tmp_path).stat().st_size < 15_000_000


def test_tabulate_writes_everything_and_twice_the_same(tmp_path):
    import yaml

    from vaebench.study.params import parse_params

    folder = write_study(
        tmp_path / "reports", epochs=3, image_side=16, metrics=lambda d, m, s: {"mse": len(m) + 0.1 * s}
    )
    content = yaml.safe_load((folder / "study.yaml").read_text("utf-8"))
    params = parse_params(content, specs=())
    first = {path: path.read_bytes() for path in tabulate(params, tmp_path)}
    names = {path.relative_to(tmp_path / "reports").as_posix() for path in first}
    assert {
        *("index.html", "fake/study.yaml", "fake/tables/metrics.csv", "fake/tables/takida2022_table4.tex"),
        *(
            f"fake/figures/{stem}.{kind}"
            for kind in ("png", "pdf")
            for stem in ("curves_mnist", "contact_mnist")
        ),
    } <= names
    linked = [a["href"] for a in Page((tmp_path / "reports" / "index.html").read_text("utf-8")).all("a")]
    assert {href for href in linked if not href.startswith("#")} <= names
    assert "fake/figures/metrics_mnist.pdf" in linked
    assert {path: path.read_bytes() for path in tabulate(params, tmp_path)} == first
