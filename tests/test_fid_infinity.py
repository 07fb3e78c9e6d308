"""Tests of FID∞: the extrapolation against closed forms, its line against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from keras_gen.metrics.frechet import GaussianStatistics, distance
from keras_gen.metrics.frechet_infinity import fid_infinity
from keras_gen.utils.errors import UsageError

DIMENSIONS = 32
STANDARD = GaussianStatistics.from_moments(10**9, np.zeros(DIMENSIONS), np.eye(DIMENSIONS))


def samples(seed: int, count: int = 400, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, DIMENSIONS)) * scale + shift


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.9, 0.05), (1.2, 0.0)])
def test_is_nearer_to_the_closed_form_than_the_distance_of_all_samples(scale, shift):
    truth = DIMENSIONS * ((scale - 1.0) ** 2 + shift**2)
    found = [fid_infinity(samples(seed, 400, scale, shift), STANDARD, seed=seed) for seed in range(10)]
    errors = np.array([(result.value - truth, result.distances[-1] - truth) for result in found])
    extrapolated, plain = np.sqrt(np.mean(errors**2, axis=0))
    assert plain > 0.5
    assert extrapolated < 0.5 * plain
    assert abs(errors[:, 0].mean()) < 0.25 * plain


def test_the_line_is_that_of_scikit_learn():
    found = fid_infinity(samples(0), STANDARD, points=7, smallest=100)
    line = LinearRegression().fit(1.0 / np.array(found.counts)[:, np.newaxis], found.distances)
    assert found.value == pytest.approx(line.intercept_, rel=1e-9)
    assert found.slope == pytest.approx(line.coef_[0], rel=1e-9)
    assert found.slope > 0


def test_counts_lie_evenly_up_to_all_samples():
    features = samples(1, 100)
    found = fid_infinity(features, STANDARD, points=4, smallest=40)
    assert found.counts == (40, 60, 80, 100)
    assert found.distances[-1] == pytest.approx(
        distance(GaussianStatistics.from_features(features), STANDARD), rel=1e-9
    )
    default = fid_infinity(features, STANDARD)
    assert (len(default.counts), default.counts[0], default.counts[-1]) == (15, 50, 100)


def test_subsets_are_drawn_without_replacement():
    """The last one is every sample once, with mean 0 and variance 10 / 3, whatever the order."""
    features = np.array([[1.0], [-1.0], [2.0], [-2.0]])
    reference = GaussianStatistics.from_moments(10, [0.0], [[0.0]])  # a point at 0: mean² + variance away
    for seed in range(5):
        found = fid_infinity(features, reference, points=2, smallest=3, seed=seed)
        assert found.distances[-1] == pytest.approx(10.0 / 3.0, rel=1e-12)


def test_the_seed_chooses_the_subsets():
    first, again, other = (fid_infinity(samples(2, 60), STANDARD, points=3, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first.distances[:-1] != other.distances[:-1]


def test_the_value_is_not_cut_off_at_zero():
    """From counts as low as D on, the line is too steep."""
    assert fid_infinity(samples(0, 400), STANDARD, points=5, smallest=40).value < -0.1


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"generated_features": samples(0, 20)}, r"generated_features must be enough samples for 15.*\(20, 32\)"),
        ({"generated_features": samples(0, 1)}, "generated_features must be at least 2 samples"),
        ({"generated_features": np.ones((50, 3))}, r"generated_features must be of shape \(n, 32\), like reference"),
        ({"reference": GaussianStatistics()}, "reference must be of at least 2 samples, received: 0"),
        ({"reference": np.eye(3)}, "reference must be GaussianStatistics, received: ndarray"),
        ({"points": 1}, "points must be an integer of at least 2, received: 1"),
        ({"smallest": 1}, "smallest must be from 2 to 46 for 15 points of 60 samples, received: 1"),
        ({"smallest": 47}, "smallest must be from 2 to 46 for 15 points of 60 samples, received: 47"),
        ({"smallest": 10.0}, "smallest must be an integer"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_bad_arguments_are_named_in_one_line(change, named):
    with pytest.raises(UsageError, match=named) as raised:
        fid_infinity(**{"generated_features": samples(0, 60), "reference": STANDARD} | change)
    assert "\n" not in str(raised.value)
