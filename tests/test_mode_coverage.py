"""Tests of mode coverage and confidence: classes reached, their entropy and histogram, probabilities above a limit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from keras_gen.metrics.modes import confident_share, mode_coverage
from keras_gen.utils.errors import UsageError


def logits_of(classes, count, seed=0):
    """Return logits whose largest is that of the given class."""
    logits = np.random.default_rng(seed).normal(size=(len(classes), count))
    logits[np.arange(len(classes)), classes] = logits.max(axis=1) + 0.1
    return logits


def with_counts(*counts):
    return logits_of(np.repeat(np.arange(len(counts)), counts), len(counts))


def test_even_shares_reach_all_classes_with_the_largest_entropy():
    result = mode_coverage(with_counts(*[20] * 10))
    assert (result.classes, result.reached) == (10, 10)
    assert result.entropy == pytest.approx(math.log(10), rel=1e-12)
    assert result.counts.tolist() == [20] * 10


def test_entropy_is_scipys_of_the_histogram_in_nats():
    counts = [5, 0, 17, 1, 30]
    result = mode_coverage(with_counts(*counts))
    assert result.entropy == pytest.approx(scipy.stats.entropy(counts), rel=1e-12)
    assert result.entropy == pytest.approx(-sum(c / 53 * math.log(c / 53) for c in counts if c), rel=1e-12)


def test_single_misclassified_images_make_no_mode():
    # 1000 images, 10 classes: the even share is 100, a tenth of it 10.
    result = mode_coverage(with_counts(950, 10, 9, 9, 9, 9, 1, 1, 1, 1))
    assert result.reached == 2
    assert result.classes == 10


@pytest.mark.parametrize(
    ("threshold", "reached"),
    [(1e-6, 5), (0.02, 5), (0.021, 4), (0.05, 3), (0.5, 2), (0.51, 1), (1, 1), (np.float32(1), 1)],
)
def test_a_class_needs_its_part_of_the_even_share(threshold, reached):
    logits = with_counts(410, 50, 4, 2, 34)  # an even share is 100
    assert mode_coverage(logits, threshold=threshold).reached == reached


@pytest.mark.parametrize("threshold", np.arange(1, 101) / 100)
def test_exactly_the_needed_count_is_enough_whatever_the_product_rounds_to(threshold):
    needed = round(300 * threshold)  # of 3 classes and 900 images
    result = mode_coverage(with_counts(needed, 900 - needed, 0), threshold=threshold)
    assert result.reached == 2
    if needed > 1:
        assert mode_coverage(with_counts(needed - 1, 901 - needed, 0), threshold=threshold).reached == 1


def test_probabilities_give_the_same_as_logits():
    logits = np.random.default_rng(1).normal(size=(200, 6))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    of_logits, of_probabilities = mode_coverage(logits), mode_coverage(probabilities)
    assert of_logits[:3] == of_probabilities[:3]
    np.testing.assert_array_equal(of_logits.counts, of_probabilities.counts)
    assert of_logits.counts.tolist() == np.bincount(logits.argmax(axis=1)).tolist()


GOOD = np.zeros((4, 3))


@pytest.mark.parametrize(
    ("logits", "options", "message"),
    [
        (GOOD[0], {}, r"^logits must be of shape \(n, K\), K at least 2, received: shape \(3,\)$"),
        (GOOD[:, :1], {}, r"^logits must be of shape \(n, K\), K at least 2"),
        (GOOD[:0], {}, r"^logits must be at least 1 sample, received: shape \(0, 3\)$"),
        (GOOD * np.nan, {}, "^logits must be finite"),
        (GOOD, {"threshold": 0}, "^threshold must be a number above 0 and at most 1, received: 0$"),
        (GOOD, {"threshold": 1.5}, "^threshold must be a number above 0 and at most 1, received: 1.5$"),
        (GOOD, {"threshold": math.nan}, "^threshold must be .* received: nan$"),
        (GOOD, {"threshold": True}, "^threshold must be .* received: True$"),
        (GOOD, {"threshold": "low"}, "^threshold must be .* received: 'low'$"),
    ],
)
def test_bad_arguments_are_named(logits, options, message):
    with pytest.raises(UsageError, match=message):
        mode_coverage(logits, **options)


def test_the_confident_share_counts_probabilities_above_the_limit():
    largest = np.array([0.95, 0.91, 0.9, 0.6, 0.999, 0.34])
    rest = (1 - largest)[:, None] * [0.7, 0.3]
    probabilities = np.concatenate([rest[:, :1], largest[:, None], rest[:, 1:]], axis=1)
    logits = np.log(probabilities) + np.random.default_rng(0).normal(size=(6, 1))  # a constant changes no softmax
    assert confident_share(logits, confidence=0.9 + 1e-9) == pytest.approx(3 / 6)
    assert confident_share(logits, confidence=0.5) == pytest.approx(5 / 6)
    assert confident_share(logits * 1000) == 1.0  # no overflow


@pytest.mark.parametrize("confidence", [0, -0.1, 1, 1.1, True, "0.9", math.nan])
def test_a_confidence_outside_of_0_to_1_is_refused(confidence):
    with pytest.raises(UsageError, match="^confidence must be a number above 0 and below 1"):
        confident_share(np.zeros((2, 3)), confidence=confidence)
