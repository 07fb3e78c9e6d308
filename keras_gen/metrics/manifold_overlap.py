"""Improved precision and recall, density and coverage: separate measures of fidelity and diversity. float64."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.utils import checks
from keras_gen.utils.errors import must_be

WORKING_MEMORY = 64
"""Size limit of one block of distances in MiB. A few blocks exist at a time; results do not depend on it."""


class PrecisionRecall(NamedTuple):
    """Result of `precision_recall`: four floats, of which only `density` can exceed 1.

    Args:
        precision: float, fraction of generated samples that lie in a real neighborhood (fidelity).
        recall: float, fraction of real samples that lie in a generated neighborhood (diversity).
        density: float, mean number of real neighborhoods that contain a generated sample, divided by k (fidelity;
            less sensitive to outliers among the real samples than precision).
        coverage: float, fraction of real neighborhoods that contain a generated sample (diversity; unlike recall, not
            raised by outliers among the generated samples).
    """

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall(real: np.ndarray, generated: np.ndarray, *, k: int = 5) -> PrecisionRecall:
    """Return improved precision and recall, density and coverage.

    See Kynkäänniemi et al. 2019 (arXiv:1904.06991) for precision and recall, Naeem et al. 2020 (arXiv:2002.09797) for
    density and coverage. A sample's neighborhood is the open ball B(x) whose radius is the Euclidean distance to the
    k-th nearest other sample of its own set. With real samples X_i, i = 1…n, and generated ones Y_j, j = 1…m,

        precision = 1/m Σ_j [Y_j lies in some B(X_i)]        density  = 1/(k m) Σ_j Σ_i [Y_j lies in B(X_i)]
        recall    = 1/n Σ_i [X_i lies in some B(Y_j)]        coverage = 1/n Σ_i [B(X_i) contains some Y_j]

    Kynkäänniemi et al. include the ball's surface (and use k = 3); open balls follow the code of Naeem et al. Only ties
    differ: generated samples at exactly the radius, such as copies of real ones, are outside here. Distances that
    differ by less than their rounding errors are ties.

    If both distributions are the same, the expected density is 1 and the expected coverage
    1 − (n−1)···(n−k) / ((n+m−1)···(n+m−k)), 0.97 for n = m and k = 5; precision and recall depend on the distribution.
    All four depend on n, m, k and the features: compare only values that share them.

    Args:
        real: feature vectors of shape `(n, D)`, n at least k + 1.
        generated: feature vectors of shape `(m, D)`, m at least k + 1.
        k: int, the k-th nearest neighbor bounds a neighborhood; at least 1, default 5.

    Example:
        >>> real = [[0.0], [1.0], [2.0], [10.0]]
        >>> generated = [[0.4], [0.5], [0.6], [-9.0]]  # three near the first two, one far away
        >>> precision_recall(real, generated, k=1)
        PrecisionRecall(precision=0.75, recall=0.25, density=1.5, coverage=0.5)
    """
    k = checks.positive_int("k", k)
    real, generated = arrays.features("real", real), arrays.features("generated", generated)
    arrays.same_dimensions("generated", generated, "real", real)
    for argument, samples in (("real", real), ("generated", generated)):
        if len(samples) <= k:
            raise must_be(argument, f"at least {k + 1} samples, one more than k", arrays.Shape(samples))
    # The fast formula for distances, x² − 2xy + y², loses digits far from zero, so the data are centered.
    center = real.mean(axis=0)
    real = real - center
    generated = generated - center

    real_radii, generated_radii = _squared_radii(real, k), _squared_radii(generated, k)
    balls_around = np.zeros(len(generated), np.int64)
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for rows, squared_distances in _blocks(real, generated):
        inside = squared_distances < real_radii[rows, np.newaxis]
        balls_around += inside.sum(axis=0)
        covered[rows] = inside.any(axis=1)
        recalled[rows] = (squared_distances < generated_radii).any(axis=1)
    return PrecisionRecall(
        precision=float((balls_around > 0).mean()),
        recall=float(recalled.mean()),
        density=float(balls_around.mean() / k),
        coverage=float(covered.mean()),
    )


def _squared_radii(samples: np.ndarray, k: int) -> np.ndarray:
    """Return each sample's squared distance to its k-th nearest other sample, minus the possible rounding error.

    The rounding error of a squared distance of D-vectors is at most about D ε (|x|² + |y|²); at a distance of r,
    |y|² ≤ 2 (|x|² + r²). Twice that, for radius and distance, is subtracted, so that a tie is never inside.
    """
    squares = np.empty(len(samples))
    for rows, squared_distances in _blocks(samples):
        squares[rows] = np.partition(squared_distances, k, axis=1)[:, k]  # index 0 is the sample itself
    norms = np.einsum("ij,ij->i", samples, samples)
    return squares - 8 * samples.shape[1] * np.finfo(np.float64).eps * (norms + squares)


def _blocks(a: np.ndarray, b: np.ndarray | None = None) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield slices of rows of `a` with their squared distances to all of `b` (or of `a`, exactly 0 to itself)."""
    from sklearn.metrics import pairwise_distances_chunked

    start = 0
    options = {"metric": "euclidean", "squared": True, "working_memory": WORKING_MEMORY}
    for block in pairwise_distances_chunked(a, b, **options):
        yield slice(start, start + len(block)), block
        start += len(block)
