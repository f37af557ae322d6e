"""What stands in Git under reports/ is what ``vaebench report`` makes of the committed metrics."""

from pathlib import Path

import pandas as pd
import pytest

from vaebench.base.files import read_json
from vaebench.report import build_report

ROOT = Path(__file__).parent.parent
REPORTS = ROOT / "reports"
MADE = ("tables", "figures", "claims.json", "card.json", "summary.json", "index.html")

pytestmark = pytest.mark.pipeline


def rounded(value):
    """Floats to ten digits, of which another version of scipy may change the last ones."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value


def content(path: Path):
    if path.suffix == ".json":
        return rounded(read_json(path))
    if path.suffix == ".csv":
        return rounded(pd.read_csv(path).fillna("").to_dict("list"))
    return path.read_text("utf-8")


def made(folder: Path) -> dict[str, Path]:
    """What the report writes into ``reports/``, by its name there."""
    patterns = ("*/tables/*", "*/claims.json", "*/card.json", "*/summary.json", "claims.json")
    return {path.relative_to(folder).as_posix(): path for name in patterns for path in folder.glob(name)}


def test_committed_tables_means_verdicts_and_cards_are_made_of_the_committed_metrics(tmp_path):
    for path in REPORTS.glob("*/*"):
        if path.parent.name != "screens" and path.name not in MADE:
            (tmp_path / path.parent.name).mkdir(exist_ok=True)
            (tmp_path / path.parent.name / path.name).symlink_to(path)
    assert "cannot be read" not in build_report(tmp_path).read_text("utf-8")
    now, committed = made(tmp_path), made(REPORTS)
    assert now.keys() == committed.keys()
    stale = [name for name, path in now.items() if content(path) != content(committed[name])]
    assert not stale, "make them anew: vaebench report"
