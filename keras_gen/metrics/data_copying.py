"""Detect copied training images, from distances of generated and of test samples to the training set."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_gen.metrics import arrays


class Memorization(NamedTuple):
    """Result of `memorization`.

    Args:
        copying: float in [0, 1], how often a generated sample is nearer to the training set than a test sample.
        generated_distance: float, median distance of the generated samples to their nearest training sample.
        test_distance: float, the same for the test samples.
    """

    copying: float
    generated_distance: float
    test_distance: float


def memorization(generated: np.ndarray, test: np.ndarray, train: np.ndarray) -> Memorization:
    """Test whether generated samples lie nearer to the training set than new real samples do.

    With d(x) the Euclidean distance of x to its nearest training sample, G one of the n generated and T one of the m
    test samples,

        copying = P(d(G) < d(T)) + ½ P(d(G) = d(T)) = U / (n m)

    U is the Mann-Whitney statistic. Meehan, Chaudhuri & Dasgupta 2020, "A non-parametric test to detect data-copying in
    generative models", propose its z-score as a test over the whole space and in cells of it; here it covers the whole
    space only. ½ means that generated samples are as far from the training set as test samples; values toward 1 mean
    nearer than new real samples (copies), values toward 0 farther away. If both distances have the same distribution,
    the standard error is √((n + m + 1) / (12 n m)) without ties: 0.004 for n = m = 10,000.

    Limitations: smooth or blurred images lie near many training images, so a blurry VAE scores above ½ without copying;
    a model that copies half of its images and fails on the other half can score ½. Inspect the nearest neighbors before
    you conclude that a model copies.

    Args:
        generated: feature vectors or flattened pixels of generated images, shape `(n, D)`.
        test: the same of real images that the model was not trained on, shape `(m, D)`.
        train: the same of the training images, shape `(N, D)`.

    Returns:
        A `Memorization`; distances are in units of the features. Memory grows with the arrays, not with the number of
        pairs.

    Example:
        >>> train, test = [[0.0], [10.0], [20.0]], [[1.0], [12.0], [23.0]]
        >>> memorization([[0.0], [10.5], [24.0]], test, train)  # distances 0, 0.5, 4 against 1, 2, 3
        Memorization(copying=0.6666666666666666, generated_distance=0.5, test_distance=2.0)
    """
    generated, test, train = (
        arrays.features(argument, value, convert=False)
        for argument, value in (("generated", generated), ("test", test), ("train", train))
    )
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
    """Return the distance of each sample to its nearest training sample, recomputed to be exactly 0 for a copy."""
    from sklearn.metrics import pairwise_distances_argmin

    nearest = pairwise_distances_argmin(samples, train)  # of float32, too, it computes in float64, a part at a time
    return np.linalg.norm(samples.astype(np.float64) - train[nearest], axis=1)
