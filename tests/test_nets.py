"""The networks against the papers' listings: the size after every layer that a listing names."""

import pytest
import torch
from torch import nn

from vaebench.base.errors import UserError
from vaebench.model.nets import NETWORKS

C, T, F, B = "Conv2d", "ConvTranspose2d", "Linear", "BatchNorm"

# name, image shape: (latent size, activation), encoder, decoder. Each layer is written as its kind, what its
# output's shape is, and the filter's side and stride where it is a convolution.
LISTINGS = {
    ("takida_mnist", (1, 28, 28)): (
        (16, "sigmoid"),
        [(C, (64, 14, 14), 5, 2), (C, (128, 7, 7), 5, 2), (F, (1024,)), (B, (1024,)), (F, (32,))],
        [
            (F, (1024,)),
            (B, (1024,)),
            (F, (128 * 7 * 7,)),
            (B, (128 * 7 * 7,)),
            (T, (64, 14, 14), 5, 2),
            (B, (64, 14, 14)),
            (T, (1, 28, 28), 5, 2),
        ],
    ),
    ("takida_smooth", (1, 28, 28)): (
        (8, "sigmoid"),
        [(C, (64, 14, 14), 4, 2), (C, (128, 7, 7), 4, 2), (F, (1024,)), (F, (16,))],
        [(F, (1024,)), (F, (128 * 7 * 7,)), (T, (64, 14, 14), 4, 2), (T, (1, 28, 28), 4, 2)],
    ),
    ("takida_celeba", (3, 64, 64)): (
        (64, "sigmoid"),
        [
            (C, (128, 32, 32), 5, 2),
            (C, (256, 16, 16), 5, 2),
            (B, (256, 16, 16)),
            (C, (512, 8, 8), 5, 2),
            (B, (512, 8, 8)),
            (C, (1024, 4, 4), 5, 2),
            (B, (1024, 4, 4)),
            (F, (128,)),
        ],
        [
            (F, (8 * 8 * 1024,)),
            (T, (512, 16, 16), 5, 2),
            (T, (256, 32, 32), 5, 2),
            (B, (256, 32, 32)),
            (T, (128, 64, 64), 5, 2),
            (B, (128, 64, 64)),
            (T, (3, 64, 64), 5, 1),
        ],
    ),
    ("takida_celeba", (3, 128, 128)): (
        (256, "sigmoid"),
        [
            (C, (128, 64, 64), 5, 2),
            (C, (256, 32, 32), 5, 2),
            (B, (256, 32, 32)),
            (C, (512, 16, 16), 5, 2),
            (B, (512, 16, 16)),
            (C, (1024, 8, 8), 5, 2),
            (B, (1024, 8, 8)),
            (F, (512,)),
        ],
        [
            (F, (16 * 16 * 1024,)),
            (T, (512, 32, 32), 5, 2),
            (T, (256, 64, 64), 5, 2),
            (B, (256, 64, 64)),
            (T, (128, 128, 128), 5, 2),
            (B, (128, 128, 128)),
            (T, (3, 128, 128), 5, 1),
        ],
    ),
    ("avae_mnist", (1, 32, 32)): (
        (16, "sigmoid"),
        [
            (C, (64, 16, 16), 4, 2),
            (B, (64, 16, 16)),
            (C, (128, 8, 8), 4, 2),
            (B, (128, 8, 8)),
            (C, (256, 4, 4), 4, 2),
            (B, (256, 4, 4)),
            (C, (512, 2, 2), 4, 2),
            (B, (512, 2, 2)),
            (F, (32,)),
        ],
        [
            (F, (2 * 2 * 512,)),
            (T, (256, 4, 4), 4, 2),
            (B, (256, 4, 4)),
            (T, (128, 8, 8), 4, 2),
            (B, (128, 8, 8)),
            (T, (64, 16, 16), 4, 2),
            (B, (64, 16, 16)),
            (T, (1, 32, 32), 4, 2),
        ],
    ),
    ("avae_celeba", (3, 64, 64)): (
        (64, "tanh"),
        [
            (C, (64, 32, 32), 4, 2),
            (B, (64, 32, 32)),
            (C, (128, 16, 16), 4, 2),
            (B, (128, 16, 16)),
            (C, (256, 8, 8), 4, 2),
            (B, (256, 8, 8)),
            (C, (512, 4, 4), 4, 2),
            (B, (512, 4, 4)),
            (F, (128,)),
        ],
        [
            (F, (8 * 8 * 512,)),
            (T, (256, 16, 16), 4, 2),
            (B, (256, 16, 16)),
            (T, (128, 32, 32), 4, 2),
            (B, (128, 32, 32)),
            (T, (64, 64, 64), 4, 2),
            (B, (64, 64, 64)),
            (T, (3, 65, 65), 4, 1),  # one row and column are cropped after it
        ],
    ),
    ("avae_cifar10", (3, 32, 32)): (
        (128, "sigmoid"),
        [
            (C, (128, 16, 16), 4, 2),
            (B, (128, 16, 16)),
            (C, (256, 8, 8), 4, 2),
            (B, (256, 8, 8)),
            (C, (512, 4, 4), 4, 2),
            (B, (512, 4, 4)),
            (C, (1024, 2, 2), 4, 2),
            (B, (1024, 2, 2)),
            (F, (256,)),
        ],
        [
            (F, (8 * 8 * 1024,)),
            (T, (512, 16, 16), 4, 2),
            (B, (512, 16, 16)),
            (T, (256, 32, 32), 4, 2),
            (B, (256, 32, 32)),
            (T, (3, 33, 33), 4, 1),
        ],
    ),
    **{
        ("locatello", (channels, 64, 64)): (
            (6, activation),
            [
                (C, (32, 32, 32), 4, 2),
                (C, (32, 16, 16), 4, 2),
                (C, (64, 8, 8), 4, 2),
                (C, (64, 4, 4), 4, 2),
                (F, (12,)),
            ],
            [
                (F, (4 * 4 * 64,)),
                (T, (64, 8, 8), 4, 2),
                (T, (32, 16, 16), 4, 2),
                (T, (32, 32, 32), 4, 2),
                (T, (channels, 64, 64), 4, 2),
            ],
        )
        for channels, activation in ((1, "identity"), (3, "sigmoid"))
    },
}
# with the activations: C convolution, T transposed, F fully connected, B batch normalization, R ReLU
ORDER = {
    "takida_mnist": ("CRCRFBRF", "FBRFBRTBRT"),
    "takida_smooth": ("CRCRFRF", "FRFRTRT"),
    "takida_celeba": ("CRCBRCBRCBRF", "FTRTBRTBRT"),
    "avae_mnist": ("CBRCBRCBRCBRF", "FTBRTBRTBRT"),
    "avae_celeba": ("CBRCBRCBRCBRF", "FTBRTBRTBRT"),
    "avae_cifar10": ("CBRCBRCBRCBRF", "FTBRTBRT"),
    "locatello": ("CRCRCRCRF", "FTRTRTRT"),
}
SHAPES = {
    "compact": (1, 8, 8),
    "dense": (3, 5, 7),
    "conv": (3, 30, 45),
    **{name: shape for name, shape in reversed(LISTINGS)},
}


def trace(module: nn.Module, x: torch.Tensor) -> list[tuple]:
    layers = []

    def record(layer, _, output):
        kind = type(layer).__name__
        entry = (B if kind.startswith(B) else kind, tuple(output.shape[1:]))
        if hasattr(layer, "kernel_size"):
            entry += (layer.kernel_size[0], layer.stride[0])
        layers.append(entry)

    learned = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d)
    for layer in module.modules():
        if isinstance(layer, learned):
            layer.register_forward_hook(record)
    with torch.device("meta"):
        module.to_empty(device="meta")(x.to("meta"))
    return layers


@pytest.mark.parametrize(("name", "shape"), LISTINGS)
def test_every_layer_has_the_size_that_the_paper_lists(name, shape):
    (latent_dim, activation), encoder, decoder = LISTINGS[name, shape]
    options = {"latent_dim": 256} if shape == (3, 128, 128) else {}
    with torch.device("meta"):
        network = NETWORKS.build({"name": name, **options}, shape)
        halves = network.encoder(2 * latent_dim), network.decoder(shape[0])
    assert (network.latent_dim, network.activation) == (latent_dim, activation)
    assert trace(halves[0], torch.zeros(2, *shape)) == encoder
    assert trace(halves[1], torch.zeros(2, latent_dim)) == decoder


@pytest.mark.parametrize("name", ORDER)
def test_the_layers_follow_each_other_as_the_paper_lists(name):
    letters = {C: "C", T: "T", "Linear": "F", "BatchNorm1d": "B", "BatchNorm2d": "B", "ReLU": "R"}
    with torch.device("meta"):
        network = NETWORKS.build({"name": name}, SHAPES[name])
        halves = network.encoder(4), network.decoder(1)
    order = tuple("".join(letters.get(type(layer).__name__, "") for layer in half) for half in halves)
    assert order == ORDER[name]


def test_takida_mnist_has_13_3_million_weights():
    network = NETWORKS.build({"name": "takida_mnist"}, (1, 28, 28))
    halves = nn.ModuleList([network.encoder(32), network.decoder(1)])
    assert round(sum(p.numel() for p in halves.parameters()) / 1e6, 1) == 13.3


@pytest.mark.parametrize("name", NETWORKS.names())
def test_the_likelihood_sets_the_last_layer_only(name):
    with torch.device("meta"):
        network = NETWORKS.build({"name": name, "latent_dim": 5}, SHAPES[name])
        shapes = [{k: v.shape for k, v in network.decoder(c).state_dict().items()} for c in (1, 7)]
        raw = network.decoder(7)(torch.zeros(2, 5))
        assert network.encoder(5)(torch.zeros(2, *SHAPES[name])).shape == (2, 5)
    assert raw.shape == (2, 7, *SHAPES[name][1:])
    differing = {k.split(".")[0] for k in shapes[0] if shapes[0][k] != shapes[1][k]}
    learned = {k.split(".")[0] for k in shapes[0]}
    assert differing == {max(learned, key=int)}


@pytest.mark.parametrize("name", ["avae_mnist", "avae_cifar10"])
def test_encoders_of_unit_images_see_them_in_minus_one_to_one(name):
    with torch.device("meta"):
        encoder = NETWORKS.build({"name": name}, SHAPES[name]).encoder(4)
    seen = []
    first = next(layer for layer in encoder if isinstance(layer, nn.Conv2d))
    first.to_empty(device="cpu").register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    black_and_white = torch.stack([torch.zeros(SHAPES[name]), torch.ones(SHAPES[name])])
    encoder[: list(encoder).index(first) + 1](black_and_white)
    assert seen[0].flatten(1).aminmax(dim=1).min.tolist() == [-1, 1]
    assert seen[0].flatten(1).aminmax(dim=1).max.tolist() == [-1, 1]


@pytest.mark.parametrize("name", ["avae_celeba", "locatello"])
def test_encoders_of_celeba_and_factor_sets_take_their_images_as_they_are(name):
    with torch.device("meta"):
        encoder = NETWORKS.build({"name": name}, (3, 64, 64)).encoder(4)
    assert isinstance(encoder[0], nn.Conv2d)


def test_locatello_with_a_further_hidden_layer_on_each_side():
    with torch.device("meta"):
        network = NETWORKS.build({"name": "locatello", "hidden": 256}, (1, 64, 64))
        halves = network.encoder(12), network.decoder(1)
    dense = [[(m.in_features, m.out_features) for m in half if isinstance(m, nn.Linear)] for half in halves]
    assert dense == [[(1024, 256), (256, 12)], [(6, 256), (256, 1024)]]
    assert halves[1](torch.zeros(2, 6, device="meta")).shape == (2, 1, 64, 64)


@pytest.mark.parametrize("name", ["avae_mnist", "avae_celeba", "avae_cifar10", "locatello"])
def test_weights_start_as_in_keras(name):
    torch.manual_seed(0)
    network = NETWORKS.build({"name": name}, SHAPES[name])
    halves = network.encoder(64), network.decoder(3)
    kernels = [
        m for half in halves for m in half.modules() if isinstance(getattr(m, "weight", None), nn.Parameter)
    ]
    kernels = [m for m in kernels if m.weight.ndim > 1]
    last = [m for m in kernels if isinstance(m, nn.ConvTranspose2d)][-1]
    for layer in kernels:
        weight, area = layer.weight.detach(), layer.weight[0, 0].numel()
        spread = weight.std().item()
        assert not layer.bias.any()
        if isinstance(layer, nn.Linear) or layer is last:
            bound = (6 / (area * (weight.shape[0] + weight.shape[1]))) ** 0.5
            assert weight.abs().max() <= bound
            assert spread == pytest.approx(bound / 3**0.5, rel=0.1)
        else:
            channels = layer.in_channels if isinstance(layer, nn.Conv2d) else layer.out_channels
            expected = (2 / (channels * area)) ** 0.5
            assert spread == pytest.approx(expected, rel=0.1)
            assert weight.abs().max() < 2.28 * expected  # cut at two standard deviations of the uncut normal


def test_weights_start_as_in_pytorch_on_request():
    torch.manual_seed(0)
    ours = NETWORKS.build({"name": "locatello", "init": "pytorch"}, (1, 64, 64)).encoder(6)
    torch.manual_seed(0)
    first = nn.Conv2d(1, 32, 4)
    assert torch.equal(ours[0].weight, first.weight)
    assert torch.equal(ours[0].bias, first.bias)


def test_stride_1_same_transposed_convolution_is_the_adjoint_of_the_same_convolution():
    torch.manual_seed(0)
    decoder = NETWORKS.build({"name": "avae_cifar10", "latent_dim": 2}, (3, 32, 32)).decoder(3).double()
    last = decoder[-2:]
    convolution = last[0]
    y = torch.randn(1, 256, 32, 32, dtype=torch.float64)
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    # TensorFlow's 'same' of four pixels at stride 1 pads one before and two after
    same = nn.functional.conv2d(nn.functional.pad(x, (1, 2, 1, 2)), convolution.weight)
    transposed = last(y) - convolution.bias[:, None, None]
    torch.testing.assert_close((same * y).sum(), (x * transposed).sum())


@pytest.mark.parametrize("name", [name for name in NETWORKS.names() if name not in ("conv", "dense")])
def test_a_wrong_image_size_is_refused(name):
    with pytest.raises(UserError, match=f"'{name}' takes images"):
        NETWORKS.build({"name": name}, (1, 30, 30))


def test_gradients_reach_every_weight_and_memory_formats_agree():
    torch.manual_seed(0)
    network = NETWORKS.build({"name": "compact", "latent_dim": 3}, (1, 8, 8))
    autoencoder = nn.Sequential(network.encoder(3), network.decoder(1))
    x = torch.rand(16, 1, 8, 8)
    expected = autoencoder(x)
    autoencoder.to(memory_format=torch.channels_last)
    y = autoencoder(x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(y, expected)
    y.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in autoencoder.parameters())


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 7, 33), (1, 1, 5)])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_conv_gives_back_images_of_any_shape(shape, norm):
    network = NETWORKS.build({"name": "conv", "latent_dim": 3, "channels": [4, 6], "norm": norm}, shape)
    encoder, decoder = network.encoder(6), network.decoder(5)
    assert encoder(torch.rand(2, *shape)).shape == (2, 6)
    assert decoder(torch.rand(2, 3)).shape == (2, 5, *shape[1:])
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in encoder) == (norm == "batch")
    assert isinstance(decoder[-1], nn.ConvTranspose2d)


def test_dense_layers_are_mirrored_and_only_the_inner_ones_are_rectified():
    network = NETWORKS.build({"name": "dense", "latent_dim": 3, "hidden": [40, 20]}, (2, 4, 5))
    encoder, decoder = network.encoder(6), network.decoder(3)
    widths = [[m.out_features for m in half if isinstance(m, nn.Linear)] for half in (encoder, decoder)]
    assert widths == [[40, 20, 6], [20, 40, 3 * 4 * 5]]
    assert [type(m).__name__ for m in encoder][-2:] == ["ReLU", "Linear"]
    assert [type(m).__name__ for m in decoder][-2:] == ["Linear", "Unflatten"]
