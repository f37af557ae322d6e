"""The networks of torch-fidelity (Obukhov et al., 2020), which the extra ``features`` installs.

Each is torch-fidelity's own class: an image becomes 8 bits in three channels and is resized by it. Weights
lie where torch keeps what it downloads, below ``torch.hub.get_dir()`` (``$TORCH_HOME/hub``), and are
downloaded there once; where that is not possible, the error says what must lie where.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vaebench.base.errors import UserError
from vaebench.measure.features.base import FeatureNetwork
from vaebench.measure.features.weights import published_file

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Clip", "DinoV2", "Vgg16"]


class _Fidelity(FeatureNetwork):
    compares = "across studies"
    layer: ClassVar[str]

    def load(self, folder, device, learned) -> Callable[[Tensor], Tensor]:
        """Features (B, D) of images (B, 1 or 3, H, W) in [0, 1].

        Raises:
            UserError: torch-fidelity is not installed, or the weights cannot be had.
        """
        try:
            import torch_fidelity  # noqa: F401
        except ImportError as error:
            raise UserError(
                f"this network is torch-fidelity's, which cannot be imported ({error}); "
                "`pip install 'vaebench[features]'` installs it."
            ) from None
        network = self.network().to(device).eval()
        return lambda images: network(_bytes(images))[0].float()

    def network(self) -> nn.Module:
        """torch-fidelity's extractor of the one layer."""
        raise NotImplementedError


class DinoV2(_Fidelity):
    """DINOv2, ViT-L/14: 1,024 features, trained on images without labels (Oquab et al., 2023).

    Stein et al. (2023) find that distances by it agree with what people see more than FID does.
    """

    label = "FD DINOv2"
    about = "DINOv2, ViT-L/14"

    def network(self) -> nn.Module:
        """torch-fidelity's DINOv2; torch.hub brings its code and its weights."""
        import torch
        from torch_fidelity.feature_extractor_dinov2 import FeatureExtractorDinoV2

        try:
            return FeatureExtractorDinoV2("dinov2-vit-l-14", ["dinov2"])
        except Exception as error:
            raise UserError(
                f"DINOv2 cannot be loaded ({error}). Into {torch.hub.get_dir()} put "
                "facebookresearch_dinov2_main (the main branch of github.com/facebookresearch/dinov2) and "
                "checkpoints/dinov2_vitl14_pretrain.pth (from dl.fbaipublicfiles.com/dinov2/dinov2_vitl14), "
                "or choose another network under evaluation.features."
            ) from None


class Clip(_Fidelity):
    """CLIP's image encoder, ViT-B/32: 512 features, trained with captions (Radford et al., 2021)."""

    label = "FD CLIP"
    about = "CLIP, ViT-B/32"

    def network(self) -> nn.Module:
        """torch-fidelity's CLIP with OpenAI's weights."""
        from torch_fidelity.feature_extractor_clip import MODEL_METADATA, MODEL_URLS, FeatureExtractorCLIP

        name = "clip-vit-b-32"
        digest = MODEL_METADATA[name]["hash"]
        path = _weights(f"{name}-{digest}.pt", "CLIP", digest, MODEL_URLS[name])
        return FeatureExtractorCLIP(name, ["clip"], feature_extractor_weights_path=str(path))


class Vgg16(_Fidelity):
    """VGG-16, its second hidden layer: 4,096 features, trained on ImageNet (Simonyan et al., 2015)."""

    label = "FD VGG"
    about = "VGG-16"

    def network(self) -> nn.Module:
        """torch-fidelity's VGG-16 with torchvision's weights."""
        from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16
        from torchvision.models import VGG16_Weights

        url = VGG16_Weights.IMAGENET1K_V1.url
        name = url.rpartition("/")[2]
        path = _weights(name, "VGG-16", name.removesuffix(".pth").rpartition("-")[2], url)
        return FeatureExtractorVGG16("vgg16", ["fc2_relu"], feature_extractor_weights_path=str(path))


def _weights(file: str, what: str, digest: str, url: str) -> Path:
    import torch

    path = Path(torch.hub.get_dir(), "checkpoints", file)
    return published_file(path, what, digest, url, f"Put {url} there as {path}, or choose another network.")


def _bytes(images: Tensor) -> Tensor:
    """Images (B, 1 or 3, H, W) in [0, 1] as (B, 3, H, W) uint8."""
    import torch

    return (images * 255).round().clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1)
