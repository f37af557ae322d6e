"""A study's stages in parallel, each by a DVC of its own, and grids of experiments by the same engines.

The head (:mod:`~vaebench.scaleout.head`) asks DVC for the graph and for what has changed, and hands one
``dvc repro --single-item`` per stage to an engine (:mod:`~vaebench.scaleout.engines`) as the stages that it
depends on end. DVC waits for its own lock, skips, restores, runs and records; nothing of it is imported. The
example is ``vaebench repro --slots 2``; the guide is ``docs/scaleout.md``.
"""
