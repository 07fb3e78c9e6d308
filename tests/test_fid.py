"""Tests of the Fréchet distance against SciPy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from keras_gen.metrics.frechet import GaussianStatistics, fid, frechet_distance
from keras_gen.utils.errors import UsageError


def _correlated(rng: np.random.Generator, count: int, dimensions: int) -> np.ndarray:
    return rng.normal(size=(count, dimensions)) @ rng.normal(size=(dimensions, dimensions)) + rng.normal(
        size=dimensions
    )


# The formula


def test_equals_the_formula_with_scipys_matrix_root():
    rng = np.random.default_rng(0)
    a, b = _correlated(rng, 200, 24), _correlated(rng, 300, 24)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(cov_a + cov_b - 2 * root.real)
    assert fid(a, b) == pytest.approx(expected, rel=1e-9)


def test_a_point_against_a_gaussian_is_its_trace():
    zero, mean = np.zeros(3), np.zeros(3)
    covariance = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 4.0]])
    assert frechet_distance(mean, np.zeros((3, 3)), zero, covariance) == pytest.approx(7.0)
    assert frechet_distance(zero, covariance, mean, np.zeros((3, 3))) == pytest.approx(7.0)
    assert frechet_distance(mean, np.zeros((3, 3)), zero, np.zeros((3, 3))) == 0.0


@pytest.mark.parametrize("count", [500, 20])  # 20: fewer samples than dimensions
def test_identical_sets_are_at_zero_and_the_order_does_not_matter(count):
    rng = np.random.default_rng(2)
    a, b = _correlated(rng, count, 64), _correlated(rng, count, 64)
    assert 0.0 <= fid(a, a) < 1e-8 * np.trace(np.cov(a, rowvar=False))
    assert fid(a, b) == pytest.approx(fid(b, a), rel=1e-9)
    assert fid(a, a + 2.0) == pytest.approx(4.0 * 64, rel=1e-9)


@pytest.mark.parametrize("sizes", [[100], [1] * 100, [2, 3, 0, 95], [99, 1]])
def test_streaming_equals_one_shot_far_from_zero(sizes):
    """At 1e6 sums of squares would keep four digits of a variance of 1."""
    features = np.random.default_rng(4).normal(size=(100, 5)) + 1e6
    statistics = GaussianStatistics()
    for batch in np.split(features, np.cumsum(sizes)[:-1]):
        statistics.update(batch)
    assert statistics.count == 100
    np.testing.assert_allclose(statistics.mean, features.mean(0), rtol=1e-15)
    np.testing.assert_allclose(statistics.covariance, np.cov(features, rowvar=False), rtol=1e-9, atol=1e-9)


def test_returned_statistics_are_copies():
    statistics = GaussianStatistics()
    statistics.update(np.eye(2))
    mean, covariance = statistics.mean, statistics.covariance
    before = mean.copy(), covariance.copy()
    statistics.update(np.ones((3, 2)))
    np.testing.assert_array_equal(mean, before[0])
    np.testing.assert_array_equal(covariance, before[1])


GOOD = np.ones((3, 2))


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: fid(GOOD[0], GOOD), "features_a must be of shape"),
        (lambda: fid(GOOD, np.ones((3, 4))), r"features_b must be of shape \(n, 2\), like features_a.*\(3, 4\)"),
        (lambda: fid(GOOD[:1], GOOD), "features_a must be at least 2 samples"),
        (lambda: fid(GOOD, GOOD[:1]), "features_b must be at least 2 samples"),
        (lambda: fid(GOOD, GOOD * np.nan), "features_b must be finite, received: 6 of 6"),
        (lambda: fid(GOOD, GOOD * 1j), "features_b must be real numbers of shape.*complex128"),
        (lambda: fid("nonsense", GOOD), "features_a must be real numbers"),
        (lambda: fid([[1.0], [1.0, 2.0]], GOOD), "features_a must be an array of shape"),
        (lambda: frechet_distance(GOOD[0], np.eye(2), [0.0], np.eye(2)), "mean_2 must be of shape"),
        (lambda: frechet_distance(GOOD[0], np.eye(3), GOOD[0], np.eye(2)), "covariance_1 must be of shape"),
        (lambda: frechet_distance(GOOD[0], np.eye(2), GOOD[0], np.eye(2) + [[0, 1], [0, 0]]), "covariance_2.*symm"),
        (lambda: frechet_distance(GOOD[0], np.eye(2), GOOD[0], np.inf * np.ones((2, 2))), "covariance_2.*finite"),
        (lambda: GaussianStatistics().mean, "at least 1 sample"),
        (lambda: GaussianStatistics().covariance, "at least 2 samples"),
    ],
)
def test_bad_arguments_are_named_in_one_line(call, named):
    with pytest.raises(UsageError, match=named) as raised:
        call()
    assert "\n" not in str(raised.value)


def test_a_refused_batch_leaves_the_statistics_as_they_were():
    statistics = GaussianStatistics()
    statistics.update(np.eye(2))
    for batch in (np.ones((3, 4)), np.full((3, 2), np.inf)):
        with pytest.raises(UsageError, match="features must be"):
            statistics.update(batch)
    assert statistics.count == 2
    assert statistics.mean.tolist() == [0.5, 0.5]
