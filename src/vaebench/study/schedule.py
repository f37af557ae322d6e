"""Settings of a schedule that would never take effect."""

from __future__ import annotations

from vaebench.base.errors import UserError
from vaebench.base.files import read_json
from vaebench.study.params import Params, Training
from vaebench.study.paths import prepared_dir

__all__ = ["check_schedule", "check_warm_start", "useless_patience"]


def check_schedule(params: Params) -> None:
    """Refuse a study in which a setting cannot take effect, before anything of it runs.

    How many steps a training takes is known of data that are prepared; of others the training says it.

    Raises:
        UserError: a patience that outlasts the training, or a warm start that does.
    """
    for name in params.study.methods:
        training, where = params.training_of(name), f"methods.{name}"
        for setting, patience in useless_patience(training).items():
            raise UserError(
                f"{where}: training.{setting} waits {patience} epochs for a better one, and cannot take "
                f"effect in a training of {training.epochs}. Set it to null, or lower it."
            )
        warm = params.methods[name].likelihood.get("warmup_steps", 0)
        for dataset in params.study.datasets if warm else ():
            images = _training_images(params.study.name, dataset)
            if images is not None:
                steps = images // training.batch_size * training.epochs
                check_warm_start(warm, steps, f"{where} on {dataset}: ")


def check_warm_start(warm: int, steps: int, where: str = "") -> None:
    """Refuse a warm start that is not over before the training is, which would be another method's.

    Args:
        warm: its steps.
        steps: of the training.
        where: for the message.

    Raises:
        UserError: it is as long as the training, or longer.
    """
    if warm >= steps > 0:
        raise UserError(
            f"{where}likelihood.warmup_steps is {warm}, and the training has {steps} steps: the method would "
            "be trained by its warm start's objective alone. Lower warmup_steps, or raise training.epochs."
        )


def useless_patience(training: Training) -> dict[str, int]:
    """The settings that wait for longer than the training lasts, and for how many epochs.

    The first epoch is always the best so far, and what the last one decides comes too late.
    """
    waiting = {
        "plateau": training.plateau.patience if training.plateau else 0,
        "early_stopping": training.early_stopping or 0,
    }
    return {
        name: patience for name, patience in waiting.items() if patience and patience + 1 >= training.epochs
    }


def _training_images(study: str, dataset: str) -> int | None:
    """Images that a training draws its batches from, at most; None where they are not prepared."""
    try:
        first, last = read_json(prepared_dir(study, dataset) / "meta.json")["splits"]["train"]
        return last - first
    except (OSError, ValueError, KeyError, TypeError):
        return None
