"""Fit one density to the latents of one trained model."""

from vaebench.base.files import write_folder
from vaebench.densities import DENSITIES
from vaebench.densities.base import NoDensity
from vaebench.densities.saved import load_latents
from vaebench.densities.store import save_absent
from vaebench.study.paths import density_dir, model_dir
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
            model.fit(latents, seed)
        except NoDensity as absent:
            reason = str(absent)
            print(f"posthoc: no density: {reason}")
    with write_folder(out) as partial:
        if reason:
            save_absent(partial, spec["name"], reason)
        else:
            model.save(partial)
    return [out]


if __name__ == "__main__":
    run_stage(main, "dataset", "method", "seed", "density", specs=("densities",))
