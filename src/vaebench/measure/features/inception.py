"""The FID's network: pytorch-fid's InceptionV3 up to the final average pooling, 2,048 features.

Its weights are one file, ``pt_inception-2015-12-05-6726825d.pth``, whose SHA-256 begins with the eight
digits in its name. It is looked for in ``$VAEBENCH_INCEPTION``, then in ``data/raw``, and else downloaded
there once. The network resizes to 299 × 299 bilinearly and scales to [−1, 1], as in pytorch-fid; a grey
image is repeated in three channels.

Two things make it faster than pytorch-fid without changing what it computes beyond rounding: batch
normalization is folded into the convolutions, and channels lie last in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from vaebench.base.errors import UserError
from vaebench.base.workspace import in_workspace
from vaebench.measure.features.base import FeatureNetwork
from vaebench.measure.features.weights import published_file

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["DIGEST", "FILE", "Inception", "inception", "weights_file"]

FILE = "pt_inception-2015-12-05-6726825d.pth"
DIGEST = "6726825d"
"""First digits of the file's SHA-256."""

URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"

_REMEDY = (
    f"Get {FILE} from the releases page of github.com/mseitzer/pytorch-fid, put it into data/raw or name "
    "it in $VAEBENCH_INCEPTION; or set `features: classifier` under `evaluation`, which needs no download."
)


class Inception(FeatureNetwork):
    """pytorch-fid's Inception, by which the Fréchet distance is FID."""

    label = "FID"
    compares = "with papers' FID"
    about = "Inception, as FID is defined"

    def load(self, folder, device, learned) -> Callable[[Tensor], Tensor]:
        """Features (B, 2048) of images (B, 1 or 3, H, W) in [0, 1].

        Raises:
            UserError: see :func:`weights_file`.
        """
        import torch

        return inception(torch.load(weights_file(), map_location="cpu", weights_only=True), device)


def inception(weights: Mapping[str, Tensor], device: torch.device) -> Callable[[Tensor], Tensor]:
    """pytorch-fid's network with ``weights``, as in the file; see :meth:`Inception.load`."""
    import torch
    from pytorch_fid import inception as theirs
    from torch import nn
    from torch.nn.functional import interpolate
    from torch.nn.utils.fusion import fuse_conv_bn_eval
    from torchvision.models.inception import BasicConv2d

    with mock.patch.object(theirs, "load_state_dict_from_url", return_value=weights):
        blocks = theirs.InceptionV3(
            [theirs.InceptionV3.BLOCK_INDEX_BY_DIM[2048]], resize_input=False, normalize_input=False
        ).eval()
    for module in blocks.modules():
        if isinstance(module, BasicConv2d):
            module.conv, module.bn = fuse_conv_bn_eval(module.conv, module.bn), nn.Identity()
    blocks.to(device=device, memory_format=torch.channels_last)

    def features(images: Tensor) -> Tensor:
        x = 2 * interpolate(images, size=(299, 299), mode="bilinear", align_corners=False) - 1
        x = x.expand(-1, 3, -1, -1).to(memory_format=torch.channels_last)
        return blocks(x)[0].flatten(1)

    return features


def weights_file() -> Path:
    """The weights' file, checked, downloaded first where it is in neither place.

    Raises:
        UserError: it is nowhere and cannot be downloaded, or is not the file it should be.
    """
    given = os.environ.get("VAEBENCH_INCEPTION")
    path = in_workspace(given or Path("data/raw", FILE))
    if given and not path.is_file():
        raise UserError(f"$VAEBENCH_INCEPTION names {path}, which is not a file. {_REMEDY}")
    return published_file(path, "FID's Inception", DIGEST, URL, _REMEDY)
