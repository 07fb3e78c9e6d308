"""Fréchet distance of two Gaussians, and of the features of two sets of images (FID). NumPy only, in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_gen.errors import UsageError, must_be


class GaussianStatistics:
    """Count, mean and covariance of feature vectors that arrive in batches, in float64.

    Batches are merged as deviations from their own means (Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise
    algorithm for computing sample variances", eq. 2.1), so features far from zero lose no digits, as they would with
    sums of squares:

        δ = m_B − m_A        m = m_A + δ n_B / n        S = S_A + S_B + δ δᵀ n_A n_B / n        n = n_A + n_B

    Example:
        >>> statistics = GaussianStatistics()
        >>> statistics.update(np.array([[0.0, 0.0], [2.0, 0.0]]))
        >>> statistics.update(np.array([[1.0, 3.0]]))
        >>> statistics.count, statistics.mean.tolist()
        (3, [1.0, 1.0])
        >>> statistics.covariance.tolist()
        [[1.0, 0.0], [0.0, 3.0]]
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean: np.ndarray | None = None
        self._scatter: np.ndarray | None = None

    def update(self, features: np.ndarray) -> None:
        """Take in a batch of feature vectors.

        Args:
            features: real numbers, shape `(n, D)`; n may be 0, D is the same in every batch.

        Raises:
            UsageError: another shape, another D than before, or a value that is not finite. Nothing was taken in then.
        """
        features = _features("features", features)
        if self._mean is None:
            self._mean = np.zeros(features.shape[1])
            self._scatter = np.zeros((features.shape[1], features.shape[1]))
        elif features.shape[1] != len(self._mean):
            raise must_be("features", f"of shape (n, {len(self._mean)}), as before", _Shape(features))
        added = len(features)
        if not added:
            return
        mean = features.mean(axis=0)
        centred = features - mean
        total = self._count + added
        delta = mean - self._mean
        self._scatter += centred.T @ centred
        self._scatter += np.outer(delta, delta * (self._count * added / total))
        self._mean += delta * (added / total)
        self._count = total

    @property
    def count(self) -> int:
        """How many feature vectors were taken in."""
        return self._count

    @property
    def mean(self) -> np.ndarray:
        """Their mean, float64 of shape `(D,)`; `UsageError` if there are none."""
        if not self._count:
            raise UsageError("the mean of features needs at least 1 sample, received: 0")
        return self._mean.copy()

    @property
    def covariance(self) -> np.ndarray:
        """Their unbiased covariance (divided by n − 1), float64 of shape `(D, D)`; `UsageError` below 2 samples."""
        if self._count < 2:
            raise UsageError(f"the covariance of features needs at least 2 samples, received: {self._count}")
        return self._scatter / (self._count - 1)


def frechet_distance(
    mean_1: np.ndarray, covariance_1: np.ndarray, mean_2: np.ndarray, covariance_2: np.ndarray
) -> float:
    """The squared Fréchet (2-Wasserstein) distance of two Gaussians.

        d² = |m₁ − m₂|² + tr(C₁ + C₂ − 2 (C₁ C₂)^½)

    (Dowson & Landau 1982, "The Fréchet distance between multivariate normal distributions", eq. 4; Heusel et al. 2017,
    arXiv:1706.08500, eq. 6.) C₁ C₂ has the eigenvalues of the symmetric C₁^½ C₂ C₁^½, so the trace of its root
    is the sum of the roots of those: no general matrix root, no complex numbers, and singular covariances (fewer
    samples than dimensions) are no special case.

    Args:
        mean_1, mean_2: shape `(D,)`.
        covariance_1, covariance_2: shape `(D, D)`, symmetric and positive semi-definite.

    Returns:
        The distance, at least 0, in squared units of the features. What rounding leaves below 0 is returned as 0.

    Raises:
        UsageError: shapes that do not fit together, a covariance that is not symmetric, a value that is not finite.

    Example:
        >>> frechet_distance([0.0], [[1.0]], [3.0], [[4.0]])  # (0 − 3)² + (1 − 2)²
        10.0
    """
    mean_1 = _array("mean_1", mean_1, "of shape (D,), D at least 1", lambda shape: len(shape) == 1 and shape[0] > 0)
    dimensions = len(mean_1)
    mean_2 = _array("mean_2", mean_2, f"of shape ({dimensions},)", lambda shape: shape == (dimensions,))
    covariance_1 = _covariance("covariance_1", covariance_1, dimensions)
    covariance_2 = _covariance("covariance_2", covariance_2, dimensions)

    eigenvalues, vectors = np.linalg.eigh(covariance_1)
    # Below the rounding error of the largest one an eigenvalue is noise, and its root would be 1e8 times more of it.
    kept = eigenvalues > dimensions * np.finfo(np.float64).eps * max(eigenvalues[-1], 0.0)
    root = vectors[:, kept] * np.sqrt(eigenvalues[kept])
    squares = np.linalg.eigvalsh(root.T @ covariance_2 @ root)
    trace_of_root = np.sqrt(np.clip(squares, 0.0, None)).sum()
    difference = mean_1 - mean_2
    distance = difference @ difference + np.trace(covariance_1) + np.trace(covariance_2) - 2.0 * trace_of_root
    return max(float(distance), 0.0)


def fid(features_a: np.ndarray, features_b: np.ndarray) -> float:
    """The Fréchet distance of Gaussians fitted to two sets of features (Heusel et al. 2017, arXiv:1706.08500, eq. 6).

    It is biased upwards for few samples: compare scores only of equal counts and one extractor. Fewer samples than
    dimensions are accepted.

    Args:
        features_a: real numbers, shape `(n, D)`, n at least 2.
        features_b: real numbers, shape `(m, D)`, m at least 2.

    Returns:
        The distance, at least 0, in squared units of the features. The order of the sets does not matter.

    Raises:
        UsageError: other shapes, fewer than 2 samples, or a value that is not finite.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(100, 8))
        >>> round(fid(features, features + 1.0), 6)  # equal covariances; the means differ by 1 in 8 dimensions
        8.0
    """
    features_a, features_b = _features("features_a", features_a), _features("features_b", features_b)
    if features_b.shape[1] != features_a.shape[1]:
        requirement = f"of shape (m, {features_a.shape[1]}), as features_a"
        raise must_be("features_b", requirement, _Shape(features_b))
    both = []
    for argument, features in (("features_a", features_a), ("features_b", features_b)):
        if len(features) < 2:
            raise must_be(argument, "at least 2 samples", _Shape(features))
        statistics = GaussianStatistics()
        statistics.update(features)
        both += [statistics.mean, statistics.covariance]
    return frechet_distance(*both)


class _Shape:
    """An array as an error message shows it: by its shape, since its values say nothing."""

    def __init__(self, array: np.ndarray) -> None:
        self._shape = array.shape

    def __repr__(self) -> str:
        return f"shape {self._shape}"


def _features(argument: str, value: object) -> np.ndarray:
    return _array(argument, value, "of shape (n, D), D at least 1", lambda shape: len(shape) == 2 and shape[1] > 0)


def _covariance(argument: str, value: object, dimensions: int) -> np.ndarray:
    shape = (dimensions, dimensions)
    array = _array(argument, value, f"of shape {shape}", lambda received: received == shape)
    if np.abs(array - array.T).max() > 1e-6 * np.abs(array).max():
        raise must_be(argument, "symmetric", _Shape(array))
    return array


def _array(argument: str, value: object, requirement: str, fits: Callable[[tuple], bool]) -> np.ndarray:
    """`value` as a finite float64 array whose shape `fits`."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        raise must_be(argument, f"an array {requirement}", value) from None
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{argument} must be real numbers {requirement}, received: {array.dtype}")
    if not fits(array.shape):
        raise must_be(argument, requirement, _Shape(array))
    array = array.astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        broken = array.size - int(np.isfinite(array).sum())
        raise UsageError(f"{argument} must be finite, received: {broken} of {array.size} values NaN or infinite")
    return array
