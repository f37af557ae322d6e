"""A made-up paper: a folder and a study are enough for verdicts, tables, figures and the page.

Every word of ``claims.yaml`` is used, every layout of a table, a function of the paper's own, and a sweep.
Nothing under ``src/`` is touched, and the same folder comes as a package of somebody's own.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.fake_study import write_study

from vaebench.report import build_report
from vaebench.report.figures.against import against_paper
from vaebench.report.ledger import claims_text, ledger
from vaebench.report.papers import read_paper
from vaebench.report.results import read_results
from vaebench.report.tables import shaped_tables, write_tables
from vaebench.study.papers import paper_keys

ROOT = Path(__file__).parent.parent

PAPER = {
    "name": "Madeup",
    "title": "A made-up paper",
    "cite": "Nobody, A made-up paper, Nowhere 2026",
    "seeds": 3,
    "datasets": {"toy": {"ours": ["toy28"], "images": 60000}},
    "methods": {"a": {"ours": ["method_a"]}, "b": {"beside": ["b_*"]}},
    "columns": {
        "mse": {"ours": "mse"},
        "fid": {"ours": [{"metric": "fid.gaussian", "methods": ["a"]}, {"metric": "fid.prior"}]},
        "kl": {"ours": "kl", "label": "bits", "scale": 2.0},
        "theirs": {"ours": []},
    },
    "tables": {
        "all": {"number": "1", "title": "all", "epochs": {"toy": 10}, "longer": {"b": {"toy": 20}}},
        "grid": {
            "number": "2",
            "title": "by level",
            "epochs": 10,
            "methods": ["beta_*"],
            "rows": "level",
            "columns": ["kind", "column"],
            "kind": "{} alone",
            "corner": "β",
            "ranked": "",
        },
        "flat": {
            "number": "3",
            "title": "data sets below each other",
            "epochs": 10,
            "datasets": ["*"],
            "methods": ["a", "b", "c", "method_a"],
            "rows": "dataset",
            "columns": ["", "method"],
            "ranked": "row",
        },
    },
}

ALL = """dataset,method,column,value,std
toy,a,mse,1.0,0.05
toy,b,mse,2.0,0.5
toy,c,mse,3.0,0.05
toy,a,fid,30,
toy,b,fid,20,
toy,c,fid,10,
toy,a,theirs,31,
"""

GRID = """dataset,method,column,value
toy,beta_0_25,kl,8
toy,beta_1_0,kl,4
toy,beta_4_0,kl,2
"""

FLAT = """dataset,method,column,value
other,a,kl,1
other,b,kl,2
"""

MSE = {"columns": ["mse"], "on": ["toy"]}
CHECKS = {
    "best": {"best": "a", **MSE},
    "first": {"best": "b", "first": 2, **MSE},
    "of": {"best": "b", "of": ["b", "c"], **MSE},
    "below": {"compare": ["a"], "is": "below", "than": {"methods": ["b", "c"]}, **MSE},
    "above": {"compare": ["c"], "is": "above", "than": 2.5, **MSE},
    "better": {"compare": ["a"], "is": "better", "than": {"methods": ["*", "!a"]}, **MSE},
    "worse": {"compare": ["c"], "is": "worse", "than": {"methods": ["a"]}, "factor": 2, "plus": 0.1, **MSE},
    "pairs": {"pairs": [["a", "b"], ["b", "c"]], "is": "below", **MSE},
    "most": {"compare": ["a", "b"], "is": "below", "than": {"methods": ["a", "c"]}, "most": True, **MSE},
    "equal": {"compare": ["b"], "is": "equal", "within": 0.5, "than": 2.0, **MSE},
    "spread": {"compare": ["a"], "is": "below", "than": {"methods": ["b"]}, "spread": True, **MSE},
    "columns": {
        "compare": ["a"],
        "columns": ["fid"],
        "on": ["toy"],
        "is": "above",
        "than": {"columns": ["mse"]},
    },
    "monotone": {"monotone": ["beta_*"], "columns": ["kl"], "on": ["toy"], "is": "falls"},
    "ours": {"compare": ["a"], "columns": ["our.psnr"], "on": ["toy"], "is": "above", "than": 20},
    "trained": {"compare": ["a"], "columns": ["our.share_broken"], "on": ["toy"], "is": "below", "than": 0.9},
    "all": {"all": [{"best": "a", **MSE}, {"best": "c", "columns": ["fid"], "on": ["toy"]}]},
    "function": {"function": "sums"},
}
FALSE = {"best-false": {"best": "c", **MSE}}

CODE = """
from vaebench.report.claims.comparison import Comparison, Group


def sums(paper):
    keys = tuple(("toy", method, "mse") for method in "abc")
    return [Group([Comparison(keys, lambda a, b, c: a + b - 0.5 * c, "{0} + {1} above half of {2}")])]
"""

OURS = {"method_a": 1.1, "b": 2.1, "c": 3.1, "beta_0_25": 6.0, "beta_1_0": 6.0, "beta_4_0": 6.0}
OFFSETS = {"b": 0.4}
KL = {"beta_0_25": 7.0, "beta_1_0": 5.0, "beta_4_0": 1.0}


def write_folder(folder: Path) -> None:
    folder.mkdir(parents=True)
    claims = [
        {"id": name, "source": "Table 1", "text": f"{name} is so.", "check": check}
        for name, check in (CHECKS | FALSE).items()
    ]
    claims.append(
        {"id": "looks", "source": "Figure 1", "text": "It looks well.", "qualitative": "eyes judge it"}
    )
    (folder / "paper.yaml").write_text(yaml.safe_dump(PAPER, allow_unicode=True), "utf-8")
    (folder / "claims.yaml").write_text(yaml.safe_dump({"claims": claims}, allow_unicode=True), "utf-8")
    (folder / "claims.py").write_text(CODE, "utf-8")
    for name, text in (("all", ALL), ("grid", GRID), ("flat", FLAT)):
        (folder / f"{name}.csv").write_text(text, "utf-8")


def metrics(dataset: str, method: str, seed: int) -> dict:
    mse = OURS[method] + OFFSETS.get(method, 0.02) * (seed - 2)
    return {
        "mse": mse,
        "psnr": 25.0 + 0.1 * seed,
        "kl": KL.get(method, 4.0) + 0.01 * seed,
        "fid": {"prior": 36.0 - 10 * OURS[method] + 0.1 * seed, "gaussian": 28.0 + 0.1 * seed},
    }


def write_own_study(reports: Path, paper: str, epochs: int = 20) -> Path:
    return write_study(
        reports,
        name="own",
        paper=paper,
        datasets=("toy28",),
        methods={m: (m, {"name": "gaussian"}, {"name": "kl"}) for m in OURS},
        seeds=(0, 1, 2, 3, 4),
        diverged=(),
        metrics=metrics,
        images=False,
        epochs=epochs,
    )


@pytest.fixture(params=["a folder of the workspace", "a package of one's own"])
def paper(request, tmp_path, monkeypatch) -> str:
    """The key of the paper, in a workspace that has nothing else."""
    (tmp_path / "workspace").mkdir()
    monkeypatch.chdir(tmp_path / "workspace")
    if request.param.startswith("a folder"):
        write_folder(Path("papers/madeup2026"))
        return "madeup2026"
    package = tmp_path / "site"
    write_folder(package / "my_papers" / "packed2026")
    (package / "my_papers" / "__init__.py").touch()
    (package / "my_papers" / "packed2026" / "__init__.py").touch()
    metadata = package / "my_papers-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my_papers\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[vaebench.paper]\npacked2026 = my_papers.packed2026\n")
    monkeypatch.syspath_prepend(package)
    return "packed2026"


def test_a_folder_and_a_study_give_verdicts_tables_figures_and_the_page(paper):
    assert paper in paper_keys()
    folder = write_own_study(Path("reports"), paper)
    index = build_report("reports").read_text("utf-8")

    entries = {claim["claim"]: claim for claim in ledger("reports")[paper]["claims"]}
    expected = dict.fromkeys(CHECKS, "holds") | {
        "best-false": "does not hold",
        "looks": "not a matter of numbers",
    }
    assert {name: entry["status"] for name, entry in entries.items()} == expected
    printed = {name: entry["paper"]["printed"] for name, entry in entries.items() if name in CHECKS}
    unprinted = dict.fromkeys(("ours", "trained"), "not printed")
    assert printed == dict.fromkeys(CHECKS, "holds") | unprinted
    assert entries["best"]["evidence"][0]["schedule"] == 1.0

    results = read_results(folder)
    write_tables(results)
    tables = folder / "tables"
    assert (tables / f"{paper}_all.tex").is_file()
    first = (tables / f"{paper}_all.csv").read_text("utf-8")
    assert "Madeup" in (tables / f"{paper}_all.md").read_text("utf-8")
    assert "1.1" in first
    grid = (tables / f"{paper}_grid.md").read_text("utf-8")
    assert "beta alone" in grid
    assert "| 0.25 |" in grid
    assert "bits" in grid
    row = results.summary.query("method == 'method_a' and metric == 'fid.gaussian'").iloc[0]
    assert (row["paper"], row["mean"]) == (30, pytest.approx(28.2))
    row = results.summary.query("method == 'method_a' and metric == 'mse'").iloc[0]
    assert row["reproduced"] == "yes"

    page = (folder / "index.html").read_text("utf-8")
    assert "best-false is so." in page
    assert "Nobody, A made-up paper" in page
    assert f'id="{paper}"' in index
    assert "[does not hold] Table 1: best-false is so." in claims_text("reports", paper)
    assert against_paper(shaped_tables(results)[0], folder / "figures" / "against")


def test_below_its_schedule_it_is_undecided(paper):
    write_own_study(Path("reports"), paper, epochs=5)
    build_report("reports")
    entries = {claim["claim"]: claim for claim in ledger("reports")[paper]["claims"]}
    assert entries["best"]["words"] == "undecided, points this way"
    assert entries["best"]["evidence"][0]["schedule"] == 0.25
    assert entries["best-false"]["words"] == "undecided, points the other way"
    assert read_paper(paper).schedule("toy", "b", "mse") == 20


def test_no_module_of_ours_knows_a_paper_by_its_key_but_the_command_for_its_bandwidths():
    keys = [path.parent.name for path in (ROOT / "papers").glob("*/paper.yaml")]
    named = {
        (path.relative_to(ROOT / "src").as_posix(), key)
        for path in (ROOT / "src").rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        for key in keys
        if key in line and not line.strip().startswith((">>>", "{", '"')) and "typer.Option" not in line
    }
    assert named <= {("vaebench/report/papers.py", "avae2024"), ("vaebench/cli/app.py", "avae2024")}
