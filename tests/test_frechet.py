"""The Fréchet distance against SciPy and closed forms, also of singular and graded covariances; merged statistics."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from keras_gen.metrics import arrays
from keras_gen.metrics.frechet import GaussianStatistics, distance, fid, frechet_distance
from keras_gen.utils.errors import UsageError


def _correlated(rng: np.random.Generator, count: int, dimensions: int) -> np.ndarray:
    return rng.normal(size=(count, dimensions)) @ rng.normal(size=(dimensions, dimensions)) + rng.normal(
        size=dimensions
    )


DIMENSIONS = 120
DECADES = np.logspace(0, -8, DIMENSIONS)
FIRST_HALF = np.arange(DIMENSIONS) < DIMENSIONS // 2


def rotation(seed: int, dimensions: int = DIMENSIONS) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dimensions, dimensions)))[0]


def rotated(variances: np.ndarray, axes: np.ndarray) -> np.ndarray:
    covariance = axes * variances @ axes.T
    return (covariance + covariance.T) / 2


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


# Covariances with the same axes commute: the distance is that of the standard deviations.


@pytest.mark.parametrize(
    ("variances", "others"),
    [
        pytest.param(DECADES, DECADES[::-1], id="eight decades, reversed"),
        pytest.param(DECADES, np.random.default_rng(1).permutation(DECADES), id="eight decades, shuffled"),
        pytest.param(DECADES, DECADES * np.linspace(0.5, 2.0, DIMENSIONS), id="eight decades, alike"),
        pytest.param(DECADES, DECADES * FIRST_HALF, id="one singular"),
        pytest.param(DECADES * FIRST_HALF, DECADES * FIRST_HALF * 2, id="both singular, one range"),
        pytest.param(1.0 * FIRST_HALF, 2.0 * ~FIRST_HALF, id="both singular, ranges apart"),
        pytest.param(1.0 * FIRST_HALF, 2.0 * np.roll(FIRST_HALF, 20), id="both singular, ranges overlap"),
        pytest.param(DECADES, 0 * DECADES, id="a point"),
    ],
)
def test_commuting_covariances_have_a_closed_form(variances, others):
    axes, zero = rotation(0), np.zeros(DIMENSIONS)
    covariances = rotated(variances, axes), rotated(others, axes)
    expected = np.sum((np.sqrt(variances) - np.sqrt(others)) ** 2)
    found = frechet_distance(zero, covariances[0], zero, covariances[1])
    assert found == pytest.approx(expected, rel=1e-7)
    assert frechet_distance(zero, covariances[1], zero, covariances[0]) == found  # to the bit


def test_covariances_that_do_not_commute_from_a_known_optimal_map():
    """If x has covariance C and T is positive definite, T x has T C T, and the distance is tr (T − 1) C (T − 1).

    T is the gradient of a convex function and therefore an optimal transport map (Brenier's theorem).
    """
    covariance = rotated(DECADES, rotation(1))
    transport = rotated(np.linspace(0.2, 3.0, DIMENSIONS), rotation(2))
    moved = transport - np.eye(DIMENSIONS)
    image = transport @ covariance @ transport
    mean, other = np.zeros(DIMENSIONS), np.full(DIMENSIONS, 0.1)
    expected = np.trace(moved @ covariance @ moved) + DIMENSIONS * 0.1**2
    found = frechet_distance(mean, covariance, other, (image + image.T) / 2)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("count", "other_count"), [(30, 40), (30, 300), (2, 3), (121, 120)])
def test_few_samples_equal_the_singular_values_of_the_samples(count, other_count):
    """No covariance and no square: the nuclear norm of A Bᵀ. Repeated samples lower the rank further."""
    rng = np.random.default_rng(3)
    a = rng.normal(size=(count, DIMENSIONS)) * np.sqrt(DECADES[::2].repeat(2))
    b = rng.normal(size=(other_count, DIMENSIONS)) * np.logspace(0, -2, DIMENSIONS) + 0.1
    b[other_count // 2 + 1 :] = b[1 : other_count - other_count // 2]
    centered_a, centered_b = a - a.mean(0), b - b.mean(0)
    nuclear = np.linalg.svd(centered_a @ centered_b.T, compute_uv=False).sum()
    nuclear /= np.sqrt((count - 1) * (other_count - 1))
    traces = np.sum(centered_a**2) / (count - 1) + np.sum(centered_b**2) / (other_count - 1)
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + traces - 2 * nuclear
    assert fid(a, b) == pytest.approx(expected, rel=1e-9)
    assert fid(b, a) == pytest.approx(expected, rel=1e-9)
    assert fid(a + 1e3, b + 1e3) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("scale", [1e-80, 1e80])
def test_the_unit_of_the_features_is_squared(scale):
    rng = np.random.default_rng(8)
    a, b = rng.normal(size=(30, 4)), 1.5 * rng.normal(size=(40, 4))
    assert fid(scale * a, scale * b) == pytest.approx(scale**2 * fid(a, b), rel=1e-9)


@pytest.mark.parametrize("indefinite", [[[1.0, 2.0], [2.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, -1.0]]])
def test_an_indefinite_matrix_is_refused(indefinite):
    zero, good = np.zeros(2), np.eye(2)
    with pytest.raises(UsageError, match="covariance_1 must (be positive semi-definite|have no negative variance)"):
        frechet_distance(zero, indefinite, zero, good)
    with pytest.raises(UsageError, match="covariance_2 must (be positive semi-definite|have no negative variance)"):
        frechet_distance(zero, good, zero, indefinite)


# Statistics


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


def test_a_refused_batch_leaves_the_statistics_as_they_were():
    statistics = GaussianStatistics()
    statistics.update(np.eye(2))
    for batch in (np.ones((3, 4)), np.full((3, 2), np.inf)):
        with pytest.raises(UsageError, match="features must be"):
            statistics.update(batch)
    assert statistics.count == 2
    assert statistics.mean.tolist() == [0.5, 0.5]


def test_restored_statistics_can_be_updated():
    features = np.random.default_rng(4).normal(size=(50, 6))
    statistics = GaussianStatistics.from_features(features[:30])
    stored = GaussianStatistics.from_moments(30, statistics.mean, statistics.covariance)
    assert (stored.count, stored.dimensions) == (30, 6)
    np.testing.assert_array_equal(stored.mean, statistics.mean)
    np.testing.assert_allclose(stored.covariance, statistics.covariance, rtol=1e-15)
    stored.update(features[30:])
    np.testing.assert_allclose(stored.mean, features.mean(0), rtol=1e-12)
    np.testing.assert_allclose(stored.covariance, np.cov(features, rowvar=False), rtol=1e-12)


def test_moments_given_are_not_changed_later():
    mean, covariance = np.zeros(2), np.eye(2)
    GaussianStatistics.from_moments(2, mean, covariance).update(np.ones((5, 2)))
    assert mean.tolist() == [0.0, 0.0]
    assert covariance.tolist() == [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize("cut", [0, 1, 13, 40])
def test_merged_statistics_are_those_of_all(cut):
    features = np.random.default_rng(5).normal(size=(40, 4)) + 1e6
    first, second = (GaussianStatistics.from_features(part) for part in (features[:cut], features[cut:]))
    for merged in (first.merged(second), second.merged(first)):
        assert merged.count == 40
        np.testing.assert_allclose(merged.mean, features.mean(0), rtol=1e-15)
        np.testing.assert_allclose(merged.covariance, np.cov(features, rowvar=False), rtol=1e-8, atol=1e-9)
    assert (first.count, second.count) == (cut, 40 - cut)
    assert GaussianStatistics().merged(second).count == 40 - cut


def test_the_distance_of_statistics_is_that_of_the_features():
    rng = np.random.default_rng(6)
    a, b = rng.normal(size=(80, 5)), rng.normal(size=(60, 5)) * 1.4 + 0.3
    found = distance(GaussianStatistics.from_features(a), GaussianStatistics.from_features(b))
    assert found == fid(a, b) > 0.4


# Wrong arguments


PLANE = GaussianStatistics.from_moments(10, np.zeros(2), np.eye(2))
LINE = GaussianStatistics.from_moments(10, np.zeros(1), np.eye(1))
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
        (lambda: GaussianStatistics.from_moments(1, [0.0], [[1.0]]), "count must be an integer of at least 2.*: 1$"),
        (lambda: GaussianStatistics.from_moments(2.0, [0.0], [[1.0]]), "count must be an integer of at least 2"),
        (lambda: GaussianStatistics.from_moments(2, [[0.0]], [[1.0]]), r"^mean must be of shape \(D,\).*\(1, 1\)$"),
        (lambda: GaussianStatistics.from_moments(2, [0.0], np.eye(2)), r"covariance must be of shape \(1, 1\)"),
        (lambda: GaussianStatistics.from_moments(2, [0.0], [[np.nan]]), "covariance must be finite"),
        (lambda: GaussianStatistics.from_moments(2, [0.0], [[-1.0]]), "covariance must have no negative variance"),
        (lambda: GaussianStatistics.from_moments(2, [0, 0], [[1, 1], [0, 1]]), "covariance must be symmetric"),
        (lambda: PLANE.merged(LINE), "other must be of 2 dimensions, like these statistics, received: 1 dimensions"),
        (lambda: PLANE.merged(None), "other must be GaussianStatistics, received: NoneType"),
        (lambda: distance(PLANE, LINE), "statistics_2 must be of 2 dimensions, like statistics_1, received: 1"),
        (lambda: distance(GaussianStatistics(), PLANE), "statistics_1 must be of at least 2 samples, received: 0"),
        (lambda: distance(PLANE, np.eye(2)), "statistics_2 must be GaussianStatistics, received: ndarray"),
        (lambda: arrays.features("real", np.ones((0, 2))), r"real must be at least 1 sample, received: shape \(0, 2\)"),
        (lambda: arrays.features("real", np.ones((3, 0))), r"real must be of shape \(n, D\), D at least 1.*\(3, 0\)"),
        (lambda: arrays.features("real", ["a", "b"]), "real must be real numbers of shape"),
        (lambda: arrays.features("real", [[1.0], [1.0, 2.0]]), "real must be an array of shape"),
        (lambda: arrays.logits("logits", np.ones((3, 1))), r"logits must be of shape \(n, K\), K at least 2.*\(3, 1\)"),
        (lambda: arrays.logits("logits", [[0.0, -np.inf]]), "logits must be finite, received: 1 of 2 values"),
    ],
)
def test_bad_arguments_are_named_in_one_line(call, named):
    with pytest.raises(UsageError, match=named) as raised:
        call()
    assert "\n" not in str(raised.value)
