"""Does a model copy its training images? Distances to the nearest one, against those of images it never saw."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_gen.metrics import arrays

_ROWS = 1024


class Memorization(NamedTuple):
    """What `memorization` returns.

    Args:
        copying: how often a generated sample is nearer to the training set than a test sample, in [0, 1].
        generated_distance: median distance of the generated samples to their nearest training sample.
        test_distance: the same of the test samples.
    """

    copying: float
    generated_distance: float
    test_distance: float


def memorization(generated: np.ndarray, test: np.ndarray, train: np.ndarray) -> Memorization:
    """Whether generated samples lie nearer to the training set than samples of the real distribution do.

    With d(x) the Euclidean distance of x to its nearest training sample, G of the n generated and T of the m test
    samples,

        copying = P(d(G) < d(T)) + ½ P(d(G) = d(T)) = U / (n m),

    the Mann-Whitney statistic, whose z-score Meehan, Chaudhuri & Dasgupta 2020, "A non-parametric test to detect
    data-copying in generative models", propose as a test over the whole space and in cells of it; here it is over the
    whole space only. ½: generated samples are as far from the training set as test samples are. Toward 1: nearer than
    new real samples ever are, copies. Toward 0: farther away than real samples. If both distances are of
    one distribution, its standard error is √((n + m + 1) / (12 n m)) without ties, 0.004 for n = m = 10,000.

    What it can't tell: smooth or blurred images lie near many training images, so a blurry VAE scores above ½ and
    copies nothing; and a model that copies half of its images and fails with the other half can score ½. Look at
    the nearest neighbors themselves before you call a model a copier.

    Args:
        generated: feature vectors or flattened pixels, shape `(n, D)`.
        test: of real images that the model was not trained on, shape `(m, D)`.
        train: of the images that it was trained on, shape `(N, D)`.

    Returns:
        `copying` and the two median distances, in units of the features. Memory grows with the arrays, not with
        the number of pairs.

    Raises:
        UsageError: other shapes, no samples, or a value that is not finite.

    Example:
        >>> train, test = [[0.0], [10.0], [20.0]], [[1.0], [12.0], [23.0]]
        >>> memorization([[0.0], [10.5], [24.0]], test, train)  # distances 0, 0.5, 4 against 1, 2, 3
        Memorization(copying=0.6666666666666666, generated_distance=0.5, test_distance=2.0)
    """
    generated, test = arrays.features("generated", generated), arrays.features("test", test)
    train = arrays.features("train", train)
    for argument, samples in (("generated", generated), ("test", test)):
        arrays.same_dimensions(argument, samples, "train", train)
    from scipy.stats import mannwhitneyu

    of_generated, of_test = _nearest_distances(generated, train), _nearest_distances(test, train)
    pairs_with_test_farther = mannwhitneyu(of_test, of_generated, method="asymptotic").statistic
    return Memorization(
        copying=float(pairs_with_test_farther / (len(generated) * len(test))),
        generated_distance=float(np.median(of_generated)),
        test_distance=float(np.median(of_test)),
    )


def _nearest_distances(samples: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Distance of each sample to its nearest training sample, exactly 0 for a copy: the search's own is rounded."""
    from sklearn.metrics import pairwise_distances_argmin

    nearest = pairwise_distances_argmin(samples, train)
    distances = np.empty(len(samples))
    for start in range(0, len(samples), _ROWS):
        rows = slice(start, start + _ROWS)
        distances[rows] = np.linalg.norm(samples[rows] - train[nearest[rows]], axis=1)
    return distances
