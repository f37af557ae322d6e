"""Faster training on a CPU; none of it changes what a GPU does."""
