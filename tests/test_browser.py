"""What a reader sees: the report and MLflow, in a browser. Leaves its pictures in reports/screens/tiny/."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support.browser import Visit, chromium, find_chromium, mlflow_ui
from support.fake_study import write_study
from support.screens import method_screen, mlflow_screens, report_screens
from support.tiny_study import ROOT, copy_repository, environment, run

from vaebench.report import build_report
from vaebench.report.index import write_index
from vaebench.report.ledger import paper_counts

WANTING = [
    *([] if find_chromium() else ["chromium on the path (Debian: apt-get install chromium)"]),
    *([] if importlib.util.find_spec("playwright") else ["playwright (pip install -e '.[browser]')"]),
]
pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(bool(WANTING), reason=f"no browser: needs {' and '.join(WANTING)}"),
]

SCREENS = ROOT / "reports/screens/tiny"
DESK = {"width": 1400, "height": 1000}


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture
def visit(browser):
    """Opens a page, which must neither complain nor ask anybody else for anything."""
    visits = []

    def go(address: str, origin: str = "file://", **options):
        visits.append(Visit(browser, origin, **{"viewport": DESK, "color_scheme": "light"} | options))
        visits[-1].page.goto(address)
        return visits[-1].page

    yield go
    for one in visits:
        one.close()


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    """The page of a study of 15 methods, 5 seeds and 2 data sets, with pictures of ordinary size."""
    names = [*("vae_gaussian", "mle_iso_i", "wae_mmd"), *(f"method_{i:02}" for i in range(12))]
    methods = {
        name: (
            f"Method {i}",
            {"name": ["gaussian", "bernoulli", "l2"][i % 3]},
            {"name": ["kl", "mmd"][i % 2]},
        )
        for i, name in enumerate(names)
    }

    def metrics(dataset: str, method: str, seed: int) -> dict:
        rng = np.random.default_rng([names.index(method), seed, len(dataset)])
        low = names.index(method) + rng.normal(0, 0.1)
        return {
            "mse": 4 + low,
            "kl": 8 + low,
            "fid": {"recon": 40 - low} | {key: 20 + low for key in ("prior", "gmm10", "interp_mid")},
            "prd": {"precision": 1 / (2 + low), "recall": 1 / (3 + low)},
            "latent": {"kl": low + 1, "entropy": low + 2},
        }

    folder = tmp_path_factory.mktemp("large")
    size = {"datasets": ("mnist", "celeba"), "seeds": tuple(range(5)), "epochs": 100, "image_side": 270}
    write_study(folder, "large", methods=methods, metrics=metrics, diverged=(), **size)
    build_report(folder)
    return folder / "large/index.html"


def shown(page, table: str):
    return page.locator(f"table.{table} tr.run:not([hidden])")


def column(page, path: str) -> list[float]:
    """What stands in a column of the results, from top to bottom; dashes left out."""
    at = page.locator(f"table.overview th[data-column='{path}']").evaluate("cell => cell.cellIndex")
    texts = shown(page, "overview").evaluate_all(f"rows => rows.map(row => row.cells[{at}].dataset.value)")
    return [float(text) for text in texts if text]


def test_the_results_sort_and_filter_and_their_columns_are_chosen(visit, large):
    page = visit(large.as_uri())
    assert shown(page, "overview").count() == 30
    sort = page.locator("table.overview th[data-column='fid.prior'] .sort")
    sort.click()
    rising = column(page, "fid.prior")
    assert rising == sorted(rising)
    assert len(set(rising)) == 30
    sort.click()
    assert column(page, "fid.prior") == rising[::-1]
    page.locator("[data-filters] [name=dataset]").select_option("celeba")
    assert shown(page, "overview").count() == 15
    page.get_by_label("Method", exact=True).fill("bernoulli mmd")
    assert shown(page, "overview").count() == 3
    assert page.get_by_text("3 of 30 rows").is_visible()
    page.get_by_label("Method", exact=True).fill("no such method")
    assert shown(page, "overview").count() == 0
    header = page.locator("th[data-column='prd.recall']")
    assert not header.is_visible()
    page.get_by_text("Columns (").click()
    page.get_by_label("recall", exact=True).check()
    assert header.is_visible()
    assert "lie among the samples" in header.locator(".sort").get_attribute("title")


def test_a_method_opens_by_the_keyboard_and_has_an_address(visit, large):
    page = visit(large.as_uri())
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    button = page.get_by_role("button", name="Method 2", exact=True).first
    button.focus()
    page.keyboard.press("Enter")
    detail = page.locator("tr.detail:visible")
    assert detail.count() == 1
    assert "Method 2 on mnist" in detail.inner_text()
    assert "dvc repro -f evaluate@large-mnist-wae_mmd-4" in detail.text_content()
    assert page.url.endswith("#mnist/wae_mmd")
    assert detail.locator("img").count() == 4
    for picture in detail.locator("img").all():
        picture.scroll_into_view_if_needed()
    page.wait_for_function(
        "[...document.querySelectorAll('tr.detail:not([hidden]) img')].every(i => i.naturalWidth)"
    )
    detail.get_by_title("Enlarge").first.press("Enter")
    assert page.locator("dialog[open] img").bounding_box()["width"] > 500
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    button.press("Enter")
    assert page.locator("tr.detail:visible").count() == 0
    assert "#" not in page.url
    page = visit(f"{large.as_uri()}#celeba/method_03")
    assert "Method 6 on celeba" in page.locator("tr.detail:visible").inner_text()
    page = visit(f"{(large.parent.parent / 'index.html').as_uri()}#large/celeba/method_03")
    page.wait_for_url("**/large/index.html#celeba/method_03")
    assert "Method 6 on celeba" in page.locator("tr.detail:visible").inner_text()


def test_an_enlarged_picture_turns_to_the_next_method_in_place(visit, large):
    page = visit(large.as_uri())
    strip = page.locator(".strip:visible")
    assert strip.locator("img").count() == 15
    strip.locator(".look").first.click()
    caption = page.locator("dialog[open] figcaption")
    first, place = caption.inner_text(), page.locator("dialog[open] img").bounding_box()
    page.keyboard.press("ArrowRight")
    assert caption.inner_text() != first
    assert page.locator("dialog[open] img").bounding_box() == place
    page.keyboard.press("ArrowLeft")
    assert caption.inner_text() == first
    page.locator("dialog[open]").click()
    for value in page.locator("[data-gallery] [name=kind] option").evaluate_all(
        "all => all.map(o => o.value)"
    ):
        page.locator("[data-gallery] [name=kind]").select_option(value)
        assert strip.locator(f"img[src$='{value}.png']").count() == 15


def test_every_choice_of_a_chart_draws(visit, large):
    page = visit(large.as_uri())
    points = page.locator("#scatter .point")
    assert points.count() == 15
    page.locator("[data-scatter] [name=y]").select_option("fid.recon")
    assert page.locator("#scatter .front").count() == 1
    page.locator("[data-axes] [name=metric]").select_option("prd.recall")
    assert page.locator("table.matrix .filled").count() == 15
    for form, drawn in (("scatter", "#scatter .point"), ("training", "#training .curve")):
        for select in page.locator(f"[data-{form}] select").all():
            for value in select.locator("option").evaluate_all("found => found.map(option => option.value)"):
                select.select_option(value)
                assert page.locator(drawn).count() >= 15, (form, value)


def test_the_page_is_dark_where_the_reader_s_screen_is(visit, large):
    def luminance(page) -> int:
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, colour.removeprefix("rgb(").removesuffix(")").split(", ")))

    light = luminance(visit(large.as_uri()))
    assert luminance(visit(large.as_uri(), color_scheme="dark")) < light / 4


def test_the_first_screen_says_how_each_papers_claims_stand_and_on_what_schedule(visit, tmp_path):
    """Of the committed studies, without scrolling at 1400 × 900."""
    for path in (ROOT / "reports").glob("*/*"):
        if path.name in ("study.yaml", "card.json", "claims.json", "images"):
            (tmp_path / path.parent.name).mkdir(exist_ok=True)
            (tmp_path / path.parent.name / path.name).symlink_to(path)
    page = visit(write_index(tmp_path).as_uri(), viewport={"width": 1400, "height": 900})
    rows = page.locator("table.papers tbody tr")
    columns = ("holds", "does not hold", "undecided", "not measured", "schedule", "own")
    counts = paper_counts(tmp_path)
    assert rows.count() == len(counts) >= 3
    for row, expected in zip(rows.all(), counts, strict=True):
        assert row.locator("td").all_inner_texts() == [str(expected[column]) for column in columns]
        assert expected["name"] in row.locator("th").inner_text()
        for cell in [row.locator("th"), *row.locator("td").all()]:
            box = cell.bounding_box()
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= 900
            assert box["x"] + box["width"] <= 1400
    assert page.evaluate("window.scrollY") == 0
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / "claims.png")


@pytest.mark.parametrize("width", [320, 390, 768, 1400])
def test_nothing_is_wider_than_the_window(visit, large, width):
    for page_file in (large, large.parent.parent / "index.html"):
        page = visit(page_file.as_uri(), viewport={"width": width, "height": 800})
        for button in page.get_by_role("button", name="Method 2", exact=True).all()[:1]:
            button.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_large_study_is_light(visit, large):
    visit(large.as_uri())
    assert large.stat().st_size < 3_000_000


def test_a_run_leads_to_the_report_and_back(browser, tiny_repository):
    with mlflow_ui(tiny_repository) as address:
        visit = Visit(browser, address.split("/#")[0], viewport=DESK)
        page = visit.page
        page.goto(f"{address.split('/#')[0]}/report/run/tiny/digits/mle_iso_i/0")
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="In the report").click()
        report = opened.value
        detail = report.locator("tr.detail:visible")
        assert "MLE Iso-I on digits" in detail.inner_text()
        detail.locator("[data-mlflow] a").first.click()
        report.get_by_role("link", name="In the report").wait_for()
        tracked = re.search(r"/runs/(\w+)", page.url).group(1)
        assert re.search(r"/runs/(\w+)", report.url).group(1) == tracked
        visit.close()  # before the server goes


def test_curves_appear_in_mlflows_page_during_a_training(browser, tiny_repository, tmp_path):
    """A training of more epochs than it will ever end, followed by its exporter."""
    from mlflow import MlflowClient

    folder = copy_repository(tiny_repository, tmp_path / "live")
    params = folder / "params.yaml"
    params.write_text(params.read_text("utf-8").replace("epochs: 2", "epochs: 1000000"), "utf-8")
    command = [sys.executable, "-m", "stages.train", "--dataset", "digits", "--method", "ae", "--seed", "0"]
    env = environment(folder, tracking=True)
    training = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL)
    try:
        with mlflow_ui_of(folder, training) as address:
            client = MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
            experiment = client.get_experiment_by_name("tiny").experiment_id
            (run,) = client.search_runs([experiment], "tags.kind = 'seed'")
            assert run.info.status == "RUNNING"
            origin = address.split("/#")[0]
            visit = Visit(browser, origin, viewport=DESK)
            visit.page.goto(f"{origin}/#/experiments/{experiment}/runs/{run.info.run_id}/model-metrics")
            visit.page.get_by_text("train/loss").first.wait_for()
            visit.page.locator(".js-plotly-plot .scatterlayer .trace").first.wait_for(state="attached")
            visit.close()
    finally:
        training.kill()
        training.wait()


@contextmanager
def mlflow_ui_of(folder: Path, training: subprocess.Popen):
    """MLflow's page of ``folder`` once its training has a curve."""
    curve = folder / "mlflow.db"
    while not curve.exists() or b"train/loss" not in curve.read_bytes():
        assert training.poll() is None
        time.sleep(0.5)
    with mlflow_ui(folder) as address:
        yield address


def test_a_study_without_a_store_is_exported_afterwards_and_compares(browser, tiny_repository, tmp_path):
    folder = copy_repository(tiny_repository, tmp_path / "without")
    assert not (folder / "mlflow.db").exists()
    run(folder, "vaebench", "track")
    mlflow_screens(browser, folder, ("ae", "mle_iso_i"), tmp_path)


def test_the_pipelines_own_report_and_runs_look_like_this(browser, tiny_repository):
    SCREENS.mkdir(parents=True, exist_ok=True)
    report_screens(browser, tiny_repository / "reports/tiny/index.html", SCREENS)
    method_screen(browser, tiny_repository / "reports/tiny/index.html", "mle_iso_i", SCREENS)
    mlflow_screens(browser, tiny_repository, ("ae", "mle_iso_i"), SCREENS)
    names = {"report-light", "report-dark", "report-phone", "method", "mlflow-runs", "mlflow-compare"}
    assert {path.stem for path in SCREENS.glob("*.png")} >= names
