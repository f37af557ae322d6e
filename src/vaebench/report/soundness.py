"""Check that a model can be ranked: a broken one is flagged with its reason, and is never best.

A decoder that ignores z, or a variance that has shrunk onto a few pixels, can lead in NLL or in the entropy
of whitened encodings. Each rule compares a number with one that means something by itself:

=================  ======================================================================================
diverged           training lost its finite numbers
collapsed          KL(q(z|x) ‖ p(z)) below 0.1 nats, no active unit, local smoothness of the decoder below
                   0.01, or less than a twentieth of the images' variance reconstructed
warm start         no step was trained after the likelihood's warm start
far off            Fréchet distance of reconstructions over 5 times the median of the methods, three or
                   more, that say no more about an image by their KL; or over 100 times that of all others
=================  ======================================================================================

The last rule compares at the same rate or less because a fixed σx² = 1 blurs by its objective:
with a KL of 7 nats a distance of 45 is what it asks for, with 80 nats it is not. A row from outside that was
measured otherwise than the study is now is flagged, too: its numbers may be sound but do not compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vaebench.data import training_images
from vaebench.report.describe import across_networks
from vaebench.report.entries import number
from vaebench.report.outside import measured_otherwise
from vaebench.report.results import DIVERGED, Cell, Results, flatten

__all__ = ["Flag", "flag_cell", "flag_methods", "flag_run", "warm_start_doubt"]

LEAST_KL = 0.1
LEAST_SMOOTHNESS = 0.01
LEAST_EXPLAINED = 0.05
SAME_RATE, OF_ALL = 5.0, 100.0
PEERS = 3


@dataclass(frozen=True)
class Flag:
    """Reason in a word why a model is not ranked, and in full."""

    kind: Literal["diverged", "collapsed", "warm start", "far off", "measured otherwise"]
    reason: str


def flag_run(metrics: dict, *, warmup_steps: int = 0, steps: int | None = None) -> Flag | None:
    """The flag of one run by itself.

    Args:
        metrics: of the run, nested as *evaluate* writes them.
        warmup_steps: of its likelihood.
        steps: that it was trained; None where that is not recorded.

    >>> flag_run({"mse": 4.7, "kl": 0.0004}).reason
    'collapsed: KL of 4.00e-04 nats, so the encodings say nothing of the image'
    """
    if DIVERGED in metrics:
        return Flag("diverged", f"diverged at epoch {metrics[DIVERGED]}")
    if steps is not None and warmup_steps >= steps > 0:
        return Flag("warm start", f"never left its warm start: {warmup_steps} of {steps} steps")
    values = dict(flatten(metrics))
    if values.get("kl", np.inf) < LEAST_KL:
        reason = f"KL of {number(values['kl'])} nats, so the encodings say nothing of the image"
    elif values.get("active_units", np.inf) < 1:
        reason = "no latent unit is active"
    elif values.get("smoothness.els", np.inf) < LEAST_SMOOTHNESS:
        reason = f"the decoder does not react to z, local smoothness {number(values['smoothness.els'])}"
    elif values.get("mse", 0.0) > (1 - LEAST_EXPLAINED) * values.get("mse_mean_image", np.inf):
        reason = f"MSE of {number(values['mse'])}, and the mean image's is {number(values['mse_mean_image'])}"
    else:
        return None
    return Flag("collapsed", f"collapsed: {reason}")


def flag_methods(results: Results) -> dict[tuple[str, str], Flag]:
    """The flag of each (data set, method) that has one.

    A method of several seeds is flagged where one of its runs is; as diverged where all of them are.
    """
    flags = {
        row: _otherwise(stages) for row, stages in measured_otherwise(results.params, results.path).items()
    }
    for dataset in results.study.datasets:
        for method in results.study.methods:
            if flag := _of_seeds(results, dataset, method):
                flags.setdefault((dataset, method), flag)
        flags |= _far_reconstructions(results, dataset, flags)
    return flags


def _otherwise(stages: list[str]) -> Flag:
    words = f"measured by other parameters of {', '.join(stages)} than the study has now; add it anew"
    return Flag("measured otherwise", words)


def _of_seeds(results: Results, dataset: str, method: str) -> Flag | None:
    cells = [c for seed in results.study.seeds if (c := Cell(dataset, method, seed)) in results.metrics]
    flags = [flag for cell in cells if (flag := flag_cell(results, cell))]
    broken = [flag for flag in flags if flag.kind != "diverged"]
    if not flags or (not broken and len(flags) < len(cells)):
        return None
    first, share = (broken or flags)[0], len(broken or flags)
    return (
        first if share == len(cells) else Flag(first.kind, f"{first.reason}; {share} of {len(cells)} seeds")
    )


def flag_cell(results: Results, cell: Cell) -> Flag | None:
    """The flag of one run of a study by itself."""
    steps = _steps(results, cell)
    return flag_run(results.metrics[cell], warmup_steps=_warmup(results, cell.method), steps=steps)


def warm_start_doubt(results: Results, dataset: str, method: str) -> str:
    """A sentence where runs had a warm start and it is not known that they left it; otherwise empty."""
    cells = [c for seed in results.study.seeds if (c := Cell(dataset, method, seed)) in results.metrics]
    unknown = [cell for cell in cells if _steps(results, cell) is None]
    if not unknown or not (warmup := _warmup(results, method)):
        return ""
    return (
        f"Not known whether it left its warm start of {warmup} steps: {len(unknown)} of {len(cells)} runs "
        "have no record of how many steps they were trained."
    )


def _warmup(results: Results, method: str) -> int:
    return results.method(method).likelihood.get("warmup_steps", 0)


def _steps(results: Results, cell: Cell) -> int | None:
    """Steps that a run was trained; None where that is not known.

    Of records from before they held it, epochs × batches where the number of images is known.
    """
    record = results.provenance[cell].get("train", {})
    if "steps" in record or cell not in results.histories:
        return record.get("steps")
    images = training_images(results.params.datasets[cell.dataset].source)
    if images is None:
        return None
    regularizer = results.method(cell.method).regularizer
    held_out = regularizer.get("samples", 0) if regularizer["name"] == "kde_kl" else 0
    batches = (images - held_out) // results.params.training_of(cell.method).batch_size
    return len(results.histories[cell]) * batches


def _far_reconstructions(results: Results, dataset: str, flags: Mapping) -> dict[tuple[str, str], Flag]:
    rows = results.runs[(results.runs["dataset"] == dataset) & ~results.runs["diverged"]]
    means = rows.groupby(["metric", "method"])["value"].mean()
    measured = means.index.get_level_values(0)
    metric = next((m for m in measured if across_networks(m) == "fid.recon"), None)
    if metric is None:
        return {}
    distances = {m: d for m, d in means[metric].items() if (dataset, m) not in flags}
    rates = dict(means["kl"]) if "kl" in means.index.get_level_values(0) else {}
    found: dict = {}
    for method, distance in distances.items():
        others = {m: d for m, d in distances.items() if m != method}
        frugal = [d for m, d in others.items() if rates.get(m, np.inf) <= rates.get(method, 0.0)]
        for peers, factor, who in (
            (frugal, SAME_RATE, "methods whose KL is no larger"),
            ([*others.values()], OF_ALL, "the other methods"),
        ):
            if len(peers) >= PEERS and distance > factor * np.median(peers):
                reason = (
                    f"reconstructions far off: Fréchet distance {number(distance)}, "
                    f"{distance / np.median(peers):.0f} times the median of {who}"
                )
                found.setdefault((dataset, method), Flag("far off", reason))
    return found
