"""Tables I and II of Saha et al. next to our own values, as text, and as numbers for the paper's claims."""

from __future__ import annotations

import math

import pandas as pd

from vaebench.base.terminal import columns
from vaebench.report.claims.comparison import Key
from vaebench.report.papers import bandwidths
from vaebench.report.statistics import Sample

__all__ = ["bandwidth_numbers", "bandwidth_text"]


def bandwidth_numbers(rows: list[dict], draws: int) -> dict[Key, Sample]:
    """Ours by the paper's names: means over draws, that of h = h_opt/√(1 + h_opt²) by the delta method.

    Args:
        rows: of :func:`vaebench.model.kde.bandwidth_table`.
        draws: behind each.
    """
    found: dict[Key, Sample] = {}
    for row in rows:
        method, std = f"l{row['latent_dim']}_m{row['samples']}", row["error"] * math.sqrt(draws)
        slope = (1 + row["h_opt"] ** 2) ** -1.5
        found["prior", method, "h_opt"] = Sample(row["h_opt"], std, draws)
        found["prior", method, "h_corrected"] = Sample(row["h_corrected"], slope * std, draws)
    return found


def bandwidth_text(rows: list[dict]) -> str:
    """Both tables, ours and in brackets the paper's, and their agreement.

    Args:
        rows: of :func:`vaebench.model.kde.bandwidth_table`.

    Returns:
        A number agrees where both round to the same two digits. What does not is listed with how far our
        estimate lies from the paper's rounding interval, next to our standard error: the paper's numbers
        are estimates of the same kind, and it does not state theirs.
    """
    ours = pd.DataFrame(rows).set_index(["latent_dim", "samples"])
    paper = bandwidths().set_index(["latent_dim", "kde_samples"])
    dims, counts = (list(dict.fromkeys(ours.index.get_level_values(i))) for i in (0, 1))
    lines = ["Saha et al.: ours (the paper's); l latent dimensions, m KDE samples"]
    for title, column in (("Table I: h_opt", "h_opt"), ("Table II: h", "h_corrected")):
        body = [["l", *(f"m = {count}" for count in counts)]]
        apart, printed = [], 0
        for dim in dims:
            body.append([str(dim)])
            for count in counts:
                value = ours.loc[(dim, count), column]
                known = paper[column].get((dim, count), math.nan) if (dim, count) in paper.index else None
                body[-1].append(f"{value:.2f} ({_printed(known)})")
                if known is None or math.isnan(known):
                    continue
                printed += 1
                if f"{value:.2f}" != f"{known:.2f}":
                    apart.append((dim, count, value, ours.loc[(dim, count), "error"], known))
        lines += ["", title, *columns(body, numbers=True)]
        lines.append(f"{printed - len(apart)} of the paper's {printed} numbers agree in both digits.")
        for dim, count, value, error, known in apart:
            beyond = abs(value - known) - 0.005
            lines.append(
                f"  l = {dim}, m = {count}: {value:.4f}, {beyond:.4f} outside what rounds to {known:.2f}; "
                f"h_opt's standard error is {error:.4f}"
            )
    return "\n".join(lines)


def _printed(known: float | None) -> str:
    if known is None:
        return "–"
    return "> 1.0" if math.isnan(known) else f"{known:.2f}"
