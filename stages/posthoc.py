"""Fit one density to the latents of one trained model."""

import hashlib
from inspect import signature

from vaebench.base.checkpoint import Checkpoints
from vaebench.base.files import write_folder
from vaebench.base.progress import EpochProgress
from vaebench.densities import DENSITIES
from vaebench.densities.base import NoDensity
from vaebench.densities.saved import load_latents
from vaebench.densities.store import save_absent
from vaebench.study.paths import checkpoint_dir, density_dir, model_dir
from vaebench.study.provenance import digest
from vaebench.study.stage import Task, run_stage


def main(task: Task):
    """Fit one density of one cell of the active study."""
    study, dataset, method, seed, density = task.names
    out = density_dir(study, dataset, method, seed, density)
    latents = load_latents(model_dir(study, dataset, method, seed) / "latents.npz")
    spec = task.params.densities[density]
    model, reason = DENSITIES.build(spec), ""
    if "diverged" in latents:
        reason = "the training diverged"
    else:
        try:
            _fit(model, latents, task)
        except NoDensity as absent:
            reason = str(absent)
            print(f"posthoc: no density: {reason}")
    with write_folder(out) as partial:
        if reason:
            save_absent(partial, spec["name"], reason)
        else:
            model.save(partial)
    return [out]


def _fit(model, latents, task: Task) -> None:
    """Fit, and go on where an interrupted fit stopped, if the density can."""
    _, dataset, method, seed, density = task.names
    if "checkpoints" not in signature(model.fit).parameters:
        model.fit(latents, seed)
        return
    import torch

    from vaebench.cpu.processor import flush_subnormal

    flush_subnormal()
    content = {name: hashlib.sha256(array.tobytes()).hexdigest() for name, array in latents.items()}
    every = task.params.training_of(method).checkpoint_seconds
    key = digest([task.inputs, seed, content, torch.__version__])
    name = f"{density} of {method} · {dataset} · {seed}"
    with (
        Checkpoints(checkpoint_dir(*task.names), key, every) as checkpoints,
        EpochProgress(name, model.epochs, lambda history: None) as progress,
    ):
        model.fit(latents, seed, checkpoints=checkpoints, progress=progress)
        checkpoints.discard()


if __name__ == "__main__":
    run_stage(main, "dataset", "method", "seed", "density", specs=("densities",))
