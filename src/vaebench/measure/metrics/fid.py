"""The Fréchet distance of generated images' features to the real test images'."""

from __future__ import annotations

from pydantic import PositiveInt

from vaebench.base.described import Described, describes
from vaebench.measure.metrics.spread import over_draws
from vaebench.measure.run import Run

__all__ = ["fid", "image_kinds"]


@describes(
    {
        "fid.recon": Described("recons.", "lower", "fid", help="of reconstructions of the test images"),
        "fid.interp_mid": Described(
            "interp. mid", "lower", "fid", help="of decoded midpoints between two encodings"
        ),
        "fid.interp_random": Described(
            "interp. random", "lower", "fid", help="of decoded random points between two encodings"
        ),
        "fid.prior": Described("prior", "lower", "fid", help="of samples from the method's own prior"),
        "fid.gaussian": Described(
            "Gaussian", "lower", "fid", help="of samples from one Gaussian fitted to the encodings"
        ),
        "fid.second_stage": Described(
            "2nd VAE", "lower", "fid", help="of samples from a second VAE on the encodings"
        ),
        "fid.vae2": Described(
            "2nd VAE", "lower", "fid", help="of samples from a second VAE on the encodings"
        ),
        "fid.gmm_*": Described("GMM-*", "lower", "fid", help="of samples from a fitted Gaussian mixture"),
        "fid.gmm*": Described("GMM-*", "lower", "fid", help="of samples from a fitted Gaussian mixture"),
        "fid.*": Described("*", "lower", "fid"),
    }
)
def fid(run: Run, *, draws: PositiveInt = 1) -> dict:
    """Of reconstructions, interpolations and every density's samples (Takida et al., Tables 4 to 6).

    Args:
        run: the model.
        draws: number of draws of each set of images; the distance is the mean over them. Reconstructions of
            all test images are one set, whatever this says.

    Returns:
        ``{"fid": {kind: distance}}``, or ``{"fd_classifier": …}`` where the features are a classifier's,
        with more than one draw also ``{kind}_se``, the standard error of the mean over the draws. A density
        that the method does not have is absent, and so is all that needs a second test image where there is
        one.
    """
    whole = len(run.latents["test_mean"]) <= run.samples
    found: dict[str, float] = {}
    for kind in image_kinds(run):
        times = 1 if kind == "recon" and whole else draws
        found |= over_draws(kind, [run.reference.distance(run.features(kind, draw)) for draw in range(times)])
    return {run.reference.name: found}


fid.needs_features = True


def image_kinds(run: Run) -> list[str]:
    """Kinds of images that are compared with the real ones; one test image has nothing to interpolate to."""
    kinds = ["recon", "interp_mid", "interp_random"] if len(run.latents["test_mean"]) > 1 else ["recon"]
    return kinds + [name for name, density in run.densities.items() if density is not None]
