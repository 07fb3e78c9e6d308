"""What a classifier says of generated images: how many classes they reach, how evenly, and with what confidence."""

from __future__ import annotations

import numbers
from typing import NamedTuple

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.utils.errors import must_be


class ModeCoverage(NamedTuple):
    """Result of `mode_coverage`.

    Args:
        classes: int, K, number of classes.
        reached: int, number of classes that the images reach.
        entropy: float, entropy of the class frequencies in nats: 0 for a single class, log K for equal frequencies.
        counts: int64 array of shape `(K,)`, images per class.
    """

    classes: int
    reached: int
    entropy: float
    counts: np.ndarray


def mode_coverage(logits: np.ndarray, *, threshold: float = 0.1) -> ModeCoverage:
    """Count the classes that generated images reach, from a classifier's outputs.

    With p_c the fraction of images whose largest logit is that of class c, out of K classes,

        reached = Σ_c [p_c ≥ threshold / K]        entropy = −Σ_c p_c log p_c

    Counting modes with a classifier is the usual measure of mode collapse on labeled data (Metz et al. 2016,
    arXiv:1611.02163, on stacked MNIST). Here a class needs a fraction of its even share 1/K, not just one image:
    classifiers err, more often on generated images, so that of 10,000 images of a single digit some are classified as
    each of the other nine. With 10 classes, a tenth of the even share is 1 % of the images.

    Args:
        logits: a classifier's outputs for the generated images, shape `(n, K)`, K at least 2; n should be well above
            K / threshold. Any increasing function of them, such as probabilities, gives the same result.
        threshold: float in (0, 1], fraction of the even share 1/K that a class needs to count as reached; default 0.1.

    Example:
        >>> logits = np.eye(4)[[0] * 50 + [1] * 48 + [2] * 2]  # two classes, and two images classified as a third
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
    reached = counts >= needed * (1 - 1e-9)  # tolerate the rounding of the product
    return ModeCoverage(classes, int(reached.sum()), float(entr(counts / len(logits)).sum()), counts)


def confident_share(logits: np.ndarray, *, confidence: float = 0.9) -> float:
    """Return the fraction of images whose most probable class has a probability above `confidence`.

    With the logits l_c of an image, the probabilities are softmax(l)_c. A classifier that has only seen images of its
    classes can be confident of images that are of none.

    Args:
        logits: a classifier's outputs before the softmax, shape `(n, K)`, K at least 2.
        confidence: float in (0, 1), the probability that is needed; default 0.9.

    Example:
        >>> confident_share(np.log([[0.95, 0.05], [0.3, 0.7]]))
        0.5
    """
    logits = arrays.logits("logits", logits)
    if isinstance(confidence, bool) or not isinstance(confidence, numbers.Real) or not 0 < confidence < 1:
        raise must_be("confidence", "a number above 0 and below 1", confidence)
    from scipy.special import softmax

    return float((softmax(logits, axis=1).max(axis=1) > confidence).mean())
