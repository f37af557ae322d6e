"""Tables of the networks, with their images and weights, and of those that images are compared by."""

from __future__ import annotations

from collections.abc import Callable

from vaebench.base.errors import UserError
from vaebench.base.registry import Registry
from vaebench.measure.features import FEATURES, distance_key
from vaebench.model.nets import NETWORKS

__all__ = ["feature_rows", "network_rows"]

SHAPES = [
    *((1, side, side) for side in (8, 28, 32, 64)),
    *((3, side, side) for side in (32, 64, 128)),
]
"""Image shapes (C, H, W) that the table looks at; a network may take others, too."""


BATCHES = 8, 32
"""Images of the step that warms up, and of the step that is timed."""


def network_rows(say: Callable[[str], None] | None = None) -> list[tuple[str, ...]]:
    """A row per network and number of channels: name, shapes, latent dimensions, weights, what it is.

    Args:
        say: called with a line before each timing; None times nothing. Else the rows have the seconds
            that 10,000 images take here, forward and backward.
    """
    timed = ("s / 10,000 images",) if say else ()
    rows: list[tuple[str, ...]] = [("network", "images", "latent dimensions", "weights", *timed, "")]
    for name in NETWORKS.names():
        found = {shape: size for shape in SHAPES if (size := _size(name, shape))}
        for channels in sorted({shape[0] for shape in found}):
            taken = {shape[1]: size for shape, size in found.items() if shape[0] == channels}
            sides = ", ".join(str(side) for side in taken)
            weights = ", ".join(f"{weights / 1e6:.1f} M" for _, weights in taken.values())
            dims = ", ".join(str(dim) for dim in sorted({dim for dim, _ in taken.values()}))
            seconds = []
            for side in taken if say else ():
                say(f"timing {name} on {channels} x {side} x {side}")  # type: ignore[misc]
                seconds.append(f"{10_000 * _image_seconds(name, (channels, side, side)):,.0f}")
            timed = (", ".join(seconds),) if say else ()
            rows.append((name, f"{channels} x {sides}", dims, weights, *timed, _about(NETWORKS, name)))
    return rows


def feature_rows() -> list[tuple[str, ...]]:
    """A row per feature network: name, the Fréchet distance by it, how far that compares, what it is."""
    rows: list[tuple[str, ...]] = [("features", "distance", "compares", "")]
    for name in FEATURES.names():
        compares = FEATURES.load(name).compares if name != "none" else ""
        rows.append((name, distance_key(name) if compares else "", compares, _about(FEATURES, name)))
    return rows


def _size(name: str, shape: tuple[int, int, int]) -> tuple[int, int] | None:
    """Latent dimensions and weights with a Gaussian posterior; None where the shape is refused."""
    import torch

    with torch.device("meta"):
        try:
            network = NETWORKS.build({"name": name}, shape)
        except UserError:
            return None
        halves = network.encoder(2 * network.latent_dim), network.decoder(shape[0])
    return network.latent_dim, sum(p.numel() for half in halves for p in half.parameters())


def _image_seconds(name: str, shape: tuple[int, int, int]) -> float:
    """Seconds per image of an autoencoder of the network, forward and backward in fp32."""
    import torch

    from vaebench.base.device import select_device
    from vaebench.training.cost import seconds_of

    device = select_device(shape)
    network = NETWORKS.build({"name": name}, shape)
    halves = network.encoder(network.latent_dim).to(device), network.decoder(shape[0]).to(device)
    warm, timed = (torch.rand(count, *shape, device=device) for count in BATCHES)

    def step(images: torch.Tensor) -> None:
        halves[1](halves[0](images)).sum().backward()

    step(warm)
    return seconds_of(lambda: step(timed), device) / len(timed)


def _about(axis: Registry, name: str) -> str:
    return (axis.load(name).__doc__ or "").strip().split("\n")[0].replace("; see the module", "")
