"""Fidelity and diversity apart: improved precision and recall, density and coverage. In float64, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.utils import checks
from keras_gen.utils.errors import must_be

WORKING_MEMORY = 64
"""MiB that one block of distances may take; a few blocks exist at a time. It does not change the results."""


class PrecisionRecall(NamedTuple):
    """What `precision_recall` returns: four floats, of which `density` alone can exceed 1.

    Args:
        precision: the part of the generated samples that lie where real ones do (fidelity).
        recall: the part of the real samples that lie where generated ones do (diversity).
        density: in how many real neighborhoods a generated sample lies, over the k of a sample of the real
            distribution (fidelity; outliers among the real samples count for less than in precision).
        coverage: the part of the real neighborhoods with a generated sample in them (diversity; outliers among the
            generated samples do not raise it, as they do recall).
    """

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall(real: np.ndarray, generated: np.ndarray, *, k: int = 5) -> PrecisionRecall:
    """Precision and recall (Kynkäänniemi et al. 2019, arXiv:1904.06991), density and coverage (Naeem et al. 2020,
    arXiv:2002.09797).

    A sample's neighborhood is the open ball B(x) that reaches to the k-th nearest other sample of its own set. With
    real samples X_i, i = 1…n, and generated ones Y_j, j = 1…m, and Euclidean distances,

        precision = 1/m Σ_j [Y_j lies in some B(X_i)]        density  = 1/(k m) Σ_j Σ_i [Y_j lies in B(X_i)]
        recall    = 1/n Σ_i [X_i lies in some B(Y_j)]        coverage = 1/n Σ_i [B(X_i) contains some Y_j]

    Kynkäänniemi et al. count the ball's surface too (and use k = 3); open balls are those of Naeem et al.'s code. It
    makes a difference for ties alone: generated samples at exactly a radius' distance, such as copies of real ones, are
    outside here, and distances that differ by less than their rounding are ties.

    If both distributions are the same, density is 1 on average and coverage
    1 − (n−1)···(n−k) / ((n+m−1)···(n+m−k)), 0.97 for n = m and k = 5; precision and recall depend on the distribution.
    All four depend on n, m, k and the features: compare only values that share them.

    Args:
        real: feature vectors, shape `(n, D)`, n at least k + 1.
        generated: feature vectors, shape `(m, D)`, m at least k + 1.
        k: which nearest neighbor, at least 1, bounds a neighborhood.

    Returns:
        The four values, at least 0.

    Raises:
        UsageError: other shapes, fewer than k + 1 samples, a value that is not finite, or a k below 1.

    Example:
        >>> real = [[0.0], [1.0], [2.0], [10.0]]
        >>> generated = [[0.4], [0.5], [0.6], [-9.0]]  # three near the first two, and one far outside
        >>> precision_recall(real, generated, k=1)
        PrecisionRecall(precision=0.75, recall=0.25, density=1.5, coverage=0.5)
    """
    k = checks.positive_int("k", k)
    real, generated = arrays.features("real", real), arrays.features("generated", generated)
    arrays.same_dimensions("generated", generated, "real", real)
    for argument, samples in (("real", real), ("generated", generated)):
        if len(samples) <= k:
            raise must_be(argument, f"at least {k + 1} samples, one more than k", arrays.Shape(samples))
    # The fast formula for distances, x² − 2xy + y², loses digits far from zero.
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
    """Squared distance of each sample to its k-th nearest other one, less what rounding can add to such a distance.

    A squared distance of D-vectors comes out with an error of at most about D ε (|x|² + |y|²); at a distance of r,
    |y|² ≤ 2 (|x|² + r²). Twice that, for radius and distance, is taken off, so that a tie is never inside.
    """
    squares = np.empty(len(samples))
    for rows, squared_distances in _blocks(samples):
        squares[rows] = np.partition(squared_distances, k, axis=1)[:, k]  # the sample itself is at place 0
    norms = np.einsum("ij,ij->i", samples, samples)
    return squares - 8 * samples.shape[1] * np.finfo(np.float64).eps * (norms + squares)


def _blocks(a: np.ndarray, b: np.ndarray | None = None) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared distances of some rows of `a` to all of `b` (or of `a`, exactly 0 to itself), and which rows."""
    from sklearn.metrics import pairwise_distances_chunked

    start = 0
    options = {"metric": "euclidean", "squared": True, "working_memory": WORKING_MEMORY}
    for block in pairwise_distances_chunked(a, b, **options):
        yield slice(start, start + len(block)), block
        start += len(block)
