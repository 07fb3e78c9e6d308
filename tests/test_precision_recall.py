"""Tests of precision, recall, density and coverage against loops over pairs and expectations."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from keras_gen.metrics import manifold_overlap
from keras_gen.metrics.manifold_overlap import precision_recall
from keras_gen.utils.errors import UsageError


def by_hand(real, generated, k):
    """Compute the four definitions pair by pair, with distances without cancellation."""

    def radius(samples, index):
        return sorted(math.dist(samples[index], other) for j, other in enumerate(samples) if j != index)[k - 1]

    real_radii = [radius(real, i) for i in range(len(real))]
    generated_radii = [radius(generated, j) for j in range(len(generated))]
    in_real = [[math.dist(x, y) < r for x, r in zip(real, real_radii, strict=True)] for y in generated]
    in_generated = [[math.dist(x, y) < r for y, r in zip(generated, generated_radii, strict=True)] for x in real]
    return (
        sum(map(any, in_real)) / len(generated),
        sum(map(any, in_generated)) / len(real),
        sum(map(sum, in_real)) / (k * len(generated)),
        sum(any(row[i] for row in in_real) for i in range(len(real))) / len(real),
    )


def sets(seed, n=60, m=45, dimensions=3, shift=0.7, spread=0.8):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, dimensions)), shift + spread * rng.normal(size=(m, dimensions))


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("dimensions", [1, 3, 40])
def test_equals_the_definitions_pair_by_pair(k, dimensions):
    real, generated = sets(seed=k, dimensions=dimensions)
    assert precision_recall(real, generated, k=k) == pytest.approx(by_hand(real, generated, k), abs=1e-12)


def test_points_on_a_line():
    # Real balls: 1 around 0, 1 and 2, 8 around 10. Generated balls: 2 around 0.5 and 2.5, 17.5 around 20.
    # 0.5 lies in two real balls, 2.5 in that of 2 and in that of 10, at whose surface it would be at 2; 20 in none.
    real, generated = [[0.0], [1.0], [2.0], [10.0]], [[0.5], [2.5], [20.0]]
    assert precision_recall(real, generated, k=1) == pytest.approx((2 / 3, 1.0, 4 / 3, 1.0))


def test_the_surface_of_a_ball_is_outside_it():
    real = [[0.0, 0.0], [3.0, 4.0], [60.0, 80.0]]  # radii 5, 5 and 95
    on_two_surfaces, beyond = [[5.0, 0.0], [-2000.0, 0.0]], [[4.999, 0.0], [-2000.0, 0.0]]
    # (5, 0) is 5 from the first and √20 < 5 from the second.
    assert precision_recall(real, on_two_surfaces, k=1)[0::2] == (1 / 2, 1 / 2)
    assert precision_recall(real, beyond, k=1)[0::2] == (1 / 2, 2 / 2)


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("dimensions", [2, 300])
def test_copies_of_the_real_samples_have_one_in_everything_however_rounding_goes(dimensions, offset):
    # Every sample's k-th neighbor has a copy exactly at the radius. Without the margin, a few would be inside.
    for seed in range(8):
        rng = np.random.default_rng(seed)
        real = rng.normal(size=(257, dimensions)) + offset
        assert precision_recall(real, real[rng.permutation(257)], k=4) == (1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_far_from_zero_nothing_changes(offset):
    real, generated = sets(seed=3)
    assert precision_recall(real + offset, generated + offset) == precision_recall(real, generated)


def test_one_far_sample_does_not_affect_the_precision_of_others():
    real, generated = sets(seed=4)
    real[0] = generated[0] = 1e7
    assert precision_recall(real, generated, k=3) == pytest.approx(by_hand(real, generated, 3), abs=1e-12)


def test_disjoint_sets_have_zero_in_everything():
    real, generated = sets(seed=5, shift=100.0)
    assert precision_recall(real, generated) == (0.0, 0.0, 0.0, 0.0)


def test_a_collapsed_model_is_precise_and_recalls_little():
    rng = np.random.default_rng(6)
    centers = 20 * np.eye(10)
    real = np.repeat(centers, 30, axis=0) + rng.normal(size=(300, 10))
    collapsed = centers[0] + 0.5 * rng.normal(size=(300, 10))
    result = precision_recall(real, collapsed)
    assert result.precision == 1.0
    assert result.recall <= 0.1
    assert result.coverage <= 0.1
    assert result.density > 1


def test_an_outlier_raises_precision_or_recall_but_hardly_density_and_coverage():
    """The purpose of density and coverage: the ball around an outlier is so large that it contains everything."""
    rng = np.random.default_rng(7)
    samples, others = rng.normal(size=(100, 2)), 12 + rng.normal(size=(100, 2))
    outlier = np.full((1, 2), -20.0)
    with_real_outlier = precision_recall(np.vstack([samples, -outlier * 1.5]), others, k=3)
    assert with_real_outlier.precision > 0.9
    assert with_real_outlier.density < 0.4
    with_generated_outlier = precision_recall(samples, np.vstack([others, outlier]), k=3)
    assert with_generated_outlier.recall > 0.9
    assert with_generated_outlier.coverage == 0


@pytest.mark.parametrize(("n", "m", "k"), [(60, 60, 5), (60, 30, 3), (20, 50, 1)])
def test_density_and_coverage_of_one_distribution_are_as_expected(n, m, k):
    rng, rounds = np.random.default_rng(8), 80
    results = [precision_recall(rng.normal(size=(n, 4)), rng.normal(size=(m, 4)), k=k) for _ in range(rounds)]
    not_covered = math.prod((n - i) / (n + m - i) for i in range(1, k + 1))
    for name, expected in (("density", 1.0), ("coverage", 1 - not_covered)):
        values = np.array([getattr(result, name) for result in results])
        assert values.std() > 0
        assert abs(values.mean() - expected) < 4 * values.std() / math.sqrt(rounds)


def test_exchanging_the_sets_exchanges_precision_and_recall():
    real, generated = sets(seed=9)
    forth, back = precision_recall(real, generated), precision_recall(generated, real)
    assert (forth.precision, forth.recall) == (back.recall, back.precision)
    assert forth.precision != forth.recall


def test_the_size_of_the_blocks_does_not_matter_to_the_result(monkeypatch):
    real, generated = sets(seed=10, n=500, m=400, dimensions=20)
    whole = precision_recall(real, generated)
    monkeypatch.setattr(manifold_overlap, "WORKING_MEMORY", 0.05)  # a twentieth of the distances
    assert precision_recall(real, generated) == whole


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(manifold_overlap, "WORKING_MEMORY", 1)
    real, generated = sets(seed=11, n=2500, m=2500)  # 48 MiB of distances
    precision_recall(real[:10], generated[:10])  # imports
    tracemalloc.start()
    try:
        precision_recall(real, generated)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 2**20 < peak < 10 * 2**20


GOOD = np.random.default_rng(0).normal(size=(8, 2))


@pytest.mark.parametrize(
    ("real", "generated", "k", "message"),
    [
        (GOOD[:5], GOOD, 5, r"^real must be at least 6 samples, one more than k, received: shape \(5, 2\)$"),
        (GOOD, GOOD[:3], 3, r"^generated must be at least 4 samples, one more than k, received: shape \(3, 2\)$"),
        (GOOD, GOOD[:, :1], 1, r"^generated must be of shape \(n, 2\), like real, received: shape \(8, 1\)$"),
        (GOOD[0], GOOD, 1, r"^real must be of shape \(n, D\)"),
        (GOOD, GOOD * np.nan, 1, "^generated must be finite, received: 16 of 16"),
        (GOOD, GOOD, 0, "^k must be an integer of at least 1, received: 0$"),
        (GOOD, GOOD, 2.0, "^k must be an integer of at least 1, received: 2.0$"),
    ],
)
def test_bad_arguments_are_named(real, generated, k, message):
    with pytest.raises(UsageError, match=message):
        precision_recall(real, generated, k=k)
