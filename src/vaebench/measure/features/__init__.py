"""Feature networks, and what distances between sets of images are taken against.

A *reference* is a feature network and the real test images' features, made once per data set
(:mod:`vaebench.measure.features.reference`). Two networks: pytorch-fid's Inception (``inception``, the FID)
and a small classifier trained on the data set itself (``classifier``, named ``fd_classifier``, never FID).
"""

from vaebench.measure.features.reference import Reference, build_reference, load_reference

__all__ = ["Reference", "build_reference", "load_reference"]
