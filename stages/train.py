"""Train one method on one data set with one seed."""

import time

import numpy as np
import torch

from vaebench.base.checkpoint import Checkpoints
from vaebench.base.device import describe_device, select_device
from vaebench.base.files import write_folder, write_json
from vaebench.base.progress import EpochProgress
from vaebench.cpu.processor import flush_subnormal
from vaebench.data.store import Prepared
from vaebench.densities.saved import save_latents
from vaebench.model.vae import ModelSpec, save_model
from vaebench.study import paths
from vaebench.study.params import SPECS
from vaebench.study.provenance import describe, digest
from vaebench.study.stage import Task, run_stage
from vaebench.tracking.follow import tracked
from vaebench.training import are_finite, encode_data, train
from vaebench.training.history import live_history, write_history


def main(task: Task):
    """Train one cell of the active study."""
    flush_subnormal()
    params, cell = task.params, task.names
    _, dataset, method, seed = cell
    data = Prepared.open(paths.prepared_dir(*cell[:2]))
    device = select_device(data.shape)
    point, settings = params.methods[method], params.training_of(method)

    spec = ModelSpec(
        image_shape=data.shape,
        value_range=data.value_range,
        train_size=len(data.split("train")),
        network=params.datasets[dataset].network,
        likelihood=point.likelihood,
        regularizer=point.regularizer,
        posterior=point.posterior,
    )
    torch.manual_seed(seed)
    model = spec.build()

    key = digest([task.inputs, seed, data.meta, torch.__version__, device.type])
    folder, name = paths.checkpoint_dir(*cell), f"{point.label} · {dataset} · {seed}"
    out, history = paths.model_dir(*cell), paths.history_csv(*cell)
    with (
        Checkpoints(folder, key, settings.checkpoint_seconds) as checkpoints,
        tracked(*cell),
        EpochProgress(name, settings.epochs, live_history(history)) as progress,
    ):
        outcome = train(
            model,
            data,
            settings,
            seed=seed,
            device=device,
            checkpoints=checkpoints,
            on_epoch=progress,
            on_step=progress.within,
            say=progress.say,
        )
        latents, diverged_at = encode_data(model, data, device), outcome.diverged_at_epoch
        if diverged_at is None and not are_finite(latents):
            diverged_at = len(outcome.history)
        if diverged_at is not None:
            latents = {"diverged": np.array(diverged_at)}
        with write_folder(out) as partial:
            save_model(partial, model)
            save_latents(partial / "latents.npz", latents)
        write_history(history, outcome.history)

        provenance = paths.provenance_json("train", *cell)
        seconds = {"stage": time.perf_counter() - task.began, "epochs": sum(outcome.seconds)}
        if outcome.seconds:
            seconds["epoch_median"] = sorted(outcome.seconds)[len(outcome.seconds) // 2]
        made = describe(task, data=data.meta, device=describe_device(device), seconds=seconds)
        batches = (spec.train_size - model.regularizer.held_out) // settings.batch_size
        steps = {"steps": len(outcome.history) * batches}
        write_json(provenance, made | outcome.precision.record() | steps)
        task.check()
        checkpoints.discard()
    return [out, history, provenance]


if __name__ == "__main__":
    run_stage(main, "dataset", "method", "seed", specs=SPECS)
