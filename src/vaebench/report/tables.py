"""Tables: means over seeds beside the papers' numbers, as CSV, Markdown and LaTeX.

The difference is ours − paper, the relative difference is taken of |paper|, ranks count from 1 within a
data set in the metric's better direction (ties share the smaller rank), and ± is the sample standard
deviation over seeds (n − 1). Runs that diverged enter no mean. What was not computed is a dash.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vaebench.report.describe import GROUPS, describe, sort_key
from vaebench.report.papers import paper_dataset, paper_method, paper_metric, paper_values, split_sweep
from vaebench.report.study import DIVERGED, Study, collect, read_study

__all__ = [
    "DASH",
    "Cell",
    "Table",
    "all_tables",
    "best_rows",
    "collect",
    "number",
    "shaped_tables",
    "summarise",
    "write_tables",
]

DASH = "–"

SUMMARY = [
    *("dataset", "method", "label", "metric"),
    *("mean", "std", "n", "sound", "diverged"),
    *("paper", "paper_std", "table", "difference", "relative"),
    *("rank", "paper_rank", "mark"),
]


def summarise(study: Study, runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Mean, spread, the paper's value and rank for every (data set, method, metric) of the study.

    A row exists for every method of the study and every metric that either we or the paper have for the
    data set, so that what is missing shows. ``n`` counts the seeds in the mean, ``sound`` and ``diverged``
    the method's runs that did and did not survive training, ``mark`` is ``best``, ``second`` or empty.
    """
    runs = collect(study.path) if runs is None else runs
    sound = runs[~runs["diverged"] & (runs["metric"] != DIVERGED)]
    sound = sound.assign(metric=sound["metric"].map(paper_metric))
    keys = ["dataset", "method", "metric"]
    ours = sound.groupby(keys, sort=False)["value"].agg(mean="mean", std="std", n="count").reset_index()
    printed = _printed(study)
    both = pd.concat([ours[["dataset", "metric"]], printed[["dataset", "metric"]]]).drop_duplicates()
    grid = pd.MultiIndex.from_tuples(
        [
            (dataset, method, metric)
            for dataset in study.datasets
            for method in study.methods
            for metric in sorted(both.loc[both["dataset"] == dataset, "metric"], key=sort_key)
        ],
        names=keys,
    )
    frame = grid.to_frame(index=False).astype(str)
    frame = frame.merge(ours, on=keys, how="left").merge(printed, on=keys, how="left")
    frame["n"] = frame["n"].fillna(0).astype(int)
    cells = pd.MultiIndex.from_frame(frame[["dataset", "method"]])
    for column, chosen in (("sound", ~runs["diverged"]), ("diverged", runs["diverged"])):
        seeds = runs[chosen].groupby(["dataset", "method"])["seed"].nunique()
        frame[column] = seeds.reindex(cells).fillna(0).astype(int).to_numpy()
    frame["label"] = frame["method"].map(study.label)
    frame["difference"] = frame["mean"] - frame["paper"]
    frame["relative"] = frame["difference"] / frame["paper"].abs().replace(0, np.nan)
    frame["rank"] = _ranks(frame, "mean")
    frame["paper_rank"] = _ranks(frame, "paper")
    frame["mark"] = frame["rank"].map({1.0: "best", 2.0: "second"}).fillna("")
    return frame[SUMMARY]


def _printed(study: Study) -> pd.DataFrame:
    paper = paper_values(study.paper)
    columns = ["dataset", "method", "metric", "paper", "paper_std", "table"]
    renamed = paper.drop(columns="paper").rename(columns={"value": "paper", "std": "paper_std"})
    parts = []
    for dataset in study.datasets:
        part = renamed[renamed["dataset"] == paper_dataset(study.paper, dataset)]
        names = {method: paper_method(study.paper, method) for method in study.methods}
        for method, name in names.items():
            parts.append(part[part["method"] == name].assign(dataset=dataset, method=method))
    frame = pd.concat(parts, ignore_index=True) if parts else renamed
    return frame[columns].astype({"paper": float, "paper_std": float})


def _ranks(frame: pd.DataFrame, column: str) -> pd.Series:
    signed = frame[column] * frame["metric"].map(lambda metric: _SIGN[describe(metric).better]).astype(float)
    return signed.groupby([frame["dataset"], frame["metric"]]).rank(method="min")


_SIGN = {"lower": 1.0, "higher": -1.0, "": math.nan}


@dataclass(frozen=True)
class Cell:
    """Our mean of ``n`` seeds, of ``sound`` runs that did not diverge, beside the paper's value."""

    mean: float = math.nan
    std: float = math.nan
    n: int = 0
    sound: int = 0
    diverged: int = 0
    paper: float = math.nan
    paper_std: float = math.nan
    mark: str = ""

    @property
    def ours(self) -> str:
        """Our value, † behind it where some runs diverged; a dash; or ``diverged`` where all did."""
        if self.diverged and not self.sound:
            return "diverged"
        return number(self.mean, self.std) + ("†" if self.diverged and self.n else "")

    @property
    def printed(self) -> str:
        """The paper's value or a dash."""
        return number(self.paper, self.paper_std)


@dataclass(frozen=True)
class Table:
    """A table ready to be written: ``columns`` are (group, label), each row a label and its cells.

    ``legend`` says what cells are where they are not ours beside the paper's.
    """

    name: str
    title: str
    corner: str
    columns: list[tuple[str, str]]
    rows: list[tuple[str, list[Cell]]]
    note: str = ""
    legend: str = ""

    @property
    def spans(self) -> list[tuple[str, int]]:
        """The upper header: each group and how many columns it spans."""
        spans: list[list] = []
        for group, _ in self.columns:
            if spans and spans[-1][0] == group:
                spans[-1][1] += 1
            else:
                spans.append([group, 1])
        return [(group, width) for group, width in spans]


@dataclass(frozen=True)
class Shape:
    """How one table is laid out; ``row`` and ``column`` take a row of the summary."""

    name: str
    title: str
    paper: str | None
    metrics: Callable[[str], bool]
    row: Callable
    column: Callable
    corner: str = "Method"
    where: Callable = lambda r: True
    ranked: str = "column"
    note: str = ""


def _by_method(r) -> str:
    return r.label


def _dataset_and_metric(r) -> tuple[str, str]:
    return r.dataset, describe(r.metric).label


def _starts(*prefixes: str) -> Callable[[str], bool]:
    return lambda metric: metric.startswith(prefixes)


def _among(*metrics: str) -> Callable[[str], bool]:
    return lambda metric: metric in metrics


def _level(method: str) -> str:
    sweep = split_sweep(method)
    return f"{sweep[1]:.1f}" if sweep else method


def _kind(method: str) -> str:
    sweep = split_sweep(method)
    return sweep[0] if sweep else ""


def _same_mse(r) -> bool:
    """Of the two errors, the one that Tables 1 and E.8 print: from z ~ q(z|x) where that is random."""
    return r.metric != ("mse_sampled" if _kind(r.method) == "deterministic" else "mse")


def _criterion(r) -> str:
    return "MSE" if r.metric == "mse_sampled" else describe(r.metric).label


_ON_TRAINING = "The paper's MSE and KL here are on training images. MSE is of x′ decoded from z ~ q(z|x)"
_SMOOTHNESS = _among(
    "mse",
    "mse_sampled",
    "kl",
    *(f"smoothness.{name}" for name in ("sigma_z2", "mi_bound", "gap_1e-2", "gap_1e-3", "els")),
)
_GENERATION = _among("mse", "fid.prior", "fid.second_stage", "fid.gmm10", "fid.gmm100")

_SAHA_FID = {"fid.recon": "REC.", "fid.interp_mid": "INT.", "fid.prior": "N", "fid.gaussian": "N"}

SHAPES = [
    Shape(
        "takida2022_table1",
        "Takida, Table 1: criteria against the decoder's variance",
        "takida2022",
        _SMOOTHNESS,
        row=lambda r: _level(r.method),
        column=lambda r: (f"{_kind(r.method)} encoding", _criterion(r)),
        corner="log₁₀ σx²",
        where=lambda r: _kind(r.method) in ("stochastic", "deterministic") and _same_mse(r),
        ranked="",
        note=f"{_ON_TRAINING}, with deterministic encoding from z = μ(x).",
    ),
    Shape(
        "takida2022_table3",
        "Takida, Table 3: estimated noise variances by partition",
        "takida2022",
        _starts("variance."),
        row=lambda r: r.dataset,
        column=lambda r: (r.label, describe(r.metric).label),
        corner="Noise pattern",
        ranked="",
        note="Where a parameterization cannot tell partitions apart, its one value stands beside each.",
    ),
    Shape(
        "takida2022_table4",
        "Takida, Table 4: reconstruction and generation",
        "takida2022",
        _GENERATION,
        row=_by_method,
        column=_dataset_and_metric,
        where=lambda r: r.dataset in ("mnist", "celeba") and not _kind(r.method),
        note="MSE is of images decoded from the posterior mean.",
    ),
    Shape(
        "takida2022_table5",
        "Takida, Table 5: FID of interpolations",
        "takida2022",
        _among("fid.interp_mid", "fid.interp_random"),
        row=_by_method,
        column=_dataset_and_metric,
    ),
    Shape(
        "takida2022_table6",
        "Takida, Table 6: CelebA-HQ",
        "takida2022",
        _GENERATION,
        row=_by_method,
        column=_dataset_and_metric,
        where=lambda r: r.dataset == "celebahq",
        note="MSE is of images decoded from the posterior mean.",
    ),
    Shape(
        "takida2022_table7",
        "Takida, Table 7: bound on the negative log-likelihood, k = 500, in nats",
        "takida2022",
        _among("nll"),
        row=lambda r: r.dataset,
        column=lambda r: ("", r.label),
        corner="Data set",
        ranked="row",
    ),
    Shape(
        "takida2022_tableE8",
        "Takida, Table E.8: criteria against a fixed posterior variance",
        "takida2022",
        _SMOOTHNESS,
        row=lambda r: _level(r.method),
        column=lambda r: ("", _criterion(r)),
        corner="log₁₀ σz²",
        where=lambda r: _kind(r.method) == "sigma_z" and _same_mse(r),
        ranked="",
        note=f"{_ON_TRAINING}.",
    ),
    Shape(
        "avae2024_table3",
        "Saha, Table III: FID of reconstructions, interpolations and samples",
        "avae2024",
        lambda metric: metric in _SAHA_FID,
        row=_by_method,
        column=lambda r: (r.dataset, _SAHA_FID[r.metric]),
        where=lambda r: r.metric != ("fid.prior" if r.method == "rae" else "fid.gaussian"),
        note="N is each method's own prior; for RAE, which has none, one Gaussian fitted to its latents. "
        "INT. is compared with midpoints, the paper does not say which.",
    ),
    Shape(
        "avae2024_table4",
        "Saha, Table IV: precision and recall",
        "avae2024",
        _starts("prd."),
        row=_by_method,
        column=_dataset_and_metric,
    ),
    Shape(
        "avae2024_table5",
        "Saha, Table V: KL of the aggregate posterior's Gaussian to the prior",
        "avae2024",
        _among("latent.kl_corrected"),
        row=_by_method,
        column=lambda r: ("", r.dataset),
    ),
    Shape(
        "avae2024_table6",
        "Saha, Table VI: entropy of the whitened latents",
        "avae2024",
        _starts("latent.entropy"),
        row=_by_method,
        column=_dataset_and_metric,
        note="The paper's numbers stand beside the capped estimate, the one that the authors' code computes.",
    ),
    Shape(
        "avae2024_table7",
        "Saha, Table VII: disentanglement along estimated directions and along the axes",
        "avae2024",
        lambda metric: metric == "mse" or describe(metric).group == "disentanglement",
        row=lambda r: r.label + (" (axes)" if _on_axes(r.metric) else ""),
        column=lambda r: (r.dataset, describe(r.metric).label.removeprefix("PCA ")),
        where=lambda r: r.dataset not in ("mnist", "mnist32", "celeba", "cifar10"),
        note="FactorVAE scores as shares of 1.",
    ),
]
"""The papers' tables; one is made where its study has at least one of its numbers."""


def _on_axes(metric: str) -> bool:
    return metric in ("disentanglement.factor_vae", "disentanglement.mig")


def shaped_tables(study: Study, summary: pd.DataFrame) -> list[Table]:
    """The tables of the study's paper in the paper's own shape."""
    shapes = [shape for shape in SHAPES if shape.paper == study.paper]
    return [table for table in (_lay_out(shape, summary) for shape in shapes) if table]


def all_tables(study: Study, summary: pd.DataFrame) -> list[Table]:
    """Every table of a study: the paper's, those of its sweep or its crossing, then one a metric group."""
    from vaebench.report.crossing import crossing_tables
    from vaebench.report.sweeps import sweep_tables

    generated = [*sweep_tables(study, summary), *crossing_tables(study, summary)]
    return [*shaped_tables(study, summary), *generated, *group_tables(summary)]


def group_tables(summary: pd.DataFrame) -> list[Table]:
    """One table for each group of metrics that the study measured."""
    measured = set(summary.loc[summary["n"] > 0, "metric"])
    tables = []
    for group, title in GROUPS.items():
        metrics = {metric for metric in measured if describe(metric).group == group}
        shape = Shape(group, title, None, metrics.__contains__, _by_method, _dataset_and_metric)
        table = _lay_out(shape, summary)
        if table:
            tables.append(table)
    return tables


def _lay_out(shape: Shape, summary: pd.DataFrame) -> Table | None:
    chosen = [r for r in summary.itertuples() if shape.metrics(r.metric) and shape.where(r)]
    if not any(r.n for r in chosen):
        return None
    cells: dict[tuple, tuple[Cell, str]] = {}
    rows: dict[str, None] = {}
    columns: dict[tuple[str, str], None] = {}
    for r in chosen:
        row, column = shape.row(r), shape.column(r)
        rows.setdefault(row)
        columns.setdefault(column)
        cell = _cell(r)
        cells[row, column] = (cell, describe(r.metric).better)
    kept = [c for c in columns if any(_says_something(cells.get((r, c))) for r in rows)]
    lines = {"column": [[(r, c) for r in rows] for c in kept], "row": [[(r, c) for c in kept] for r in rows]}
    marks = {}
    for line in lines.get(shape.ranked, []):
        marks.update(_marks({key: cells[key] for key in line if key in cells}))
    body = []
    for row in rows:
        found = [cells.get((row, column), (Cell(), ""))[0] for column in kept]
        marked = [marks.get((row, column), "") for column in kept]
        body.append((row, [Cell(**{**vars(c), "mark": m}) for c, m in zip(found, marked, strict=True)]))
    return Table(shape.name, shape.title, shape.corner, kept, body, shape.note)


def _cell(r) -> Cell:
    return Cell(r.mean, r.std, r.n, r.sound, r.diverged, r.paper, r.paper_std)


def _says_something(entry: tuple[Cell, str] | None) -> bool:
    return entry is not None and bool(entry[0].n or not math.isnan(entry[0].paper))


def _marks(line: dict[tuple, tuple[Cell, str]]) -> dict[tuple, str]:
    values = {key: cell.mean * _SIGN[better] for key, (cell, better) in line.items() if cell.n}
    ranks = pd.Series(list(values.values()), dtype=float).rank(method="min")
    return {key: {1.0: "best", 2.0: "second"}.get(rank, "") for key, rank in zip(values, ranks, strict=True)}


def number(value: float, std: float = math.nan, like: float | None = None) -> str:
    """A value, ± its standard deviation at the same number of decimals; NaN is a dash.

    ``like`` is the number whose size decides the decimals, the value itself by default.

    >>> number(4.4, 0.031), number(6.31e-5), number(-0.05, like=4.4), number(math.nan)
    ('4.40 ± 0.03', '6.31e-05', '−0.05', '–')
    """
    if math.isnan(value):
        return DASH
    form = _form(abs(value if like is None else like))
    text = f"{value:{form}}"
    text = text.replace("-", "−", 1) if text.startswith("-") else text
    return text if math.isnan(std) else f"{text} ± {std:{form}}"


def _form(size: float) -> str:
    if size and not 1e-3 <= size < 1e6:
        return ".2e"
    return f".{1 if size >= 1000 else 2 if size >= 1 or not size else 3 if size >= 0.1 else 4}f"


def write_tables(study_dir: str | Path) -> list[Path]:
    """Write a study's ``tables/``.

    ``metrics.csv`` holds one number of one run a row, ``summary.csv`` the means beside the paper's; each
    table comes as ``.csv``, ``.md`` and ``.tex`` (booktabs).
    """
    study = read_study(study_dir)
    runs = collect(study_dir)
    summary = summarise(study, runs)
    folder = study.path / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.iterdir():
        if stale.suffix in (".csv", ".md", ".tex"):
            stale.unlink()
    paths = [folder / "metrics.csv", folder / "summary.csv"]
    runs.to_csv(paths[0], index=False)
    summary.to_csv(paths[1], index=False)
    for table in all_tables(study, summary):
        for suffix, render in (("csv", _csv), ("md", _markdown), ("tex", _latex)):
            path = folder / f"{table.name}.{suffix}"
            path.write_text(render(table), encoding="utf-8")
            paths.append(path)
    return paths


def _csv(table: Table) -> str:
    header, rows = [table.corner], []
    for group, label in table.columns:
        name = " · ".join(filter(None, (group, label)))
        header += [name, f"{name} std", f"{name} seeds", f"{name} paper"]
    for label, cells in table.rows:
        row: list = [label]
        for cell in cells:
            row += [cell.ours if cell.ours == "diverged" else cell.mean, cell.std, cell.n, cell.paper]
        rows.append(row)
    return pd.DataFrame(rows, columns=header).to_csv(index=False)


def _markdown(table: Table) -> str:
    def shown(cell: Cell) -> str:
        ours = {"best": "**{}**", "second": "<ins>{}</ins>"}.get(cell.mark, "{}").format(cell.ours)
        return ours if math.isnan(cell.paper) else f"{ours} ({cell.printed})"

    names = [table.corner, *(" ".join(filter(None, column)) for column in table.columns)]
    lines = [
        f"**{_md(table.title)}**",
        "",
        _md_row(map(_md, names)),
        _md_row(["---", *["---:"] * len(table.columns)]),
    ]
    lines += [_md_row([_md(label), *map(shown, cells)]) for label, cells in table.rows]
    return "\n".join([*lines, "", _legend(table)]) + "\n"


def _legend(table: Table) -> str:
    legend = table.legend or (
        "Ours, mean ± standard deviation over seeds; in brackets the paper's. Best bold, second underlined."
    )
    if any(cell.ours.endswith("†") for _, cells in table.rows for cell in cells):
        legend += " † Some of its runs diverged and are not in the mean."
    return f"{legend} {table.note}".strip()


def _md(text: str) -> str:
    for mark in ("\\", "|", "*", "_", "`", "<", "[", "]"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _md_row(cells) -> str:
    return "| " + " | ".join(cells) + " |"


def _latex(table: Table) -> str:
    def shown(cell: Cell) -> str:
        ours = _tex(cell.ours)
        ours = {"best": f"\\textbf{{{ours}}}", "second": f"\\underline{{{ours}}}"}.get(cell.mark, ours)
        return ours if math.isnan(cell.paper) else f"{ours} ({_tex(cell.printed)})"

    lines = ["% \\usepackage{booktabs}", "\\begin{table}", "\\centering", f"\\caption{{{_tex(table.title)}}}"]
    lines += [f"\\begin{{tabular}}{{l{'r' * len(table.columns)}}}", "\\toprule"]
    if any(group for group, _ in table.columns):
        groups = [f"\\multicolumn{{{width}}}{{c}}{{{_tex(group)}}}" for group, width in table.spans]
        lines.append(" & ".join(["", *groups]) + r" \\")
        start, rules = 2, []
        for _, width in table.spans:
            rules.append(f"\\cmidrule(lr){{{start}-{start + width - 1}}}")
            start += width
        lines.append("".join(rules))
    lines.append(" & ".join(map(_tex, [table.corner, *(label for _, label in table.columns)])) + r" \\")
    lines.append("\\midrule")
    lines += [" & ".join([_tex(label), *map(shown, cells)]) + r" \\" for label, cells in table.rows]
    lines += [
        "\\bottomrule",
        "\\end{tabular}",
        f"\\par\\smallskip\\footnotesize {_tex(_legend(table))}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


_TEX = {
    "\\": r"\textbackslash{}",
    **{mark: rf"\{mark}" for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "σ̂²": r"$\hat{\sigma}^2$",
    "σx²": r"$\sigma_x^2$",
    "σz²": r"$\sigma_z^2$",
    "σ": r"$\sigma$",
    "Σ": r"$\Sigma$",
    "β": r"$\beta$",
    "ε": r"$\varepsilon$",
    "²": r"$^2$",
    "₁₀": r"$_{10}$",
    "‖": r"$\|$",
    "±": r"$\pm$",
    "†": r"$^\dagger$",
    "×": r"$\times$",
    "−": r"$-$",
    "–": "--",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
_TEX_PATTERN = re.compile("|".join(re.escape(key) for key in sorted(_TEX, key=len, reverse=True)))


def _tex(text: str) -> str:
    return _TEX_PATTERN.sub(lambda match: _TEX[match.group()], " ".join(text.split()))


def best_rows(study_dir: str | Path, n: int = 5) -> str:
    """The ``n`` best methods of each data set by their mean rank over all ranked metrics, as plain text.

    A column for each of the first six ranked metrics; a method whose every run diverged comes last.
    """
    study = read_study(study_dir)
    summary = summarise(study)
    lines = [f"{study.name}: {study.title}" if study.title != study.name else study.name]
    for dataset in study.datasets:
        part = summary[summary["dataset"] == dataset]
        ranked = part[part["rank"].notna()]
        if ranked.empty:
            lines += ["", f"{dataset}: nothing evaluated yet"]
            continue
        metrics = list(dict.fromkeys(ranked["metric"]))[:6]
        order = ranked.groupby("method")["rank"].mean().sort_values(kind="stable")
        diverged = part[(part["sound"] == 0) & (part["diverged"] > 0)]["method"].unique()
        methods = [*order.index, *(m for m in diverged if m not in order.index)][:n]
        cells = {(r.method, r.metric): _cell(r).ours for r in part.itertuples()}
        header = [dataset, "mean rank", *(describe(metric).label for metric in metrics)]
        body = [
            [study.label(m), number(order.get(m, math.nan)), *(cells.get((m, k), DASH) for k in metrics)]
            for m in methods
        ]
        widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
        lines.append("")
        for row in [header, ["-" * width for width in widths], *body]:
            first, *rest = (
                text.ljust(width) if i == 0 else text.rjust(width)
                for i, (text, width) in enumerate(zip(row, widths, strict=True))
            )
            lines.append("  ".join([first, *rest]).rstrip())
    return "\n".join(lines)
