"""Measure one trained model and every density fitted to its latents."""

import time

from vaebench.base.device import describe_device, select_device
from vaebench.base.files import file_digest, write_folder, write_json
from vaebench.data.store import Prepared
from vaebench.measure.pictures import write_pictures
from vaebench.measure.run import Run, evaluate
from vaebench.study import paths
from vaebench.study.params import SPECS
from vaebench.study.provenance import describe
from vaebench.study.stage import Task, run_stage
from vaebench.tracking.follow import tracked


def main(task: Task):
    """Evaluate one cell of the active study."""
    params, cell = task.params, task.names
    folder, prepared = paths.model_dir(*cell), paths.prepared_dir(*cell[:2])
    densities = {name: paths.density_dir(*cell) / name for name in params.study.densities}
    metrics, images = paths.metrics_json(*cell), paths.images_dir(*cell)
    provenance = paths.provenance_json("evaluate", *cell)
    data = Prepared.open(prepared)
    device = select_device(data.shape)

    with tracked(*cell):
        run = Run.open(
            prepared=prepared,
            model=folder,
            densities=densities,
            reference=paths.reference_dir(*cell[:2]),
            seed=task.cell["seed"],
            samples=params.evaluation.samples,
            batch_size=params.evaluation.batch_size,
            device=device,
        )
        result = evaluate(run, params.evaluation.metrics, say=lambda line: print(line, flush=True))
        print("drawing pictures", flush=True)
        with write_folder(images) as partial, run.clock.part("pictures"):
            write_pictures(run, params.evaluation.metrics, partial)
        write_json(metrics, result)
        seconds = {"stage": time.perf_counter() - task.began, **run.clock.seconds}
        made = describe(
            task,
            data=data.meta,
            device=describe_device(device),
            seconds=seconds,
            arrays=data.digests,
        )
        write_json(provenance, made | {"model_sha256": file_digest(folder / "model.safetensors")})
    return [metrics, images, provenance]


if __name__ == "__main__":
    run_stage(main, "dataset", "method", "seed", specs=SPECS)
