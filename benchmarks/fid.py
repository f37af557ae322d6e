"""Deviation of our FID from pytorch-fid's: ``python -m benchmarks.fid [--images 150]``.

Two sets of made-up pictures go through pytorch-fid's own network, loader and formula, and through ours, with
the same random weights: the trained ones need a download. Prints the FIDs and their relative deviation.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.contestants import inception_weights, pytorch_fid_network, write_png
from vaebench.measure.features.frechet import frechet_distance, moments
from vaebench.measure.features.inception import inception
from vaebench.measure.features.reference import Reference


def pictures(count: int, contrast: float, seed: int) -> torch.Tensor:
    """Smooth coloured blobs, (count, 3, 64, 64) uint8."""
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    smooth = F.interpolate(coarse, size=(64, 64), mode="bicubic")
    return ((0.5 + contrast * (smooth - 0.5)).clamp(0, 1) * 255).round().to(torch.uint8)


def main() -> None:
    """Print the table of both FIDs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fid", description=__doc__)
    parser.add_argument("--images", type=int, default=150, help="in each of the two sets")
    count = parser.parse_args().images
    from pytorch_fid.fid_score import calculate_activation_statistics, calculate_frechet_distance

    weights = inception_weights()
    sets = pictures(count, 1.0, 0), pictures(count, 0.7, 1)
    theirs = pytorch_fid_network(weights)
    with tempfile.TemporaryDirectory() as folder:
        statistics = [
            calculate_activation_statistics(write_png(images, Path(folder, str(i))), theirs)
            for i, images in enumerate(sets)
        ]
    expected = calculate_frechet_distance(*statistics[0], *statistics[1])
    print(f"| | FID | deviation |\n| --- | ---: | ---: |\n| pytorch-fid | {expected:.6g} | |", flush=True)
    reference = Reference(
        "inception", inception(weights, torch.device("cpu")), *[np.empty(0)] * 3, torch.device("cpu")
    )
    first, second = (moments(reference.encode(images)) for images in sets)
    fid = frechet_distance(*first, *second)
    print(f"| vaebench | {fid:.6g} | {abs(fid / expected - 1):.1e} |", flush=True)


if __name__ == "__main__":
    main()
