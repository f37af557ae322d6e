"""Pictures of a report and of MLflow runs; as a program, the documents', of studies that ran here."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

from support.browser import Visit, chromium, mlflow_ui
from vaebench.measure.pictures.grids import GAP

DESK, PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}


def report_screens(browser, page: Path, folder: Path) -> None:
    """``report-{light,dark,phone,index,index-phone}.png``, ``oversmoothing.png``."""
    index = page.parent.parent / "index.html"
    for name, address, size, scheme in (
        ("light", page, DESK, "light"),
        ("dark", page, DESK, "dark"),
        ("phone", page, PHONE, "light"),
        ("index", index, DESK, "light"),
        ("index-phone", index, PHONE, "light"),
    ):
        visit = Visit(browser, "file://", viewport=size, color_scheme=scheme)
        visit.page.goto(address.as_uri())
        visit.page.wait_for_load_state("networkidle")
        visit.page.screenshot(path=folder / f"report-{name}.png")
        if name == "light":
            for pair in visit.page.locator(".before-after").all():
                pair.scroll_into_view_if_needed()
                visit.page.wait_for_load_state("networkidle")
                pair.screenshot(path=folder / "oversmoothing.png")
        visit.close()


def method_screen(browser, page: Path, method: str, folder: Path) -> None:
    """``method.png``: the panel of one method."""
    visit = Visit(browser, "file://", viewport=DESK, color_scheme="light")
    visit.page.goto(page.as_uri())
    visit.page.locator(f"tr.run[data-method='{method}']:visible").first.get_by_role("button").click()
    detail = visit.page.locator("tr.detail:visible .detail-body")
    for picture in detail.locator("img").all():
        picture.scroll_into_view_if_needed()
    visit.page.wait_for_load_state("networkidle")
    visit.page.evaluate("document.querySelector('.bar').hidden = true")
    detail.screenshot(path=folder / "method.png")
    visit.close()


def mlflow_screens(browser, workspace: Path, methods: tuple[str, str], folder: Path) -> None:
    """``mlflow-runs.png``, and ``mlflow-compare.png`` of the last run of each of two methods."""
    with mlflow_ui(workspace) as address:
        origin = address.split("/#")[0]
        visit = Visit(browser, origin, viewport=DESK, color_scheme="light")
        page = visit.page
        page.goto(address)
        page.get_by_text(f"{methods[0]} · ").first.wait_for()
        page.get_by_role("button", name="Close", exact=True).click()  # MLflow's assistant
        page.screenshot(path=folder / "mlflow-runs.png")
        for method in methods:
            page.get_by_role("row").filter(has_text=f"{method} · ").get_by_role("checkbox").first.check()
        page.get_by_role("button", name="Compare").click()
        page.get_by_text("Comparing 2 Runs").wait_for()
        for text in ("Parallel Coordinates Plot", "learning_rate", re.compile(r"^fd_\w+/gmm10$")):
            page.get_by_text(text).first.wait_for()
        page.locator(".js-plotly-plot .parcoords").first.wait_for()
        page.screenshot(path=folder / "mlflow-compare.png")
        visit.close()


def sample_screens(images: Path, folder: Path) -> None:
    """``samples-fixed.png`` and ``samples-estimated.png``: four rows of samples each."""
    for method, name in (("vae_gaussian", "fixed"), ("mle_iso_i", "estimated")):
        with Image.open(images / method / "0/samples-gmm10.png") as grid:
            half = grid.crop((0, 0, grid.width, (grid.height + GAP) // 2 - GAP))
        half.resize((2 * half.width, 2 * half.height), Image.Resampling.NEAREST).save(
            folder / f"samples-{name}.png"
        )


def compress(folder: Path) -> None:
    """Write every PNG in ``folder`` anew with a palette of 256 colours, which more than halves it."""
    for path in folder.glob("*.png"):
        with Image.open(path) as picture:
            picture.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE).save(path, optimize=True)


if __name__ == "__main__":
    here = Path.cwd()
    sample_screens(here / "reports/quickstart/images/digits", here / "reports/screens")
    with chromium() as opened:
        report_screens(opened, here / "reports/takida_mnist_full/index.html", here / "reports/screens")
        method_screen(opened, here / "reports/quickstart/index.html", "mle_diag_d", here / "reports/screens")
        mlflow_screens(opened, here, ("mle_iso_i", "avae_diag_d"), here / "reports/screens")
    (here / "reports/screens/mlflow-compare.png").unlink()  # MLflow's own, shown nowhere
    compress(here / "reports/screens")
