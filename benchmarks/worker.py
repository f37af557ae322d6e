"""One contestant in a process of its own: a line in starts a slice, a line out is its result as JSON."""

from __future__ import annotations

import json
import os
import resource
import sys
import time

import torch

from benchmarks import machine
from benchmarks.contestants import CASES, build, contestant, images_of
from vaebench.base.device import select_device


def main(case_name: str, name: str) -> None:
    """Set up and warm up, then one slice a line until the input ends."""
    # What libraries print must not mix with the results.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**result) -> None:
        print(json.dumps(result), file=out, flush=True)

    if name == "machine":
        say(**protocol(case_name))
        run = None
    else:
        try:
            run = contestant(CASES[case_name], name)
            for _ in range(2):
                run()
        except ImportError as error:
            say(absent=f"{error}; `make bench` installs it" if name == "pythae" else str(error))
            return
        except Exception as error:
            if name not in ("plain", "compiled"):
                raise
            say(absent=f"{type(error).__name__}: {str(error).splitlines()[0]}")
            return
        say()
    for _ in sys.stdin:
        if run is None:
            speeds = {
                "fp32": machine.matmul(torch.float32),
                "bf16": machine.matmul(torch.bfloat16),
                "bandwidth": machine.bandwidth(),
            }
            say(
                **{
                    f"{name}_{clock}": value
                    for name, rate in speeds.items()
                    for clock, value in vars(rate).items()
                }
            )
            continue
        machine.synchronize()
        began, cpu = time.perf_counter(), time.process_time()
        images = run()
        machine.synchronize()
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        say(
            images_per_second=images / seconds,
            images_per_cpu_second=images / cpu_seconds,
            peak_mb=peak / 1024,
        )


def protocol(case_name: str) -> dict:
    """FLOP of one image's training step, the number of weights, and what ``precision: auto`` says here."""
    case = CASES[case_name]
    if case.network == "inception":
        return {}
    from torch.utils.flop_counter import FlopCounterMode

    from vaebench.study.params import Training
    from vaebench.training.precision import choose_precision

    model = build(case)
    x = torch.rand(2, *case.image_shape)
    with FlopCounterMode(display=False) as counter:
        model.loss(x).total.backward()
    device, lines = select_device(), []
    settings = Training(epochs=1, batch_size=case.batch, precision="auto")
    model.to(device, memory_format=torch.channels_last)
    choose_precision(model, images_of(case, case.batch).to(device), settings, lines.append)
    return {
        "flop": counter.get_total_flops() / 2,
        "weights": sum(p.numel() for p in model.parameters()),
        "auto": lines[0],
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
