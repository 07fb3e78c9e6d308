"""Tests of memorization: the statistic against pairs counted by hand, and its value for known models."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from keras_gen.metrics.data_copying import memorization
from keras_gen.utils.errors import UsageError


def by_hand(generated, test, train):
    def nearest(x):
        return min(math.dist(x, other) for other in train)

    of_generated, of_test = [nearest(x) for x in generated], [nearest(x) for x in test]
    wins = sum((g < t) + 0.5 * (g == t) for g in of_generated for t in of_test)
    return wins / (len(generated) * len(test)), float(np.median(of_generated)), float(np.median(of_test))


def standard_error(n, m):
    return math.sqrt((n + m + 1) / (12 * n * m))


@pytest.mark.parametrize("sizes", [(1, 1, 1), (20, 31, 50), (3, 40, 7)])
def test_equals_the_definition_pair_by_pair(sizes):
    rng = np.random.default_rng(0)
    generated, test, train = (scale * rng.normal(size=(n, 4)) for n, scale in zip(sizes, (0.8, 1, 1), strict=True))
    assert memorization(generated, test, train) == pytest.approx(by_hand(generated, test, train), rel=1e-12)


def test_worked_by_hand_with_ties():
    train = [[0, 0], [10, 0]]
    generated = [[3, 4], [10, 1], [0, 0]]  # 5, 1, 0
    test = [[13, 4], [-1, 0], [0, 2], [10, -7]]  # 5, 1, 2, 7
    # Pairs won and tied, for 5: 1 and 1; for 1: 3 and 1; for 0: 4 and 0.
    assert memorization(generated, test, train) == (9 / 12, 1.0, 3.5)


def test_a_fresh_sample_of_the_distribution_scores_one_half():
    rng, scores = np.random.default_rng(1), []
    train = rng.normal(size=(500, 6))
    for _ in range(25):
        scores.append(memorization(rng.normal(size=(150, 6)), rng.normal(size=(100, 6)), train).copying)
    error = standard_error(150, 100)
    assert np.std(scores) == pytest.approx(error, rel=0.3)
    assert abs(np.mean(scores) - 0.5) < 4 * error / math.sqrt(25)


@pytest.mark.parametrize("noise", [0.0, 1e-3])
def test_copies_score_one(noise):
    rng = np.random.default_rng(2)
    train, test = rng.normal(size=(300, 8)), rng.normal(size=(100, 8))
    copies = train[rng.integers(0, 300, 120)] + noise * rng.normal(size=(120, 8))
    result = memorization(copies, test, train)
    assert result.copying == 1.0
    assert result.generated_distance == pytest.approx(noise * math.sqrt(8), rel=0.2)
    assert result.test_distance > 0.5


def test_the_statistic_reflects_the_fraction_of_copies():
    rng = np.random.default_rng(3)
    train, test = rng.normal(size=(1000, 8)), rng.normal(size=(500, 8))
    generated = np.concatenate([train[:200], rng.normal(size=(300, 8))])
    expected = 0.4 * 1 + 0.6 * 0.5
    assert memorization(generated, test, train).copying == pytest.approx(expected, abs=4 * standard_error(300, 500))


def test_shrunk_samples_score_above_one_half_without_copying():
    """The pitfall in the docstring: samples drawn toward the mean, as blurred images are."""
    rng = np.random.default_rng(5)
    train, test = rng.normal(size=(500, 20)), rng.normal(size=(200, 20))
    result = memorization(0.6 * rng.normal(size=(200, 20)), test, train)
    assert result.copying > 0.9
    assert result.generated_distance > 1


def test_copies_are_at_distance_zero_however_far_from_zero_they_lie():
    """The fast formula for distances would leave rounding errors, which would decide between equal distances."""
    rng = np.random.default_rng(6)
    train = rng.normal(size=(50, 100)) + 1000
    result = memorization(train[:20], train[20:45], train)
    assert result == (0.5, 0.0, 0.0)


def test_memory_is_bounded():
    rng = np.random.default_rng(8)
    generated, test, train = (rng.normal(size=(n, 2)) for n in (2000, 2000, 5000))  # 76 MiB of distances each
    memorization(generated[:5], test[:5], train)  # imports
    tracemalloc.start()
    try:
        memorization(generated, test, train)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * 2**20


GOOD = np.ones((3, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((GOOD[:, :1], GOOD, GOOD), r"^generated must be of shape \(n, 2\), like train, received: shape \(3, 1\)$"),
        ((GOOD, np.ones((3, 5)), GOOD), r"^test must be of shape \(n, 2\), like train, received: shape \(3, 5\)$"),
        ((GOOD[:0], GOOD, GOOD), "^generated must be at least 1 sample"),
        ((GOOD, GOOD[:0], GOOD), "^test must be at least 1 sample"),
        ((GOOD, GOOD, GOOD[:0]), "^train must be at least 1 sample"),
        ((GOOD, GOOD, GOOD * np.inf), "^train must be finite, received: 6 of 6"),
        ((np.ones((3, 4, 4, 1)), GOOD, GOOD), r"^generated must be of shape \(n, D\).*shape \(3, 4, 4, 1\)$"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(UsageError, match=message):
        memorization(*arguments)
