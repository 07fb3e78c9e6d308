"""Active units: the latent dimensions that a VAE uses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.utils import checks


class ActiveUnits(NamedTuple):
    """Result of `active_units`.

    Args:
        count: int, number of active latent dimensions.
        variances: float64 array of shape `(latent_dim,)`, each dimension's variance of the posterior mean over images.
    """

    count: int
    variances: np.ndarray


def active_units(means: np.ndarray, *, threshold: float = 0.01) -> ActiveUnits:
    """Count the latent dimensions whose posterior mean depends on the image (Burda et al. 2016, arXiv:1509.00519).

        unit u is active if A_u = Var_x(E_{q(u|x)}[u]) > threshold

    The posterior of a dimension that the decoder ignores equals the prior for every image, so that A_u is 0; for a
    fully used dimension A_u is near the prior's variance of 1. `variances` shows how well the two kinds are separated,
    and therefore whether the count depends on the threshold.

    Args:
        means: posterior means of images, shape `(n, latent_dim)`, n at least 2, as from `VAE.encode`.
        threshold: float, variance above which a dimension is active, at least 0; default 0.01.

    Returns:
        An `ActiveUnits`. Variances are divided by n and in squared units of the latent vector.

    Example:
        >>> active_units([[1.0, 0.1], [-1.0, 0.1], [1.0, 0.0], [-1.0, 0.0]])
        ActiveUnits(count=1, variances=array([1.    , 0.0025]))
    """
    means = arrays.features("means", means, minimum=2)
    threshold = checks.non_negative("threshold", threshold)
    variances = means.var(axis=0)
    return ActiveUnits(int((variances > threshold).sum()), variances)
