"""Convolutions as matrix products, against torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vaebench.cpu.convolution import Conv2d, ConvTranspose2d


def results(layer: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """The output, and the gradients of a random functional of it."""
    x = x.clone().requires_grad_()
    y = layer(x)
    direction = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(1))
    return [y, *torch.autograd.grad((y * direction).sum(), [x, *layer.parameters()])]


@pytest.mark.parametrize(
    ("ours", "theirs", "side", "options"),
    [
        (Conv2d, nn.Conv2d, 1, {"kernel_size": 3, "stride": 2, "padding": 1}),
        (Conv2d, nn.Conv2d, 4, {"kernel_size": 4, "stride": 2, "padding": 1}),
        (Conv2d, nn.Conv2d, 8, {"kernel_size": 5, "stride": 2, "padding": 2}),
        (Conv2d, nn.Conv2d, 4, {"kernel_size": 3, "padding": 1, "bias": False}),
        (Conv2d, nn.Conv2d, 7, {"kernel_size": (3, 2), "stride": (3, 2), "padding": (0, 1)}),
        (ConvTranspose2d, nn.ConvTranspose2d, 2, {"kernel_size": 4, "stride": 2, "padding": 1}),
        (
            ConvTranspose2d,
            nn.ConvTranspose2d,
            4,
            {"kernel_size": 5, "stride": 2, "padding": 2, "output_padding": 1},
        ),
        (ConvTranspose2d, nn.ConvTranspose2d, 3, {"kernel_size": 4, "padding": 1, "bias": False}),
        (
            ConvTranspose2d,
            nn.ConvTranspose2d,
            3,
            {"kernel_size": (3, 2), "stride": (2, 3), "padding": (1, 0), "output_padding": (0, 1)},
        ),
    ],
)
def test_a_wide_and_small_convolution_is_torchs(ours, theirs, side, options, monkeypatch):
    reference = theirs(128, 256, **options).double()
    layer = ours(128, 256, **options).double()
    layer.load_state_dict(reference.state_dict())
    x = torch.randn(3, 128, side, side, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    expected = results(reference, x)
    monkeypatch.delattr(theirs, "forward")
    for value, wanted in zip(results(layer, x), expected, strict=True):
        torch.testing.assert_close(value, wanted)


@pytest.mark.parametrize(("channels", "side"), [((16, 16), 8), ((128, 256), 16)])
def test_others_are_left_to_torch(channels, side, monkeypatch):
    x = torch.zeros(1, channels[0], side, side)
    for ours, theirs in ((Conv2d, nn.Conv2d), (ConvTranspose2d, nn.ConvTranspose2d)):
        layer = ours(*channels, 4, stride=2, padding=1)
        monkeypatch.setattr(theirs, "forward", lambda self, x: "torch")
        assert layer(x) == "torch"


@pytest.mark.parametrize(("ours", "side"), [(Conv2d, 4), (ConvTranspose2d, 2)])
def test_autocast_leaves_bfloat16_whichever_way_is_taken(ours, side):
    for channels in ((256, 512), (16, 16)):
        layer = ours(*channels, 4, stride=2, padding=1)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            assert layer(torch.zeros(1, channels[0], side, side)).dtype is torch.bfloat16
