"""The objectives spelled out: what a likelihood, a regularizer and a posterior mean, in one line each.

Per image, with m = E[x|z] the decoder's mean, r = x − m and d the number of pixels. Needs no torch.
"""

from __future__ import annotations

__all__ = ["formula"]

_GAUSSIAN = {
    "iso_i": ("(d/2) ln E_batch[sum r^2]", "one number"),
    "iso_d": ("E[(d/2) ln(sum r^2 + eps)]", "one number per image"),
    "diag_i": ("1/2 sum ln(E_batch[r^2] + eps)", "one number per pixel"),
    "diag_d": ("E[1/2 sum ln(r^2 + eps)]", "one number per pixel and image"),
}

_FORMULAS = {
    "likelihood": {
        "bernoulli": "scale * E[-sum(x ln m + (1 - x) ln(1 - m))]",
        "l2": "scale * E[sum r^2]",
        "mol": "E[-sum ln p(x)], p a mixture of discretized logistics",
    },
    "regularizer": {
        "none": "0",
        "kl": "weight * KL(q(z|x) || N(0, I))",
        "beta_tc": "KL(q(z|x) || N(0, I)) + (weight - 1) * TC(z)",
        "factor_tc": "KL(q(z|x) || N(0, I)) + weight * TC(z), TC by a discriminator",
        "mmd": "weight * MMD^2(q(z), N(0, I))",
        "adversarial": "weight * E[-ln D(z)]",
        "rae_l2": "embedding * 1/2 E[|z|^2] + decoder * |theta|^2",
        "rae_gp": "embedding * 1/2 E[|z|^2] + gradient * E[|dm/dz|^2]",
        "kde_kl": "beta * KL(KDE of q(z) || N(0, I))",
    },
    "posterior": {
        "gaussian": "z ~ N(mu(x), diag sigma^2(x))",
        "shared": "z ~ N(mu(x), sigma_z^2 I)",
        "deterministic": "z = mu(x)",
    },
}


def formula(axis: str, spec: dict) -> str:
    """The formula of ``spec`` on ``axis``; a value of a plug-in is called by its name.

    >>> formula("regularizer", {"name": "kl"})
    'weight * KL(q(z|x) || N(0, I))'
    """
    name = spec["name"]
    if (axis, name) == ("likelihood", "gaussian"):
        shape = spec.get("shape", "iso_i")
        if spec.get("variance", "fixed") == "fixed":
            return "E[sum r^2] / (2 sigma2)"
        if shape in _GAUSSIAN:
            objective, count = _GAUSSIAN[shape]
            trained = f"1/2 E[sum(r^2 / s + ln s)], s the trained variance, {count}"
            return trained if spec["variance"] == "trainable" else objective
    if (axis, name, spec.get("estimator")) == ("regularizer", "rae_gp", "published"):
        return "embedding * 1/2 E[|z|^2] + gradient * E[mean_j (d sum m^2 / dz_j)^2]"
    return _FORMULAS[axis].get(name) or f"the {axis} {name!r}"
