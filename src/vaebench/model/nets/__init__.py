"""The protocols' encoder and decoder pairs.

A network object describes a protocol's pair for images of a given shape and builds the two halves when it is
told what the other axes need: the posterior says how many features the encoder ends in (``latent_dim``, or
twice that for a mean and a log-variance), the likelihood how many channels the decoder ends in. The decoder
returns raw values; ``activation`` ("sigmoid", "tanh" or "identity") names what its mean then goes through.

    >>> import torch
    >>> network = NETWORKS.build({"name": "compact", "latent_dim": 4}, (1, 8, 8))
    >>> encoder, decoder = network.encoder(features=8), network.decoder(channels=1)
    >>> encoder(torch.zeros(2, 1, 8, 8)).shape, decoder(torch.zeros(2, 4)).shape
    (torch.Size([2, 8]), torch.Size([2, 1, 8, 8]))

Layer sizes are those of the papers' listings, which ``tests/test_nets.py`` repeats. Neither paper states the
initialization. Weights of Saha et al. start as in their code, He's normal for convolutions and Glorot's
uniform for the rest (``init``); the others from PyTorch's defaults.
"""

from __future__ import annotations

from vaebench.base.registry import Registry

__all__ = ["NETWORKS"]

NETWORKS = Registry(
    "network",
    {
        "dense": "vaebench.model.nets.dense:Dense",
        "conv": "vaebench.model.nets.conv:Conv",
        "compact": "vaebench.model.nets.compact:Compact",
        "takida_mnist": "vaebench.model.nets.takida:TakidaMNIST",
        "takida_smooth": "vaebench.model.nets.takida:TakidaSmooth",
        "takida_celeba": "vaebench.model.nets.takida:TakidaCelebA",
        "avae_mnist": "vaebench.model.nets.avae:AvaeMNIST",
        "avae_celeba": "vaebench.model.nets.avae:AvaeCelebA",
        "avae_cifar10": "vaebench.model.nets.avae:AvaeCIFAR10",
        "locatello": "vaebench.model.nets.locatello:Locatello",
    },
)
