"""Fréchet distance between Gaussians, and between the features of two image sets (FID). NumPy and SciPy, float64."""

from __future__ import annotations

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be

# In units of 2⁻⁵². With few dimensions the rounding error of the sums over samples exceeds that of the factorization.
_MIN_ROUNDING = 32


class GaussianStatistics:
    """Count, mean and covariance of feature vectors that arrive in batches, in float64.

    Batches are merged as deviations from their own means (Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise
    algorithm for computing sample variances", eq. 2.1). Features far from zero lose no digits, unlike with sums of
    squares:

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

    @classmethod
    def from_features(cls, features: np.ndarray) -> GaussianStatistics:
        """Return the statistics of features, real numbers of shape `(n, D)`. Raises the errors of `update`."""
        statistics = cls()
        statistics.update(features)
        return statistics

    @classmethod
    def from_moments(cls, count: int, mean: np.ndarray, covariance: np.ndarray) -> GaussianStatistics:
        """Restore statistics from their `count`, `mean` and `covariance`.

        Args:
            count: int, number of feature vectors, at least 2.
            mean: array of shape `(D,)`.
            covariance: array of shape `(D, D)`, symmetric, divided by count − 1. Negative variances are rejected here,
                other negative eigenvalues by the distance.

        Example:
            >>> statistics = GaussianStatistics.from_moments(4, [1.0], [[2.0]])
            >>> statistics.update([[1.0]])
            >>> statistics.count, statistics.mean.tolist(), statistics.covariance.tolist()
            (5, [1.0], [[1.5]])
        """
        count = checks.integer("count", count, 2)
        mean = arrays.mean("mean", mean)
        covariance = arrays.covariance("covariance", covariance, len(mean))
        statistics = cls()
        statistics._count = count
        statistics._mean = mean.copy()
        statistics._scatter = covariance * (statistics._count - 1)
        return statistics

    def update(self, features: np.ndarray) -> None:
        """Add a batch of feature vectors.

        Args:
            features: real numbers of shape `(n, D)`. n may be 0; D is the same in every batch. Otherwise `UsageError`
                is raised and the statistics are unchanged.
        """
        features = arrays.features("features", features, minimum=0)
        if self._mean is not None and features.shape[1] != len(self._mean):
            raise must_be("features", f"of shape (n, {len(self._mean)}), as before", arrays.Shape(features))
        mean = features.mean(axis=0) if len(features) else np.zeros(features.shape[1])
        centered = features - mean
        self._merge(len(features), mean, centered.T @ centered)

    def merged(self, other: GaussianStatistics) -> GaussianStatistics:
        """Return the combined statistics; neither operand is changed. Raises `UsageError` if the dimensions differ.

        Example:
            >>> halves = [GaussianStatistics.from_features(half) for half in ([[0.0], [2.0]], [[4.0]])]
            >>> both = halves[0].merged(halves[1])
            >>> both.count, both.mean.tolist(), both.covariance.tolist()
            (3, [2.0], [[4.0]])
        """
        if not isinstance(other, GaussianStatistics):
            raise UsageError(f"other must be GaussianStatistics, received: {type(other).__name__}")
        merged = GaussianStatistics()
        for statistics in (self, other):
            if statistics._mean is None:
                continue
            if merged._mean is not None and merged.dimensions != statistics.dimensions:
                requirement = f"of {merged.dimensions} dimensions, like these statistics"
                raise UsageError(f"other must be {requirement}, received: {statistics.dimensions} dimensions")
            merged._merge(statistics._count, statistics._mean, statistics._scatter)
        return merged

    def _merge(self, added: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        if self._mean is None:
            self._mean, self._scatter = np.zeros_like(mean), np.zeros_like(scatter)
        if not added:
            return
        total = self._count + added
        delta = mean - self._mean
        self._scatter += scatter
        self._scatter += np.outer(delta, delta) * (self._count * added / total)
        self._mean += delta * (added / total)
        self._count = total

    @property
    def count(self) -> int:
        """Number of feature vectors."""
        return self._count

    @property
    def dimensions(self) -> int | None:
        """D, the length of a feature vector, or None before the first batch."""
        return None if self._mean is None else len(self._mean)

    @property
    def mean(self) -> np.ndarray:
        """Mean, float64 of shape `(D,)`. Raises `UsageError` without samples."""
        if not self._count:
            raise UsageError("the mean of features needs at least 1 sample, received: 0")
        return self._mean.copy()

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased covariance (divided by n − 1), float64 of shape `(D, D)`. Raises `UsageError` below 2 samples."""
        if self._count < 2:
            raise UsageError(f"the covariance of features needs at least 2 samples, received: {self._count}")
        return self._scatter / (self._count - 1)


def frechet_distance(
    mean_1: np.ndarray, covariance_1: np.ndarray, mean_2: np.ndarray, covariance_2: np.ndarray
) -> float:
    """Return the squared Fréchet (2-Wasserstein) distance between two Gaussians.

        d² = |m₁ − m₂|² + tr(C₁ + C₂ − 2 (C₁ C₂)^½)

    (Dowson & Landau 1982, "The Fréchet distance between multivariate normal distributions", eq. 4; Heusel et al. 2017,
    arXiv:1706.08500, eq. 6.) With C₁ = F₁ F₁ᵀ and C₂ = F₂ F₂ᵀ, the trace of the root is the sum of the singular values
    of F₁ᵀ F₂. The factors come from pivoted Cholesky factorizations (LAPACK's dpstrf) and have as many columns as the
    rank of the covariance: no general matrix root and no complex numbers are needed, and singular covariances (fewer
    samples than dimensions) are no special case. The remaining eigenvalue problem has the size of the smaller rank.

    Args:
        mean_1, mean_2: arrays of shape `(D,)`.
        covariance_1, covariance_2: arrays of shape `(D, D)`, symmetric and positive semi-definite, both to 1e-6 of the
            largest entry.

    Returns:
        float, the distance in squared units of the features. Negative rounding errors are clipped to 0.

    Example:
        >>> frechet_distance([0.0], [[1.0]], [3.0], [[4.0]])  # (0 − 3)² + (1 − 2)²
        10.0
    """
    mean_1 = arrays.mean("mean_1", mean_1)
    mean_2 = arrays.mean("mean_2", mean_2, len(mean_1))
    covariance_1 = arrays.covariance("covariance_1", covariance_1, len(mean_1))
    covariance_2 = arrays.covariance("covariance_2", covariance_2, len(mean_1))
    factors = _factor("covariance_1", covariance_1), _factor("covariance_2", covariance_2)
    difference = mean_1 - mean_2
    traces = covariance_1.trace() + covariance_2.trace()
    return max(float(difference @ difference + traces - 2.0 * _nuclear_norm(*factors)), 0.0)


def fid(features_a: np.ndarray, features_b: np.ndarray) -> float:
    """Return the Fréchet distance between Gaussians fitted to two sets of features.

    See Heusel et al. 2017, arXiv:1706.08500, eq. 6. The distance is biased upwards for few samples (see
    `fid_infinity`), so compare only scores of the same counts and extractor. Fewer samples than dimensions are
    accepted, and are faster.

    Args:
        features_a: real numbers of shape `(n, D)`, n at least 2.
        features_b: real numbers of shape `(m, D)`, m at least 2.

    Returns:
        float, the distance, at least 0, in squared units of the features. The order of the sets does not matter.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(100, 8))
        >>> round(fid(features, features + 1.0), 6)  # equal covariances; the means differ by 1 in 8 dimensions
        8.0
    """
    features_a = arrays.features("features_a", features_a, minimum=2)
    features_b = arrays.features("features_b", features_b, minimum=2)
    arrays.same_dimensions("features_b", features_b, "features_a", features_a)
    return distance(GaussianStatistics.from_features(features_a), GaussianStatistics.from_features(features_b))


def distance(statistics_1: GaussianStatistics, statistics_2: GaussianStatistics) -> float:
    """Return the Fréchet distance between two `GaussianStatistics`: `fid` for features that arrive in batches.

    Args:
        statistics_1, statistics_2: `GaussianStatistics` of at least 2 samples each and of the same dimensions.

    Example:
        >>> reference = GaussianStatistics.from_moments(1000, [0.0], [[1.0]])
        >>> round(distance(GaussianStatistics.from_features([[1.0], [3.0]]), reference), 6)  # (2 − 0)² + (√2 − 1)²
        4.171573
    """
    check_statistics("statistics_1", statistics_1)
    check_statistics("statistics_2", statistics_2)
    if statistics_2.dimensions != statistics_1.dimensions:
        requirement = f"of {statistics_1.dimensions} dimensions, like statistics_1"
        raise UsageError(f"statistics_2 must be {requirement}, received: {statistics_2.dimensions} dimensions")
    return frechet_distance(statistics_1.mean, statistics_1.covariance, statistics_2.mean, statistics_2.covariance)


def check_statistics(argument: str, value: object) -> None:
    """Check that `value` is `GaussianStatistics` of at least 2 samples, or raise `UsageError`."""
    if not isinstance(value, GaussianStatistics):
        raise UsageError(f"{argument} must be GaussianStatistics, received: {type(value).__name__}")
    if value.count < 2:
        raise UsageError(f"{argument} must be of at least 2 samples, received: {value.count}")


def _factor(argument: str, covariance: np.ndarray) -> np.ndarray:
    """Return F of shape `(D, rank)` with F Fᵀ = `covariance`."""
    from scipy.linalg import lapack

    dimensions = len(covariance)
    # A pivot at rounding level is noise; its square root would be larger by a factor of 1e8.
    tolerance = max(dimensions, _MIN_ROUNDING) * np.finfo(np.float64).eps * covariance.diagonal().max()
    triangle, pivots, rank, _ = lapack.dpstrf(covariance.T, tol=tolerance, lower=1)  # Fortran order, without a copy
    factor = np.empty((dimensions, rank), order="F")
    factor[pivots - 1] = np.tril(triangle[:, :rank])
    # With full rank the covariance is positive definite; otherwise the residual must be a rounding error.
    if rank < dimensions and np.abs(covariance - factor @ factor.T).max() > 1e-6 * np.abs(covariance).max():
        raise must_be(argument, "positive semi-definite", arrays.Shape(covariance))
    return factor


def _nuclear_norm(factor_1: np.ndarray, factor_2: np.ndarray) -> float:
    """Return the sum of the singular values of F₁ᵀ F₂, from the eigenvalues of its smaller Gram matrix."""
    from scipy.linalg import eigvalsh

    # The lower rank comes first, for a smaller matrix. Ties are broken by norm, so that the order of the arguments does
    # not affect the rounding.
    lower, higher = sorted((factor_1, factor_2), key=lambda factor: (factor.shape[1], np.square(factor).sum()))
    product = lower.T @ higher
    scale = np.abs(product).max(initial=0.0)
    if scale == 0.0:
        return 0.0
    product /= scale  # squared variances could overflow
    squares = eigvalsh(product @ product.T, overwrite_a=True, check_finite=False, driver="ev")
    return scale * float(np.sqrt(np.clip(squares, 0.0, None)).sum())
