"""A study's stages in parallel on an engine that exists, with the same result as ``dvc repro``.

One process, the head, does everything that is DVC's; workers run only the stages' commands:

1. :mod:`~vaebench.scaleout.plan`: which stage may go next, in DVC's order.
2. :mod:`~vaebench.scaleout.record`: DVC skips it or restores it from the run cache; else its command goes to
3. an engine (:mod:`~vaebench.scaleout.engines`), which runs
   :func:`~vaebench.scaleout.command.execute` on one of its workers;
4. only after the command ended with 0, the head records the stage in ``dvc.lock``, cache and run cache.

:mod:`~vaebench.scaleout.head` is the loop around these, :mod:`~vaebench.scaleout.view` what it shows,
:mod:`~vaebench.scaleout.economy` what keeps DVC's part cheap in a large study. The example is
``vaebench repro --engine local --slots 2``; the guide is ``docs/scaleout.md``.
"""

__all__: list[str] = []
