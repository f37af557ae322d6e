"""The engine: one loop that trains every method."""

from vaebench.training.checkpoint import Checkpoints
from vaebench.training.encode import are_finite, encode_data
from vaebench.training.loop import Outcome, train

__all__ = ["Checkpoints", "Outcome", "are_finite", "encode_data", "train"]
