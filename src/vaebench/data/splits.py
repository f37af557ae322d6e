"""Cutting a training file into the rows that train and the rows that validate."""

from __future__ import annotations

from vaebench.base.errors import UserError

__all__ = ["ordered_splits", "training_rows"]


def training_rows(source: str, count: int, validation: int, limit: int | None = None) -> tuple[slice, slice]:
    """The training and the validation rows of ``count`` training images.

    Validation is the last ``validation`` of them whatever the limit, training the first ``limit`` of
    the others (all without a limit).

    Raises:
        UserError: there are not that many.
    """
    left = count - validation
    if left < 1:
        raise UserError(
            f"{source}: validation is {validation}, but there are {count} training images; lower it."
        )
    if limit is not None and limit > left:
        raise UserError(f"{source}: train_limit is {limit}, but {left} training images are left; lower it.")
    return slice(0, left if limit is None else limit), slice(left, count)


def ordered_splits(train: int, validation: int, test: int) -> dict[str, tuple[int, int]]:
    """Row ranges of splits that lie one after another, without ``validation`` where it is empty."""
    splits = {"train": (0, train)}
    if validation:
        splits["validation"] = (train, train + validation)
    return {**splits, "test": (train + validation, train + validation + test)}
