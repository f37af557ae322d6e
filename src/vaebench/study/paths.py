"""Paths of all results: the one place that knows the folders' names."""

from __future__ import annotations

from pathlib import Path

__all__ = [
    "PACKAGE",
    "checkpoint_dir",
    "density_dir",
    "history_csv",
    "images_dir",
    "metrics_json",
    "model_dir",
    "prepared_dir",
    "provenance_dir",
    "provenance_json",
    "reference_dir",
    "report_dir",
    "resolved_dir",
    "summary_json",
]

PACKAGE = Path(__file__).resolve().parents[1]
"""The folder of this package's source."""


def resolved_dir(study: str) -> Path:
    """*resolve*: the study, and the inputs of each stage of each cell; see :mod:`.resolve`."""
    return Path("data/resolved", study)


def prepared_dir(study: str, dataset: str) -> Path:
    """*prepare*: ``images.npy``, ``labels.npy`` or ``factors.npy``, ``meta.json``."""
    return Path("data/prepared", study, dataset)


def reference_dir(study: str, dataset: str) -> Path:
    """*reference*: the real images' features and statistics, and the network where it learned from them."""
    return Path("data/reference", study, dataset)


def model_dir(study: str, dataset: str, method: str, seed: int) -> Path:
    """*train*: ``model.safetensors``, ``spec.json``, ``latents.npz``."""
    return Path("data/models", study, dataset, method, str(seed))


def density_dir(study: str, dataset: str, method: str, seed: int, density: str = "") -> Path:
    """*posthoc*: one fitted density; without ``density``, the folder of them all."""
    return Path("data/densities", study, dataset, method, str(seed), density)


def report_dir(study: str) -> Path:
    """Files that a study's report is made from; small enough to commit."""
    return Path("reports", study)


def history_csv(study: str, dataset: str, method: str, seed: int) -> Path:
    """*train*: one row per epoch."""
    return report_dir(study) / "history" / dataset / method / f"{seed}.csv"


def metrics_json(study: str, dataset: str, method: str, seed: int) -> Path:
    """*evaluate*: only what the seed determines."""
    return report_dir(study) / "metrics" / dataset / method / f"{seed}.json"


def images_dir(study: str, dataset: str, method: str, seed: int) -> Path:
    """*evaluate*: grids of reconstructions, samples and interpolations, as PNG."""
    return report_dir(study) / "images" / dataset / method / str(seed)


def provenance_json(stage: str, study: str, dataset: str, method: str, seed: int) -> Path:
    """*train* and *evaluate*: provenance, times included; *tabulate* copies it into the report."""
    return provenance_dir(study) / dataset / method / str(seed) / f"{stage}.json"


def provenance_dir(study: str) -> Path:
    """The provenance of all of a study's cells."""
    return Path("data/provenance", study)


def summary_json(study: str) -> Path:
    """*tabulate*: means over seeds, which DVC compares."""
    return report_dir(study) / "summary.json"


def checkpoint_dir(study: str, dataset: str, method: str, seed: int, density: str = "") -> Path:
    """*train*, or a density's *posthoc*, while it runs: outside DVC's outputs, so a killed stage resumes."""
    return Path(".vaebench/checkpoints", study, dataset, method, str(seed), density)
