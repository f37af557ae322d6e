"""The engine: one loop that trains every method."""

from vaebench.training.checkpoint import Checkpoints
from vaebench.training.encode import encode_data
from vaebench.training.loop import Outcome, train

__all__ = ["Checkpoints", "Outcome", "encode_data", "train"]
