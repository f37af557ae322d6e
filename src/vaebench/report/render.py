"""A table as tidy CSV, as Markdown and as LaTeX (booktabs)."""

from __future__ import annotations

import math
import re

import pandas as pd

from vaebench.report.entries import Entry, Table, interval_words

__all__ = ["csv", "latex", "markdown"]


def csv(table: Table) -> str:
    """Five columns for each of the table's: our mean, its std, seeds and error over images, the paper's."""
    header, rows = [table.corner], []
    for group, label in table.columns:
        name = " · ".join(filter(None, (group, label)))
        header += [name, f"{name} std", f"{name} seeds", f"{name} se", f"{name} paper"]
    for label, cells in table.rows:
        row: list = [label]
        for cell in cells:
            row += [
                cell.ours if cell.ours == "diverged" else cell.mean,
                cell.std,
                cell.n,
                cell.se,
                cell.paper,
            ]
        rows.append(row)
    return pd.DataFrame(rows, columns=header).to_csv(index=False)


def markdown(table: Table) -> str:
    """The paper's values in brackets, bold what may be the best, and a legend that says so."""

    def shown(cell: Entry) -> str:
        ours = f"**{cell.ours}**" if cell.mark == "best" else cell.ours
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
    entries = [entry for _, row in table.rows for entry in row]
    legend = table.legend or (
        "Ours, mean ± standard deviation over seeds; in brackets the paper's. Bold: not distinguishable from "
        "the best (Welch's test of every pair, Holm's correction, 5 %)."
    )
    if not table.legend and (interval := interval_words(entry.n for entry in entries)):
        legend += f" {interval}"
    if not table.legend and any(entry.n == 1 for entry in entries):
        legend += " Of one seed, ± is the standard error over test images, where it was measured."
    if any(entry.mark == "single" for entry in entries):
        legend += " ° The best of one seed each, which decides nothing."
    if any("†" in entry.ours for entry in entries):
        legend += " † Some of its runs diverged and are not in the mean."
    flags = dict.fromkeys(cell.flag for _, cells in table.rows for cell in cells if cell.flag and cell.n)
    if flags:
        legend += f" ‡ Not ranked. {'. '.join(flags)}."
    return f"{legend} {table.note}".strip()


def _md(text: str) -> str:
    for mark in ("\\", "|", "*", "_", "`", "<", "[", "]"):
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.split())


def _md_row(cells) -> str:
    return "| " + " | ".join(cells) + " |"


def latex(table: Table) -> str:
    """A ``table`` environment with the same content as the Markdown."""

    def shown(cell: Entry) -> str:
        ours = _tex(cell.ours)
        ours = f"\\textbf{{{ours}}}" if cell.mark == "best" else ours
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
    "‡": r"$^\ddagger$",
    "°": r"$^\circ$",
    "×": r"$\times$",
    "−": r"$-$",
    "–": "--",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
_TEX_PATTERN = re.compile("|".join(re.escape(key) for key in sorted(_TEX, key=len, reverse=True)))


def _tex(text: str) -> str:
    return _TEX_PATTERN.sub(lambda match: _TEX[match.group()], " ".join(text.split()))
