"""The numbers that a report prints."""

import json
import math

import pandas as pd
import pytest
from scipy import stats
from support.fake_study import METHODS, write, write_study

from vaebench.base.described import Described, describes
from vaebench.base.errors import UserError
from vaebench.measure.metrics import METRICS
from vaebench.report.claims import judge
from vaebench.report.describe import describe, sort_key
from vaebench.report.entries import number
from vaebench.report.questions import answers
from vaebench.report.results import flatten, read_results, spec_text
from vaebench.report.tables import shaped_tables, write_tables
from vaebench.report.terminal import best_rows


@pytest.fixture
def study_dir(tmp_path):
    return write_study(tmp_path / "reports", images=False)


def row(study_dir, method, metric, dataset="mnist"):
    frame = read_results(study_dir).summary.set_index(["dataset", "method", "metric"])
    return frame.loc[(dataset, method, metric)]


def test_runs_are_tidy_and_mark_the_diverged_one(study_dir):
    runs = read_results(study_dir).runs
    assert list(runs) == ["dataset", "method", "label", "seed", "metric", "value", "diverged"]
    lost = runs[runs["diverged"]]
    assert lost[["method", "seed", "metric", "value"]].to_numpy().tolist() == [
        ["wae_mmd", 1, "diverged_at_epoch", 2.0]
    ]


def test_mean_std_difference_against_the_paper(study_dir):
    r = row(study_dir, "mle_iso_i", "mse_sampled")
    assert r["mean"] == pytest.approx(4.55)
    assert r["std"] == pytest.approx(0.1 / math.sqrt(2))
    assert (r["n"], r["paper"]) == (2, 4.40)
    assert r["difference"] == pytest.approx(0.15)
    assert r["relative"] == pytest.approx(0.15 / 4.40)


def test_the_relative_difference_of_a_negative_number_keeps_its_direction(study_dir):
    r = row(study_dir, "mle_iso_i", "nll")
    assert r["difference"] == pytest.approx(7.17)
    assert r["relative"] == pytest.approx(7.17 / 887.17)


@pytest.mark.parametrize(
    ("entropy", "reproduced"), [(55.655, "yes"), (55.625, "yes"), (55.67, "no"), (None, "")]
)
def test_what_a_paper_rounds_to_no_spread_at_all_can_be_reproduced(tmp_path, entropy, reproduced):
    metrics = {} if entropy is None else {"latent": {"entropy_capped": entropy}}
    folder = write_study(
        tmp_path,
        paper="avae2024",
        datasets=("cifar10",),
        methods={m: (m, {"name": "l2"}, {"name": "kde_kl"}) for m in ("avae", "vae")},
        seeds=(0,),
        diverged=(),
        metrics=lambda dataset, method, seed: metrics if method == "avae" else {"mse": 1.0},
        images=False,
    )
    r = row(folder, "avae", "latent.entropy_capped", dataset="cifar10")
    assert (r["paper"], r["paper_std"], r["reproduced"]) == (55.64, 0.0, reproduced)


def test_a_diverged_seed_enters_no_mean(study_dir):
    r = row(study_dir, "wae_mmd", "mse")
    assert (r["mean"], r["n"], r["sound"], r["diverged"]) == (4.3, 1, 1, 1)
    assert math.isnan(r["std"])


def test_ranks_follow_the_better_direction(study_dir):
    assert [row(study_dir, m, "fid.prior")["rank"] for m in METHODS] == [3, 1, 2]
    assert [row(study_dir, m, "latent.entropy_capped")["rank"] for m in METHODS] == [3, 2, 1]
    assert [row(study_dir, m, "fid.prior")["mark"] for m in METHODS] == ["", "best", ""]
    assert math.isnan(row(study_dir, "mle_iso_i", "kl")["rank"])


def test_the_papers_rank_is_among_the_same_methods(study_dir):
    assert [row(study_dir, m, "fid.gmm10")["paper_rank"] for m in METHODS] == [3, 1, 2]


def test_ties_share_the_smaller_rank(tmp_path):
    folder = write_study(tmp_path, diverged=(), images=False, metrics=lambda d, m, s: {"mse": 1.0})
    assert [row(folder, m, "mse")["rank"] for m in METHODS] == [1, 1, 1]


def test_missing_is_a_dash_and_never_a_zero(study_dir):
    write_tables(read_results(study_dir))
    lines = (study_dir / "tables" / "likelihood.md").read_text("utf-8").splitlines()
    wae = next(line for line in lines if line.startswith("| WAE-MMD"))
    cells = [cell.strip() for cell in wae.strip("|").split("|")]
    assert cells[1:] == ["4.30†° (4.34)", "–", "–", "–"]
    tidy = pd.read_csv(study_dir / "tables" / "summary.csv")
    missing = tidy.query("method == 'wae_mmd' and metric == 'nll'")
    assert missing["mean"].isna().all()
    assert math.isnan(row(study_dir, "wae_mmd", "nll")["mean"])


def test_a_table_says_its_seeds_and_how_wide_an_interval_is(tmp_path):
    folder = write_study(tmp_path, seeds=(0, 1, 2, 3, 4), diverged=(), images=False)
    write_tables(read_results(folder))
    half = stats.t.ppf(0.975, 4) / math.sqrt(5)
    for suffix, sign in (("md", "±"), ("tex", r"$\pm$")):
        text = (folder / "tables" / f"likelihood.{suffix}").read_text("utf-8")
        assert f"interval in standard deviations: {sign} {half:.2f} (n = 5)." in text


def test_a_method_that_always_diverged_says_so(tmp_path):
    lost = tuple(("mnist", "mle_iso_i", seed) for seed in (0, 1))
    folder = write_study(tmp_path, diverged=lost, images=False)
    write_tables(read_results(folder))
    for suffix in ("md", "tex", "csv"):
        text = (folder / "tables" / f"takida2022_table4.{suffix}").read_text("utf-8")
        line = next(line for line in text.splitlines() if "MLE Iso-I" in line)
        assert line.count("diverged") == 4
    assert "diverged" in best_rows(read_results(folder))


def test_takida_table_4_as_latex(study_dir):
    write_tables(read_results(study_dir))
    text = (study_dir / "tables" / "takida2022_table4.tex").read_text("utf-8")
    for command in (
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
        r"\begin{tabular}{lrrrr}",
        r"\cmidrule(lr){2-5}",
    ):
        assert command in text
    assert r"MLE Iso-I & 4.55 $\pm$ 0.07 (4.40)" in text
    assert r"VAE, $\sigma_x^2$ = 1 &" in text
    assert text.count("{") == text.count("}")


def test_latex_and_markdown_escape(tmp_path):
    methods = {"evil": (r"a_b & 50% #1 $x$ {\x} | <b>", {"name": "l2"}, {"name": "none"})}
    folder = write_study(
        tmp_path, methods=methods, diverged=(), images=False, metrics=lambda *_: {"mse": 1.0}
    )
    write_tables(read_results(folder))
    tex = (folder / "tables" / "likelihood.tex").read_text("utf-8")
    assert r"a\_b \& 50\% \#1 \$x\$ \{\textbackslash{}x\} | \textless{}b\textgreater{} & \textbf{1.00" in tex
    markdown = (folder / "tables" / "likelihood.md").read_text("utf-8").splitlines()
    line = next(line for line in markdown if "50%" in line)
    assert r"\|" in line
    assert r"\<b>" in line


def test_table_1_has_a_row_a_variance_and_a_group_an_encoding(tmp_path):
    names = ["stochastic_0_0", "stochastic_m0_1", "deterministic_0_0", "deterministic_m0_1"]
    methods = {name: (name, {"name": "gaussian"}, {"name": "kl"}) for name in names}

    def numbers(dataset, method, seed):
        sampled = {"mse_sampled": 21.0} if method.startswith("stochastic") else {}
        return {"mse": 18.0, **sampled, "smoothness": {"els": 6.7, "mi_bound": 9.6}}

    folder = write_study(tmp_path, methods=methods, diverged=(), images=False, metrics=numbers)
    study = read_results(folder)
    table = next(t for t in shaped_tables(study) if t.name == "takida2022_table1")
    assert [label for label, _ in table.rows] == ["0.0", "-0.1"]
    assert [group for group, _ in table.spans] == ["stochastic encoding", "deterministic encoding"]
    els = table.columns.index(("stochastic encoding", "ELS"))
    assert (table.rows[1][1][els].mean, table.rows[1][1][els].paper) == (6.7, 6.76)
    assert [group for group, label in table.columns if label == "MSE"] == [group for group, _ in table.spans]
    errors = [
        cells[table.columns.index((group, "MSE"))] for _, cells in table.rows for group, _ in table.spans
    ]
    assert [(cell.mean, cell.paper) for cell in errors] == [
        *((21.0, 52.74), (18.0, 5.95)),
        *((21.0, 18.03), (18.0, 5.69)),
    ]


def test_table_4_has_the_error_of_a_draw_where_the_encoding_is_random(study_dir):
    table = next(t for t in shaped_tables(read_results(study_dir)) if t.name == "takida2022_table4")
    assert [label for _, label in table.columns].count("MSE") == 1
    column = table.columns.index(("mnist", "MSE"))
    shown = {label: (cells[column].mean, cells[column].paper) for label, cells in table.rows}
    assert shown["VAE, σx² = 1"] == (pytest.approx(24.05), 20.25)
    assert shown["WAE-MMD"] == (4.3, 4.34)


def test_table_3_puts_the_papers_value_beside_each_partition(tmp_path):
    methods = {name: (name, {"name": "gaussian"}, {"name": "kl"}) for name in ("mle_iso_i", "mle_diag_d")}
    dataset = "mnist_spatial_conditional_0_1"
    numbers = {"variance": {"SU": 0.1, "SL": 0.1, "BU": 0.1, "BL": 0.1}}
    folder = write_study(
        tmp_path, datasets=(dataset,), methods=methods, diverged=(), images=False, metrics=lambda *_: numbers
    )
    study = read_results(folder)
    table = next(t for t in shaped_tables(study) if t.name == "takida2022_table3")
    papers = {c: cell.paper for c, cell in zip(table.columns, table.rows[0][1], strict=True)}
    assert papers["mle_iso_i", "σ̂² BL"] == 0.029
    assert papers["mle_diag_d", "σ̂² SU"] == 0.11


def test_saha_table_3_compares_rae_by_its_gaussian(tmp_path):
    methods = {name: (name, {"name": "l2"}, {"name": "none"}) for name in ("rae", "avae", "vae", "wae")}

    def metrics(dataset, method, seed):
        prior = {"rae": 999.0, "avae": 14.0, "vae": 30.0, "wae": 40.0}[method]
        return {"fid": {"recon": 9.0, "prior": prior, "gaussian": 19.0}}

    folder = write_study(
        tmp_path, paper="avae2024", methods=methods, diverged=(), images=False, metrics=metrics
    )
    study = read_results(folder)
    table = next(t for t in shaped_tables(study) if t.name == "avae2024_table3")
    column = table.columns.index(("mnist", "N"))
    shown = {
        label: (cells[column].mean, cells[column].paper, cells[column].mark) for label, cells in table.rows
    }
    assert shown == {
        "rae": (19.0, 18.79, ""),
        "avae": (14.0, 13.27, "best"),
        "vae": (30.0, 28.78, ""),
        "wae": (40.0, 25.42, ""),
    }


def test_a_classifiers_distance_has_no_paper_value(tmp_path):
    folder = write_study(
        tmp_path, diverged=(), images=False, metrics=lambda d, m, s: {"fd_classifier": {"prior": 20.0}}
    )
    assert math.isnan(row(folder, "mle_iso_i", "fd_classifier.prior")["paper"])
    assert row(folder, "mle_iso_i", "fid.prior")["n"] == 0


def test_without_a_paper_there_is_nothing_to_compare(tmp_path):
    folder = write_study(tmp_path, paper=None, images=False)
    summary = read_results(folder).summary
    assert summary["paper"].isna().all()
    assert not [p for p in write_tables(read_results(folder)) if "takida" in p.name]


def test_tables_of_an_earlier_run_do_not_stay(study_dir):
    write(study_dir / "tables" / "prd.md", "old")
    paths = write_tables(read_results(study_dir))
    assert {p.name for p in paths} == {p.name for p in (study_dir / "tables").iterdir()}


def test_only_the_studys_own_cells_count(study_dir):
    write(study_dir / "metrics" / "mnist" / "removed_method" / "0.json", json.dumps({"mse": 0.0}))
    assert set(read_results(study_dir).runs["method"]) == set(METHODS)


@pytest.mark.parametrize("text", ["{", "[1, 2]", ""])
def test_a_damaged_metrics_file_is_named(study_dir, text):
    write(study_dir / "metrics" / "mnist" / "mle_iso_i" / "0.json", text)
    with pytest.raises(UserError, match=r"mle_iso_i/0\.json"):
        read_results(study_dir).check()


@pytest.mark.parametrize("text", ["study: [", "3", "study: {name: x}", "study: {name: x, datasets: 3}"])
def test_a_damaged_study_file_is_named(study_dir, text):
    write(study_dir / "study.yaml", text)
    with pytest.raises(UserError, match=r"study\.yaml"):
        read_results(study_dir)


def test_a_damaged_history_is_named(study_dir):
    write(study_dir / "history" / "mnist" / "mle_iso_i" / "0.csv", "step,loss\n1,2\n")
    with pytest.raises(UserError, match="epoch"):
        read_results(study_dir).check()


def test_a_study_file_of_an_older_schema_is_read(study_dir):
    source = study_dir / "study.yaml"
    write(source, source.read_text("utf-8") + "dropped: {key: 1}\n")
    assert read_results(study_dir).study.methods == list(METHODS)


def test_each_file_is_read_once(study_dir, monkeypatch):
    from vaebench.report import results as module

    read = []
    monkeypatch.setattr(module, "read_json", lambda path: read.append(path) or json.loads(path.read_text()))
    results = read_results(study_dir).check()
    write_tables(results)
    judge(results)
    assert len(read) == len(set(read)) == 6 + 12


def test_flatten_passes_over_what_is_no_number():
    nested = {"a": {"b": 1, "c": [1, 2], "d": "x", "e": True, "f": None, "g": math.nan}, "h": 2.5}
    assert dict(flatten(nested)) == {"a.b": 1.0, "h": 2.5}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((4.4, 0.031), "4.40 ± 0.03"),
        ((-2113.8,), "−2113.8"),
        ((0.72, 0.012), "0.720 ± 0.012"),
        ((6.31e-5,), "6.31e-05"),
        ((0.0,), "0.00"),
        ((math.nan,), "–"),
    ],
)
def test_numbers_as_text(arguments, expected):
    assert number(*arguments) == expected


def test_descriptions():
    assert describe("fid.gmm100").label == "FID GMM-100"
    assert describe("fid.gmm100").better == "lower"
    assert describe("disentanglement.pca_mig").better == "higher"
    assert describe("disentanglement.angles.shape-scale").better == ""
    assert describe("disentanglement.angles.shape-scale").label == "shape-scale"
    assert describe("latent.entropy_normal").better == ""
    assert describe("something.new").group == "other"
    paths = ["fid.gmm100", "fid.gmm10", "mse", "fid.prior", "fid.recon"]
    assert sorted(paths, key=sort_key) == ["mse", "fid.recon", "fid.prior", "fid.gmm10", "fid.gmm100"]


def test_spec_text():
    assert (
        spec_text({"name": "gaussian", "variance": "mle", "epsilon": 1e-3})
        == "gaussian · mle · epsilon 0.001"
    )
    assert spec_text(None) == "none"


def test_best_answers_one_question_at_a_time_and_keeps_n(study_dir):
    text = best_rows(read_results(study_dir), n=2)
    reconstruction = text[text.index("reconstruction") :].splitlines()
    assert [line.split("  ")[0] for line in reconstruction[2:4]] == ["WAE-MMD", "MLE Iso-I"]
    assert reconstruction[4] == ""
    assert "4.55 ± 0.07" in reconstruction[3]
    likelihood = text[text.index("likelihood") :].splitlines()
    assert [line.split("  ")[0] for line in likelihood[2:4]] == ["MLE Iso-I", "VAE, σx² = 1"]
    assert "° the best of one seed" in text


def test_a_method_without_a_prior_is_apart_in_generation(tmp_path):
    def metrics(dataset, method, seed):
        distances = {"prior": 20.0, "gmm10": 10.0} if method != "wae_mmd" else {"gmm10": 1.0}
        return {"mse": 4.0, "fid": distances}

    folder = write_study(tmp_path, diverged=(), images=False, metrics=metrics)
    generation = next(a for a in answers(read_results(folder), "mnist") if a.question == "generation")
    assert [method for method, _ in generation.ranking] == ["vae_gaussian", "mle_iso_i"]
    assert generation.apart == {"wae_mmd": ["fid.prior"]}


def test_best_of_broken_methods_alone_says_so(tmp_path):
    folder = write_study(tmp_path, diverged=(), images=False, metrics=lambda *_: {"mse": 1.0, "kl": 0.0})
    text = best_rows(read_results(folder))
    assert "reconstruction: no sound method to rank" in text
    assert text.count("collapsed") == len(METHODS)


def test_best_rows_before_any_evaluation(tmp_path):
    folder = write_study(tmp_path, diverged=(), images=False, metrics=lambda *_: None)
    assert "nothing evaluated yet" in best_rows(read_results(folder))


def test_table_7_has_scores_and_no_angles(tmp_path):
    methods = {name: (name, {"name": "gaussian"}, {"name": "kl"}) for name in ("vae", "avae")}
    scores = {"mig": 0.1, "pca_mig": 0.2, "angles": {"shape-scale": 80.0}}
    numbers = {"mse": 3.0, "disentanglement": scores}
    folder = write_study(
        tmp_path,
        paper="avae2024",
        datasets=("sprites",),
        methods=methods,
        diverged=(),
        images=False,
        metrics=lambda *_: numbers,
    )
    study = read_results(folder)
    table = next(t for t in shaped_tables(study) if t.name == "avae2024_table7")
    assert [label for _, label in table.columns] == ["MSE", "MIG"]
    assert {label: cells[1].mean for label, cells in table.rows} == {
        "vae": 0.2,
        "vae (axes)": 0.1,
        "avae": 0.2,
        "avae (axes)": 0.1,
    }


def test_a_metric_of_ones_own_says_how_it_is_read():
    @describes({"gap.own": Described("own gap", better="lower", group="latent", unit="nats", help="A gap.")})
    def metric(run):
        return {"gap": {"own": 1.0}}

    assert describe("gap.own").better == ""
    with METRICS.adding("own", metric):
        found = describe("gap.own")
    assert (found.label, found.better, found.group, found.help) == (
        "own gap [nats]",
        "lower",
        "latent",
        "A gap.",
    )


def test_a_study_of_which_no_training_survived_has_rows_that_say_so(tmp_path):
    from vaebench.report.tables import all_tables, markdown
    from vaebench.report.terminal import best_rows

    folder = write_study(tmp_path, seeds=(0, 1), images=False)
    for path in folder.glob("metrics/*/*/*.json"):
        path.write_text('{"diverged_at_epoch": 3}', encoding="utf-8")
    results = read_results(folder)
    (table,) = all_tables(results)
    lines = markdown(table).splitlines()
    for method in results.study.methods:
        (line,) = [line for line in lines if results.label(method) in line]
        assert "diverged" in line
    assert "no method is left to rank" in best_rows(results)
    assert "nothing evaluated yet" not in best_rows(results)
