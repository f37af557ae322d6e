"""Fit one density to the latents of one trained model."""

from vaebench.base.files import write_folder
from vaebench.densities import DENSITIES
from vaebench.densities.base import NoDensity
from vaebench.densities.saved import load_latents
from vaebench.densities.store import save_absent
from vaebench.study.params import load_params
from vaebench.study.paths import density_dir, model_dir
from vaebench.study.stage import run_stage


def main(dataset: str, method: str, seed: int, density: str):
    """Fit one density of one cell of the active study."""
    params = load_params(specs=("densities",))
    params.check_defined(dataset=dataset, method=method, density=density)
    cell = params.study.name, dataset, method, seed
    out = density_dir(*cell, density)
    latents = load_latents(model_dir(*cell) / "latents.npz")
    spec = params.densities[density]
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
    run_stage(main, "dataset", "method", "seed", "density")
