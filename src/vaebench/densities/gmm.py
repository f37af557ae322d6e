"""A mixture of k Gaussians with full covariances, fitted to the posterior means by EM.

The settings are those of the published code of Ghosh et al. (2020), which Takida et al. take over:
scikit-learn's ``GaussianMixture``, initialized by k-means, with a tolerance of 1e-3 on the mean
log-likelihood and at most 2,000 iterations. One departs from it: what is added to the covariances' diagonals
is 1e-6 of the latents' mean variance instead of 1e-6, the same at unit variance and small at any scale.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from pydantic import PositiveInt

from vaebench.base.errors import UserError
from vaebench.densities.latents import posterior_means
from vaebench.densities.store import read_arrays, write_arrays, write_record

__all__ = ["GMM"]


class GMM:
    """Σ_k w_k N(m_k, L_k L_kᵀ).

    Args:
        components: k, from 10 to 100 in Takida et al.
    """

    def __init__(self, *, components: PositiveInt = 10):
        self._components = components

    def fit(self, latents: dict[str, np.ndarray], seed: int) -> None:
        """Fit to ``train_mean`` (N, d) in float64; ``seed`` draws the initialization.

        A fit that 2,000 iterations do not bring to convergence is kept and recorded in ``density.json``.

        Raises:
            UserError: fewer latents than components, values that are not finite, or a covariance that
                cannot be factored.
        """
        means = posterior_means(latents).astype(np.float64)
        if len(means) < self._components:
            raise UserError(
                f"A mixture of {self._components} components needs as many latents, but the training set has "
                f"{len(means)}; lower the density's 'components'."
            )
        mixture = _fit_mixture(means, self._components, seed)
        self._weights = mixture.weights_
        self._means = mixture.means_
        self._factors = np.linalg.cholesky(mixture.covariances_)
        self._fitted = {
            "latent_dim": means.shape[1],
            "converged": bool(mixture.converged_),
            "iterations": int(mixture.n_iter_),
            "log_likelihood": float(mixture.lower_bound_),
        }

    def sample(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, d) float32, the components in random order."""
        component = rng.choice(len(self._weights), size=n, p=self._weights)
        samples = rng.standard_normal((n, self._means.shape[1]))
        for index, (mean, factor) in enumerate(zip(self._means, self._factors, strict=True)):
            chosen = component == index
            samples[chosen] = mean + samples[chosen] @ factor.T
        return samples.astype(np.float32)

    def save(self, directory: Path) -> None:
        """Write ``density.json`` and ``arrays.npz``."""
        write_arrays(directory, weights=self._weights, means=self._means, factors=self._factors)
        write_record(directory, "gmm", {"components": self._components}, self._fitted)

    @classmethod
    def load(cls, directory: Path, options: dict, fitted: dict) -> GMM:
        """Read back what :meth:`save` wrote."""
        mixture = cls(**options)
        arrays = read_arrays(directory, weights=1, means=2, factors=3)
        mixture._weights, mixture._means, mixture._factors = arrays.values()
        mixture._fitted = fitted
        k, d = mixture._means.shape
        if k != mixture._components or mixture._weights.shape != (k,) or mixture._factors.shape != (k, d, d):
            raise ValueError("the arrays' shapes do not agree with 'components'")
        if (mixture._weights < 0).any() or abs(mixture._weights.sum() - 1) > 1e-8:
            raise ValueError("the weights are no probabilities")
        return mixture


def _fit_mixture(means: np.ndarray, components: int, seed: int):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture
    from threadpoolctl import threadpool_limits

    mixture = GaussianMixture(
        components,
        covariance_type="full",
        tol=1e-3,
        max_iter=2000,
        reg_covar=max(1e-6 * means.var(axis=0).mean(), 1e-12),
        random_state=seed,
    )
    # k-means adds its threads' sums in the order in which they finish; one thread makes it reproducible
    with threadpool_limits(1, user_api="openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            return mixture.fit(means)
        except ValueError as error:
            raise UserError(
                f"The mixture of {components} components could not be fitted ({error}); lower the density's "
                "'components'."
            ) from None
