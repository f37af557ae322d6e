"""The engine: one loop that trains every method."""

from vaebench.training.encode import are_finite, encode_data
from vaebench.training.loop import Outcome, train

__all__ = ["Outcome", "are_finite", "encode_data", "train"]
