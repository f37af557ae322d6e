"""The interface of a feature network; importing one costs nothing, torch is imported where it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from vaebench.data.store import Prepared

__all__ = ["Compares", "FeatureNetwork"]

Compares = Literal["with papers' FID", "across studies", "within a study"]
"""Scope in which distances by a network compare."""


class FeatureNetwork:
    """A network whose features images are compared by.

    A subclass says what it is in class attributes, takes its options as keyword-only arguments, and
    implements :meth:`load`; one that learns from the data set, :meth:`learn`, too.

    Attributes:
        label: of the Fréchet distance, before the kind of images in a table's head: "FID prior".
        unit: of the distance; empty for that of the features squared, which has no name.
        compares: scope in which distances by it compare.
        about: the network in words that go on from "features of".
    """

    label: ClassVar[str]
    unit: ClassVar[str] = ""
    compares: ClassVar[Compares]
    about: ClassVar[str]

    def learn(
        self, data: Prepared, seed: int, device: torch.device, folder: Path, say: Callable[[str], None]
    ) -> dict[str, Any]:
        """Learn from the training images; a frozen network does not.

        Args:
            data: the prepared data set.
            seed: of all random draws.
            device: where to train.
            folder: place for weights, beside ``reference.json``.
            say: called with a line of progress now and then.

        Returns:
            Plain facts for ``reference.json``, which :meth:`load` gets back: the test ``accuracy``, say.
        """
        return {}

    def load(
        self, folder: Path, device: torch.device, learned: Mapping[str, Any]
    ) -> Callable[[Tensor], Tensor] | None:
        """The network in evaluation mode.

        Args:
            folder: where :meth:`learn` wrote.
            device: where it runs.
            learned: return value of :meth:`learn`.

        Returns:
            Images (B, C, H, W) in [0, 1] on ``device`` to features (B, D).

        Raises:
            UserError: its weights cannot be had.
        """
        raise NotImplementedError
