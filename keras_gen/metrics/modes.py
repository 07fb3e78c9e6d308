"""How many classes a model generates, and how evenly, as a classifier of the images sees it."""

from __future__ import annotations

import numbers
from typing import NamedTuple

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.utils.errors import must_be


class ModeCoverage(NamedTuple):
    """What `mode_coverage` returns.

    Args:
        classes: K, the classes that there are.
        reached: how many of them the images reach.
        entropy: of the shares of the classes, in nats: 0 for one class alone, log K for equal shares.
        counts: images of each class, int64 of shape `(K,)`.
    """

    classes: int
    reached: int
    entropy: float
    counts: np.ndarray


def mode_coverage(logits: np.ndarray, *, threshold: float = 0.1) -> ModeCoverage:
    """Classes that generated images reach, from a classifier's outputs for them.

    With p_c the share of the images whose largest logit is that of class c, out of K classes,

        reached = Σ_c [p_c ≥ threshold / K]        entropy = −Σ_c p_c log p_c

    Counting modes with a classifier is how mode collapse is measured on labeled data (Metz et al. 2016,
    arXiv:1611.02163, on stacked MNIST). A class needs a part of its even share here, not one image only: classifiers
    err, more often on generated images, so that of 10,000 images of a single digit some are taken for each of the other
    nine, and single misclassified images do not make a mode. A tenth of the even share is 1 % of the images for 10
    classes.

    Args:
        logits: of the generated images, shape `(n, K)`, K at least 2; n should be well above K / threshold. Any
            increasing function of them, such as probabilities, gives the same.
        threshold: the part of the even share 1/K that a class needs to count as reached, above 0 and at most 1.

    Returns:
        K, the number of classes reached, the entropy in nats, and the histogram.

    Raises:
        UsageError: another shape, no image, a value that is not finite, or a threshold out of range.

    Example:
        >>> logits = np.eye(4)[[0] * 50 + [1] * 48 + [2] * 2]  # two classes, and two images taken for a third
        >>> coverage = mode_coverage(logits)
        >>> coverage.reached, round(coverage.entropy, 4), coverage.counts.tolist()
        (2, 0.7771, [50, 48, 2, 0])
    """
    logits = arrays.logits("logits", logits)
    if isinstance(threshold, bool) or not isinstance(threshold, numbers.Real) or not 0 < threshold <= 1:
        raise must_be("threshold", "a number above 0 and at most 1", threshold)
    from scipy.special import entr

    classes = logits.shape[1]
    counts = np.bincount(logits.argmax(axis=1), minlength=classes)
    needed = threshold * len(logits) / classes
    reached = counts >= needed * (1 - 1e-9)  # as many as needed are enough, however the product was rounded
    return ModeCoverage(classes, int(reached.sum()), float(entr(counts / len(logits)).sum()), counts)
