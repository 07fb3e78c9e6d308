"""Tests of the Inception Score: closed forms, its definition by entropies, splits and stability."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import entropy

from keras_gen.metrics.inception import inception_score
from keras_gen.utils.errors import UsageError

CLASSES = 10


def logits(seed=0, count=200, classes=CLASSES, scale=2.0):
    return scale * np.random.default_rng(seed).normal(size=(count, classes))


def test_samples_that_are_all_the_same_score_one():
    found = inception_score(np.tile(logits(count=1), (50, 1)))
    assert found == pytest.approx((1.0, 0.0, 10), abs=1e-12)


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_certain_and_even_samples_score_the_number_of_classes(classes):
    certain = 100.0 * np.tile(np.eye(classes), (4, 1))
    assert inception_score(certain, splits=2) == pytest.approx((classes, 0.0, 2), rel=1e-9, abs=1e-9)


def test_certain_samples_score_the_effective_number_of_classes():
    """Certain predictions of classes in proportions p score the exponential of the entropy of p."""
    certain = 100.0 * np.eye(3)[[0] * 5 + [1] * 3 + [2] * 2]
    assert inception_score(certain, splits=1).mean == pytest.approx(np.exp(entropy([0.5, 0.3, 0.2])), rel=1e-9)


def test_equals_the_difference_of_entropies():
    """Mean KL(p(y|x) ‖ p(y)) = H(y) − mean H(y|x), for each split; 203 samples are 50, 51, 51 and 51."""
    values = logits(count=203)
    odds = np.exp(values)
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    parts = np.split(probabilities, [50, 101, 152])
    scores = [np.exp(entropy(part.mean(axis=0)) - entropy(part, axis=1).mean()) for part in parts]
    found = inception_score(values, splits=4)
    assert found == pytest.approx((np.mean(scores), np.std(scores), 4), rel=1e-9)
    assert 1.0 < found.mean < CLASSES and found.spread > 0.0


def test_splits_are_consecutive():
    by_class = 100.0 * np.eye(CLASSES)[np.repeat(np.arange(CLASSES), 20)]
    assert inception_score(by_class, splits=10).mean == pytest.approx(1.0, rel=1e-9)
    shuffled = by_class[np.random.default_rng(1).permutation(200)]
    assert inception_score(shuffled, splits=10).mean > 5.0


def test_a_constant_added_to_a_samples_logits_changes_nothing():
    values = logits()
    expected = inception_score(values)
    assert inception_score(values + np.linspace(-1e4, 1e4, 200)[:, np.newaxis]) == pytest.approx(expected, rel=1e-8)


def test_large_logits_do_not_overflow():
    found = inception_score(1e300 * np.eye(4)[[0, 1, 2, 3]], splits=1)
    assert found == pytest.approx((4.0, 0.0, 1), rel=1e-12)


def test_float32_logits_are_taken_in_float64():
    single = logits().astype("float32")
    assert inception_score(single) == inception_score(single.astype("float64"))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"logits": np.ones((9, 5))}, r"logits must be at least 10 samples, received: shape \(9, 5\)"),
        ({"logits": np.ones((20, 1))}, r"logits must be of shape \(n, K\), K at least 2, received: shape \(20, 1\)"),
        ({"logits": np.ones(20)}, r"logits must be of shape \(n, K\)"),
        ({"logits": np.full((20, 3), np.nan)}, "logits must be finite, received: 60 of 60"),
        ({"splits": 0}, "splits must be an integer of at least 1, received: 0"),
        ({"splits": 2.0}, "splits must be an integer of at least 1, received: 2.0"),
    ],
)
def test_bad_arguments_are_named_in_one_line(change, named):
    with pytest.raises(UsageError, match=named) as raised:
        inception_score(**{"logits": logits()} | change)
    assert "\n" not in str(raised.value)
