"""A study: its parameters, the paths of its results, the frame of its stages, and provenance."""
