"""Inception Score from a classifier's logits. NumPy and SciPy, float64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.utils import checks


class InceptionScore(NamedTuple):
    """Result of `inception_score`.

    Args:
        mean: float, mean over the splits.
        spread: float, standard deviation over the splits (divided by their number).
        splits: int, number of splits.
    """

    mean: float
    spread: float
    splits: int


def inception_score(logits: np.ndarray, *, splits: int = 10) -> InceptionScore:
    """Return the Inception Score (Salimans et al. 2016, "Improved Techniques for Training GANs", arXiv:1606.03498).

        IS = exp(1/n Σᵢ KL(p(y|xᵢ) ‖ p(y)))        p(y) = 1/n Σᵢ p(y|xᵢ)

    is computed for each split of n samples; the result is the mean and standard deviation over the splits. The score
    rises with the certainty of the predicted classes and with the evenness of their frequencies. It uses no real
    images, and is too low if a split has few samples.

    The splits are consecutive, as in the authors' code: split i of s has samples ⌊i N / s⌋ to ⌊(i+1) N / s⌋ − 1, so
    sizes differ by at most one. Samples are not shuffled (torch-fidelity shuffles by default): shuffle samples that are
    sorted by class.

    Args:
        logits: a classifier's outputs before the softmax, or log-probabilities, shape `(N, K)`, K at least 2, N at
            least `splits`.
        splits: int, number of splits; default 10.

    Returns:
        An `InceptionScore`. The score is from 1 to the smaller of K and the number of samples in a split.

    Example:
        >>> certain_and_even = 1000.0 * np.eye(3)[[0, 1, 2, 0, 1, 2]]
        >>> score = inception_score(certain_and_even, splits=2)
        >>> round(score.mean, 9), round(score.spread, 9), score.splits
        (3.0, 0.0, 2)
    """
    from scipy.special import rel_entr, softmax

    splits = checks.positive_int("splits", splits)
    probabilities = softmax(arrays.logits("logits", logits, minimum=splits), axis=1)
    starts = [split * len(probabilities) // splits for split in range(1, splits)]
    scores = []
    for conditional in np.split(probabilities, starts):
        divergences = rel_entr(conditional, conditional.mean(axis=0)).sum(axis=1)
        scores.append(np.exp(divergences.mean()))
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)), splits)
