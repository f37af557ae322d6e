"""The FID's network: pytorch-fid's InceptionV3 up to the final average pooling, 2,048 features.

Its weights are one file, ``pt_inception-2015-12-05-6726825d.pth``, whose SHA-256 begins with the eight
digits in its name. It is looked for in ``$VAEBENCH_INCEPTION``, then in ``data/raw``, and else downloaded
there once. The network resizes to 299 × 299 bilinearly and scales to [−1, 1], as in pytorch-fid; a grey
image is repeated in three channels.

Two things make it faster than pytorch-fid without changing what it computes beyond rounding: batch
normalization is folded into the convolutions, and channels lie last in memory.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from vaebench.base.errors import UserError
from vaebench.base.workspace import in_workspace

__all__ = ["DIGEST", "FILE", "Inception", "load_inception", "weights_file"]

FILE = "pt_inception-2015-12-05-6726825d.pth"
DIGEST = "6726825d"
"""First digits of the file's SHA-256."""

_REMEDY = (
    f"Get {FILE} from the releases page of github.com/mseitzer/pytorch-fid, put it into data/raw or name "
    "it in $VAEBENCH_INCEPTION; or set `features: classifier` under `evaluation`, which needs no download."
)


class Inception(nn.Module):
    """pytorch-fid's network: images (B, 1 or 3, H, W) in [0, 1] to features (B, 2048).

    Args:
        weights: as in the file.
    """

    def __init__(self, weights: dict[str, Tensor]):
        super().__init__()
        from pytorch_fid import inception
        from torchvision.models.inception import BasicConv2d

        with mock.patch.object(inception, "load_state_dict_from_url", return_value=weights):
            self.blocks = inception.InceptionV3(
                [inception.InceptionV3.BLOCK_INDEX_BY_DIM[2048]], resize_input=False, normalize_input=False
            ).eval()
        for module in self.blocks.modules():
            if isinstance(module, BasicConv2d):
                module.conv, module.bn = fuse_conv_bn_eval(module.conv, module.bn), nn.Identity()
        self.to(memory_format=torch.channels_last).eval()

    def forward(self, x: Tensor) -> Tensor:
        """Features of the final average pooling."""
        x = 2 * F.interpolate(x, size=(299, 299), mode="bilinear", align_corners=False) - 1
        x = x.expand(-1, 3, -1, -1).to(memory_format=torch.channels_last)
        return self.blocks(x)[0].flatten(1)


def weights_file() -> Path:
    """The weights' file, checked, downloaded first where it is in neither place.

    Raises:
        UserError: it is nowhere and cannot be downloaded, or is not the file it should be.
    """
    given = os.environ.get("VAEBENCH_INCEPTION")
    path = in_workspace(given or Path("data/raw", FILE))
    if not path.is_file():
        if given:
            raise UserError(f"$VAEBENCH_INCEPTION names {path}, which is not a file. {_REMEDY}")
        _download(path)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith(DIGEST):
        raise UserError(
            f"{path} is not FID's Inception: its SHA-256 begins with {digest[:8]}, not {DIGEST}. {_REMEDY}"
        )
    return path


def load_inception() -> Inception:
    """The network with FID's weights, on the CPU, in evaluation mode.

    Raises:
        UserError: see :func:`weights_file`.
    """
    return Inception(torch.load(weights_file(), map_location="cpu", weights_only=True))


def _download(path: Path) -> None:
    from pytorch_fid.inception import FID_WEIGHTS_URL

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(FID_WEIGHTS_URL, str(path), hash_prefix=DIGEST)
    except (OSError, RuntimeError) as error:
        raise UserError(f"The FID's Inception weights could not be downloaded ({error}). {_REMEDY}") from None
