"""Tests of KID: against scikit-learn's kernel summed pair by pair, closed forms, and its distribution."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from keras_gen.metrics.polynomial_mmd import kid
from keras_gen.utils.errors import UsageError


def sets(seed=0, n=60, m=60, dimensions=7, shift=0.4):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dimensions)), shift + 1.2 * rng.normal(size=(m, dimensions))


def by_hand(a, b):
    def kernel(x, y):
        return polynomial_kernel(x, y, degree=3, gamma=1.0 / x.shape[1], coef0=1.0)

    within = [kernel(x, x)[~np.eye(len(x), dtype=bool)].mean() for x in (a, b)]
    return sum(within) - 2 * kernel(a, b).mean()


@pytest.mark.parametrize("dimensions", [1, 7, 200])
def test_all_samples_in_one_subset_equal_the_definition(dimensions):
    a, b = sets(dimensions=dimensions)
    found = kid(a, b)
    assert found.mean == pytest.approx(by_hand(a, b), rel=1e-9)
    assert (found.spread, found.subsets, found.subset_size) == (0.0, 1, 60)
    assert kid(b, a).mean == pytest.approx(found.mean, rel=1e-9)


def test_two_samples_each_have_a_closed_form():
    # (xy + 1)³: within {0, 1} 1, within {2, 3} 343; across 1, 1, 27 and 64, of which the mean is 23.25.
    assert kid([[0.0], [1.0]], [[2.0], [3.0]]).mean == pytest.approx(1 + 343 - 2 * 23.25, rel=1e-12)


def test_subsets_estimate_what_all_samples_give():
    a, b = sets(n=400, m=300, shift=1.0)
    found = kid(a, b, subsets=200, subset_size=100)
    assert (found.subsets, found.subset_size) == (200, 100)
    assert found.spread > 0
    # Over the choice of subsets, the estimate of all samples is the expectation: four standard errors of it.
    assert found.mean == pytest.approx(by_hand(a, b), abs=4 * found.spread / np.sqrt(200))


def test_the_seed_chooses_the_subsets_and_spread_is_over_them():
    a, b = sets(n=50, m=40)
    first, again, other = (kid(a, b, subsets=5, subset_size=10, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first.mean != other.mean
    rng = np.random.default_rng(3)
    values = [by_hand(a[rng.permutation(50)[:10]], b[rng.permutation(40)[:10]]) for _ in range(5)]
    assert first.mean == pytest.approx(np.mean(values), rel=1e-9)
    assert first.spread == pytest.approx(np.std(values), rel=1e-9)


def test_is_unbiased_and_below_zero_half_the_time_for_equal_distributions():
    values = np.array([kid(*np.random.default_rng(seed).normal(size=(2, 20, 7))).mean for seed in range(200)])
    assert 0.3 < np.mean(values < 0) < 0.8
    standard_error = values.std() / np.sqrt(200)
    assert abs(values.mean()) < 4 * standard_error
    shifted = np.array([kid(*sets(seed, n=20, m=20)).mean for seed in range(200)])
    assert shifted.mean() > 10 * standard_error


def test_the_expectation_does_not_depend_on_the_count():
    """For N(0, 1) and N(μ, 1) in one dimension, E (xy + 1)³ = 1 + 3 E x E y + 3 E x² E y² + E x³ E y³."""
    shift = 0.7
    moments = np.array([[0.0, 1.0, 0.0], [shift, 1 + shift**2, 3 * shift + shift**3]])
    kernel = 1 + moments @ np.diag([3.0, 3.0, 1.0]) @ moments.T
    truth = kernel[0, 0] + kernel[1, 1] - 2 * kernel[0, 1]
    for count in (5, 100):
        rng = np.random.default_rng(count)
        values = [kid(rng.normal(size=(count, 1)), rng.normal(size=(count, 1)) + shift).mean for _ in range(1000)]
        assert np.mean(values) == pytest.approx(truth, abs=4 * np.std(values) / np.sqrt(1000))


def test_the_default_subset_is_a_thousand_samples_or_all():
    a, b = sets(n=1200, m=1100, dimensions=2)
    assert kid(a, b, subsets=1).subset_size == 1000
    assert kid(a[:30], b, subsets=1).subset_size == 30


def test_the_larger_set_is_drawn_from_where_the_smaller_is_one_subset():
    a, b = sets(n=30, m=50)
    for found in (kid(a, b, subsets=4), kid(b, a, subsets=4)):
        assert (found.subsets, found.subset_size) == (4, 30)
        assert found.spread > 0


GOOD = np.ones((5, 2))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"features_a": GOOD[:1]}, r"features_a must be at least 2 samples, received: shape \(1, 2\)"),
        ({"features_b": GOOD[0]}, r"features_b must be of shape \(n, D\).*\(2,\)"),
        ({"features_b": np.ones((5, 3))}, r"features_b must be of shape \(n, 2\), like features_a.*\(5, 3\)"),
        ({"features_b": GOOD * np.inf}, "features_b must be finite, received: 10 of 10"),
        ({"subsets": 0}, "subsets must be an integer of at least 1, received: 0"),
        ({"subset_size": 1}, "subset_size must be from 2 to 5, the samples of the smaller set, received: 1"),
        ({"subset_size": 6}, "subset_size must be from 2 to 5, the samples of the smaller set, received: 6"),
        ({"subset_size": 2.5}, "subset_size must be an integer"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_bad_arguments_are_named_in_one_line(change, named):
    with pytest.raises(UsageError, match=named) as raised:
        kid(**{"features_a": GOOD, "features_b": np.ones((9, 2))} | change)
    assert "\n" not in str(raised.value)
