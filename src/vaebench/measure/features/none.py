"""No feature network."""

from __future__ import annotations

from vaebench.measure.features.base import FeatureNetwork

__all__ = ["NoFeatures"]


class NoFeatures(FeatureNetwork):
    """No feature network: no metric of the study compares images by features."""

    label = ""
    compares = "within a study"
    about = "no network"

    def load(self, folder, device, learned) -> None:
        """Nothing."""
