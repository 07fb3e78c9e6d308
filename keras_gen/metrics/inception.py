"""Inception Score of a classifier's logits. NumPy and SciPy, in float64."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.utils import checks


class InceptionScore(NamedTuple):
    """What `inception_score` returns.

    Args:
        mean: the mean over the splits.
        spread: their standard deviation (divided by the number of splits).
        splits: how many splits there were.
    """

    mean: float
    spread: float
    splits: int


def inception_score(logits: np.ndarray, *, splits: int = 10) -> InceptionScore:
    """The Inception Score (Salimans et al. 2016, "Improved Techniques for Training GANs", arXiv:1606.03498).

        IS = exp(1/n Σᵢ KL(p(y|xᵢ) ‖ p(y)))        p(y) = 1/n Σᵢ p(y|xᵢ)

    for each split of the samples, n of them in it; then mean and standard deviation over the splits. It rises with
    classes that are certain and with classes that are evenly frequent, and sees no real image. Few samples in a split
    make it too low.

    The splits are consecutive: split i of s is samples ⌊i N / s⌋ to ⌊(i+1) N / s⌋ − 1, so that their sizes differ by
    one at most, as in the authors' code and torch-fidelity (torch-fidelity's default shuffles first, the authors' code
    does not and neither does this): samples sorted by class must be shuffled by the caller.

    Args:
        logits: a classifier's outputs before the softmax, shape `(N, K)`, K at least 2, N at least `splits`.
            Log-probabilities do as well.
        splits: how many splits.

    Returns:
        Mean, spread and splits; the score is from 1 to K (and to the number of samples in a split), without a unit.

    Raises:
        UsageError: another shape, fewer samples than splits, or a value that is not finite.

    Example:
        >>> certain_and_even = 1000.0 * np.eye(3)[[0, 1, 2, 0, 1, 2]]
        >>> score = inception_score(certain_and_even, splits=2)
        >>> round(score.mean, 9), round(score.spread, 9), score.splits
        (3.0, 0.0, 2)
    """
    from scipy.special import rel_entr, softmax

    splits = checks.positive_int("splits", splits)
    probabilities = softmax(arrays.logits("logits", logits, minimum=splits), axis=1)
    count = len(probabilities)
    scores = []
    for split in range(splits):
        conditional = probabilities[split * count // splits : (split + 1) * count // splits]
        divergences = rel_entr(conditional, conditional.mean(axis=0)).sum(axis=1)
        scores.append(np.exp(divergences.mean()))
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)), splits)
