"""A study: its parameters, the paths of its results, what a stage does around its work, and provenance."""
