"""A made-up study on disk, in the layout that the stages write."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

METHODS = {
    "vae_gaussian": ("VAE, σx² = 1", {"name": "gaussian", "variance": 1.0}, {"name": "kl"}),
    "mle_iso_i": ("MLE Iso-I", {"name": "gaussian", "variance": "mle"}, {"name": "kl"}),
    "wae_mmd": ("WAE-MMD", {"name": "l2"}, {"name": "mmd", "weight": 10.0}),
}


def write_study(
    reports: Path,
    name: str = "fake",
    title: str = "A made-up study",
    paper: str | None = "takida2022",
    datasets: tuple[str, ...] = ("mnist",),
    methods: dict | None = None,
    seeds: tuple[int, ...] = (0, 1),
    diverged: tuple = (("mnist", "wae_mmd", 1),),
    metrics=None,
    images: bool = True,
    image_side: int = 64,
    epochs: int = 5,
    source: dict | None = None,
) -> Path:
    """Write ``reports/<name>/`` and return it; ``metrics(dataset, method, seed)`` gives a run's numbers."""
    methods = METHODS if methods is None else methods
    metrics = metrics or default_metrics
    source = {"name": "mnist"} if source is None else source
    folder = reports / name
    content = {
        "study": {
            "name": name,
            "title": title,
            "paper": paper,
            "datasets": list(datasets),
            "methods": list(methods),
            "seeds": list(seeds),
            "densities": ["prior", "gmm10"],
        },
        "datasets": {d: {"source": source, "network": {"name": "takida_mnist"}} for d in datasets},
        "methods": {
            m: {"label": label, "likelihood": likelihood, "regularizer": regularizer, "training": {},
                "posterior": {"name": "gaussian"}}
            for m, (label, likelihood, regularizer) in methods.items()
        },
        "densities": {"prior": {"name": "prior"}, "gmm10": {"name": "gmm", "components": 10}},
        "training": {"epochs": max(epochs, 1), "batch_size": 64},
        "evaluation": {"features": "inception", "metrics": [{"name": "mse"}]},
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "study.yaml").write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), "utf-8")
    for dataset in datasets:
        for index, method in enumerate(methods):
            for seed in seeds:
                numbers = metrics(dataset, method, seed)
                if (dataset, method, seed) in diverged:
                    numbers = {"diverged_at_epoch": 2}
                if numbers is None:
                    continue
                write(folder / "metrics" / dataset / method / f"{seed}.json", json.dumps(numbers))
                write(folder / "history" / dataset / method / f"{seed}.csv", history(epochs, index, seed))
                for stage in ("train", "evaluate"):
                    path = folder / "provenance" / dataset / method / str(seed) / f"{stage}.json"
                    write(path, json.dumps(provenance(stage, name, dataset, method, seed, index)))
                if images:
                    write_images(folder / "images" / dataset / method / str(seed), image_side, index + seed)
    return folder


def default_metrics(dataset: str, method: str, seed: int) -> dict:
    place = list(METHODS).index(method)
    numbers = {
        "mse": [20.25, 4.5, 4.3][place] + 0.1 * seed,
        "mse_sampled": [24.0, 4.5, 0.0][place] + 0.1 * seed,
        "kl": [8.0, 30.0, 0.0][place],
        "nll": [736.0, -880.0, 0.0][place],
        "fid": {"prior": [55.0, 22.0, 23.0][place] + seed, "gmm10": [58.0, 12.0, 13.5][place]},
        "latent": {"kl": [1.0, 0.5, 0.2][place], "entropy_capped": [4.0, 5.0, 6.0][place]},
    }
    if method == "wae_mmd":
        del numbers["kl"], numbers["nll"], numbers["mse_sampled"]
    return numbers


def history(epochs: int, index: int, seed: int) -> str:
    rows = ["epoch,loss,reconstruction,regularization,validation_mse,learning_rate"]
    for epoch in range(1, epochs + 1):
        fall = (3 + index + 0.1 * seed) * np.exp(-epoch / 3) + 1
        rows.append(f"{epoch},{10 * fall:.5g},{9 * fall:.5g},{fall:.5g},{5 * fall:.5g},0.001")
    return "\n".join(rows) + "\n"


def provenance(stage: str, study: str, dataset: str, method: str, seed: int, index: int) -> dict:
    return {
        "stage": stage,
        "command": f"python stages/{stage}.py {study} {dataset} {method} {seed}",
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "digests": {"params": "ab" * 32, "data": "cd" * 32, "code": "ef" * 32},
        "device": "cpu (2 cores)",
        "versions": {"torch": "2.15.0", "numpy": "2.4.6"},
        "seconds": {"stage": 61.5 + index, "epochs": 51.0, "epoch_median": 5.1 + index},
    }


def write_images(folder: Path, side: int, seed: int) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for stem in ("reconstructions", "samples-prior", "samples-gmm10", "interpolations"):
        y, x = np.mgrid[0:side, 0:side] / 8
        picture = (
            127 + 90 * np.sin(x + rng.normal()) * np.cos(y + rng.normal()) + rng.normal(0, 25, (side, side))
        )
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(folder / f"{stem}.png")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
