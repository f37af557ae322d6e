"""Train one method on one data set with one seed."""

import statistics
import time
from pathlib import Path

import numpy as np
import torch

from vaebench.base.checkpoint import Checkpoints
from vaebench.base.device import describe_device, select_device
from vaebench.base.files import write_folder, write_json
from vaebench.base.progress import EpochProgress
from vaebench.cpu.processor import flush_subnormal
from vaebench.data.store import Prepared
from vaebench.densities.saved import save_latents
from vaebench.model.vae import VAE, ModelSpec, save_model
from vaebench.study import paths
from vaebench.study.params import SPECS
from vaebench.study.provenance import describe, digest
from vaebench.study.stage import Task, run_stage
from vaebench.tracking.follow import tracked
from vaebench.training import Outcome, are_finite, encode_data, train
from vaebench.training.history import live_history, write_history


def main(task: Task):
    """Train one cell of the active study."""
    flush_subnormal()
    params, cell = task.params, task.names
    _, dataset, method, seed = cell
    data = Prepared.open(paths.prepared_dir(*cell[:2]))
    device, settings = select_device(data.shape), params.training_of(method)
    torch.manual_seed(seed)
    model = ModelSpec(
        image_shape=data.shape,
        value_range=data.value_range,
        train_size=len(data.split("train")),
        **params.axes(dataset, method),
    ).build()

    key = digest([task.inputs, seed, data.meta, torch.__version__, device.type])
    folder, name = paths.checkpoint_dir(*cell), f"{params.methods[method].label} · {dataset} · {seed}"
    with (
        Checkpoints(folder, key, settings.checkpoint_seconds) as checkpoints,
        tracked(*cell),
        EpochProgress(name, settings.epochs, live_history(paths.history_csv(*cell))) as progress,
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
        written = _write(task, model, data, device, outcome)
        task.check()
        checkpoints.discard()
    return written


def _write(task: Task, model: VAE, data: Prepared, device: torch.device, outcome: Outcome) -> list[Path]:
    """Write the model with its latents, the history and the provenance."""
    folder, history = paths.model_dir(*task.names), paths.history_csv(*task.names)
    latents, diverged_at = encode_data(model, data, device), outcome.diverged_at_epoch
    if diverged_at is None and not are_finite(latents):
        diverged_at = len(outcome.history)
    if diverged_at is not None:
        latents = {"diverged": np.array(diverged_at)}
    with write_folder(folder) as partial:
        save_model(partial, model)
        save_latents(partial / "latents.npz", latents)
    write_history(history, outcome.history)

    provenance = paths.provenance_json("train", *task.names)
    seconds = {"stage": time.perf_counter() - task.began, "epochs": sum(outcome.seconds)}
    if outcome.seconds:
        seconds["epoch_median"] = statistics.median_high(outcome.seconds)
    made = describe(task, data=data.meta, device=describe_device(device), seconds=seconds)
    batch_size = task.params.training_of(task.cell["method"]).batch_size
    batches = (model.spec.train_size - model.regularizer.held_out) // batch_size
    steps = {"steps": len(outcome.history) * batches}
    write_json(provenance, made | outcome.precision.record() | steps)
    return [folder, history, provenance]


if __name__ == "__main__":
    run_stage(main, "dataset", "method", "seed", specs=SPECS)
