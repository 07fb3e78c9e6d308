"""How many latent dimensions a VAE uses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.utils import checks


class ActiveUnits(NamedTuple):
    """What `active_units` returns.

    Args:
        count: the number of active latent dimensions.
        variances: of the posterior's mean over the images, for each dimension, float64 of shape `(latent_dim,)`.
    """

    count: int
    variances: np.ndarray


def active_units(means: np.ndarray, *, threshold: float = 0.01) -> ActiveUnits:
    """Latent dimensions whose posterior mean depends on the image (Burda et al. 2016, arXiv:1509.00519).

        unit u is active if A_u = Var_x(E_{q(u|x)}[u]) > threshold

    A dimension that the decoder ignores has the prior as its posterior whatever the image, so that A_u is 0; one that
    is used fully has A_u near the prior's variance of 1. `variances` shows how far apart the two kinds are, and so
    whether the count depends on the threshold.

    Args:
        means: means of the posteriors of images, shape `(n, latent_dim)`, n at least 2, as from `VAE.encode`.
        threshold: variance above which a dimension is active, at least 0.

    Returns:
        The number of active dimensions, and every dimension's variance (divided by n), in squared units of the latent.

    Raises:
        UsageError: another shape, fewer than 2 images, a value that is not finite, or a negative threshold.

    Example:
        >>> active_units([[1.0, 0.1], [-1.0, 0.1], [1.0, 0.0], [-1.0, 0.0]])
        ActiveUnits(count=1, variances=array([1.    , 0.0025]))
    """
    means = arrays.features("means", means, minimum=2)
    threshold = checks.non_negative("threshold", threshold)
    variances = means.var(axis=0)
    return ActiveUnits(int((variances > threshold).sum()), variances)
