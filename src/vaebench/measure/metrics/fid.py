"""The Fréchet distance of generated images' features to the real test images'."""

from __future__ import annotations

from vaebench.measure.run import Run

__all__ = ["fid"]


def fid(run: Run) -> dict:
    """Of reconstructions, interpolations and every density's samples (Takida et al., Tables 4 to 6).

    Returns:
        ``{"fid": {kind: distance}}``, or ``{"fd_classifier": …}`` where the features are a classifier's.
        A density that the method does not have is absent.
    """
    kinds = ["recon", "interp_mid", "interp_random"]
    kinds += [name for name, density in run.densities.items() if density is not None]
    return {run.reference.name: {kind: run.reference.distance(run.features(kind)) for kind in kinds}}


fid.needs_features = True
