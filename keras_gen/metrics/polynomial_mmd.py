"""Kernel Inception Distance: squared maximum mean discrepancy between two sets of features. NumPy, float64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError

_SUBSET_SIZE = 1000


class KID(NamedTuple):
    """Result of `kid`.

    Args:
        mean: float, mean over the subsets. It is unbiased, so it may be negative.
        spread: float, standard deviation over the subsets (divided by their number).
        subsets: int, number of subsets.
        subset_size: int, number of samples of each set in one subset.
    """

    mean: float
    spread: float
    subsets: int
    subset_size: int


def kid(
    features_a: np.ndarray,
    features_b: np.ndarray,
    *,
    subsets: int = 100,
    subset_size: int | None = None,
    seed: int = 0,
) -> KID:
    """Return the Kernel Inception Distance (Bińkowski et al. 2018, "Demystifying MMD GANs", arXiv:1801.01401).

    The unbiased estimate of the squared maximum mean discrepancy between s samples of each set, with the kernel
    k(x, y) = (xᵀy / D + 1)³,

        MMD² = Σ_{i≠j} k(aᵢ, aⱼ) / (s (s−1)) + Σ_{i≠j} k(bᵢ, bⱼ) / (s (s−1)) − 2 Σᵢⱼ k(aᵢ, bⱼ) / s²

    is computed on random subsets, drawn without replacement, and averaged. Its expectation does not depend on the
    number of samples (FID's does). `spread` depends on `subset_size` and is not the standard error of `mean`, since
    subsets share samples. At D = 2048 a subset of 1,000 costs about 12 billion floating-point operations.

    Args:
        features_a: real numbers of shape `(n, D)`, n at least 2.
        features_b: real numbers of shape `(m, D)`, m at least 2.
        subsets: int, number of subsets; default 100. If both sets have `subset_size` samples, all subsets would be the
            same and only one is used.
        subset_size: int, s, from 2 to min(n, m). Defaults to min(1000, n, m). The result contains it.
        seed: int, seed of the subsets; default 0.

    Returns:
        A `KID`, in units of the kernel. Negative values are not clipped.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> a, b = rng.normal(size=(500, 8)), rng.normal(size=(400, 8)) + 0.5
        >>> result = kid(a, b, subset_size=200)
        >>> round(result.mean, 3), round(result.spread, 3), result.subset_size
        (1.3, 0.122, 200)
    """
    features_a = arrays.features("features_a", features_a, minimum=2, convert=False)
    features_b = arrays.features("features_b", features_b, minimum=2, convert=False)
    arrays.same_dimensions("features_b", features_b, "features_a", features_a)
    subsets = checks.positive_int("subsets", subsets)
    smaller = min(len(features_a), len(features_b))
    if subset_size is None:
        subset_size = min(_SUBSET_SIZE, smaller)
    elif not 2 <= checks.positive_int("subset_size", subset_size) <= smaller:
        raise UsageError(
            f"subset_size must be from 2 to {smaller}, the samples of the smaller set, received: {subset_size}"
        )
    if subset_size == len(features_a) == len(features_b):
        subsets = 1
    rng = np.random.default_rng(checks.seed("seed", seed))
    discrepancies = []
    for _ in range(subsets):
        chosen = [features[rng.permutation(len(features))[:subset_size]] for features in (features_a, features_b)]
        discrepancies.append(_squared_discrepancy(*chosen))
    return KID(float(np.mean(discrepancies)), float(np.std(discrepancies)), subsets, int(subset_size))


def _squared_discrepancy(a: np.ndarray, b: np.ndarray) -> float:
    """Return the unbiased estimate of MMD² from equally many rows of `a` and `b`."""
    count = len(a)
    within = 0.0
    for samples in (a, b):
        kernel = _kernel(samples, samples)
        within += kernel.sum() - kernel.trace()
    return within / (count * (count - 1)) - 2.0 * _kernel(a, b).mean()


def _kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = (samples.astype(np.float64, copy=False) for samples in (a, b))
    inner = a @ b.T / a.shape[1] + 1.0
    return inner * inner * inner  # ten times as fast as inner**3
