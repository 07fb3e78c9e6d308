"""Latents for figures compared with closed forms, and figures of images decoded from them."""

import numpy as np
import pytest
from report_helpers import canvas, columns_of, image_at, rows_of
from scipy.spatial.transform import Rotation, Slerp
from scipy.stats import norm

from keras_gen import UsageError, report
from keras_gen.report.figures import interpolation


SIZE = (5, 6)


def made(*counts, size=(5, 6, 1)):
    return np.random.default_rng(0).integers(0, 256, (*counts, *size), dtype=np.uint8)


# Quantiles, planes, traversals


def test_quantiles_are_those_of_the_normal_distribution():
    np.testing.assert_allclose(interpolation.normal_quantiles(20), norm.ppf(np.linspace(0.05, 0.95, 20)), atol=1e-12)


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (1, "count must be an integer of at least 2, received: 1"),
        (2.0, "count must be an integer of at least 2, received: 2.0"),
    ],
)
def test_a_wrong_number_of_quantiles_is_refused(count, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        interpolation.normal_quantiles(count)


def test_a_plane_grows_to_the_right_and_upward():
    plane = interpolation.manifold([-1, 0, 2])
    assert plane.dtype == np.float32
    assert plane.shape == (3, 3, 2)
    assert plane[0, 0].tolist() == [-1, 2]
    assert plane[0, 2].tolist() == [2, 2]
    assert plane[2, 0].tolist() == [-1, -1]
    assert plane[2, 2].tolist() == [2, -1]


def test_a_traversal_changes_one_dimension_at_a_time():
    moved = interpolation.traversal([1, 2, 3], [-4, 4], range(3))
    assert moved.dtype == np.float32
    assert moved.tolist() == [[[-4, 2, 3], [4, 2, 3]], [[1, -4, 3], [1, 4, 3]], [[1, 2, -4], [1, 2, 4]]]
    assert interpolation.traversal([1, 2, 3], [0], dimensions=[2, 0]).tolist() == [[[1, 2, 0]], [[0, 2, 3]]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: interpolation.manifold([[0.0]]),
            r"values must be of shape \(D,\), D at least 1, received: shape \(1, 1\)",
        ),
        (
            lambda: interpolation.traversal([0, 0], [np.inf], [0]),
            r"values must be finite, received: 1 of 1 values NaN or infinite",
        ),
        (
            lambda: interpolation.traversal([0, 0], [1], [0, 2]),
            r"dimensions must be integers from 0 to 1, .*received: \(0, 2\)",
        ),
        (
            lambda: interpolation.traversal([0, 0], [1], []),
            r"dimensions must be integers from 0 to 1, at least one, .*",
        ),
        (
            lambda: interpolation.traversal([0, 0], [1], [-1]),
            r"dimensions must be an integer of at least 0, received: -1",
        ),
    ],
)
def test_invalid_planes_and_traversals_are_refused(call, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        call()


# Interpolations


def test_linear_interpolation_has_equal_steps():
    latents = interpolation.linear_interpolation([0, 10], [4, -10], 5)
    assert latents.dtype == np.float32
    assert latents.tolist() == [[0, 10], [1, 5], [2, 0], [3, -5], [4, -10]]


def test_the_great_circle_is_that_of_rotations():
    generator = np.random.default_rng(0)
    rotations = Rotation.random(2, random_state=0)
    start, end = rotations.as_quat()
    end = end if start @ end > 0 else -end  # the shorter arc, as Slerp takes
    expected = Slerp([0, 1], Rotation.from_quat([start, end]))(np.linspace(0, 1, 7)).as_quat()
    latents = interpolation.spherical_interpolation(start, end, 7)
    assert latents.dtype == np.float32
    np.testing.assert_allclose(np.abs((latents * expected).sum(axis=1)), 1, atol=1e-6)
    start, end = generator.normal(size=(2, 64))
    end *= np.linalg.norm(start) / np.linalg.norm(end)
    latents = interpolation.spherical_interpolation(start, end, 9).astype(float)
    np.testing.assert_allclose(latents[[0, -1]], [start, end], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(latents, axis=1), np.linalg.norm(start), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(np.diff(latents, axis=0), axis=1).std(), 0, atol=1e-5)


def test_the_closed_form_holds_for_latents_of_different_lengths():
    latents = interpolation.spherical_interpolation([3, 0], [0, 5], 3)
    np.testing.assert_allclose(latents[1], [3 * np.sqrt(0.5), 5 * np.sqrt(0.5)], rtol=1e-6)


@pytest.mark.parametrize(
    ("start", "end"),
    [([1, 2], [3, 6]), ([1, 2], [1, 2]), ([0, 0], [2, 4]), ([2, 4], [0, 0]), ([0, 0], [0, 0]), ([1, 0], [1, 1e-9])],
)
def test_parallel_latents_and_zero_are_interpolated_linearly(start, end):
    latents = interpolation.spherical_interpolation(start, end, 5)
    np.testing.assert_allclose(latents, interpolation.linear_interpolation(start, end, 5), atol=1e-7)
    assert np.isfinite(latents).all()


def test_nearly_parallel_latents_need_no_special_case():
    latents = interpolation.spherical_interpolation([1, 0], [np.cos(1e-5), np.sin(1e-5)], 3)
    np.testing.assert_allclose(latents[1], [1, 0.5e-5], rtol=1e-4)


@pytest.mark.parametrize("end", [[-1.0, -2.0], [-7.0, -14.0], [-1.0, -2.0 + 1e-9]])
def test_opposite_latents_are_refused(end):
    with pytest.raises(UsageError, match="^start and end must not be opposite: no unique great circle connects them$"):
        interpolation.spherical_interpolation([1.0, 2.0], end, 5)


@pytest.mark.parametrize("interpolate", [interpolation.linear_interpolation, interpolation.spherical_interpolation])
def test_invalid_interpolations_are_refused(interpolate):
    with pytest.raises(UsageError, match="^steps must be an integer of at least 2, received: 1$"):
        interpolate([0.0, 1.0], [1.0, 0.0], 1)
    with pytest.raises(UsageError, match=r"^end must be of shape \(2,\), received: shape \(3,\)$"):
        interpolate([0.0, 1.0], [1.0, 0.0, 0.0], 3)
    with pytest.raises(UsageError, match="^start must be finite, received: 1 of 2 values NaN or infinite$"):
        interpolate([0.0, np.nan], [1.0, 0.0], 3)


# Their figures


def test_a_manifold_is_arranged_as_in_a_diagram():
    images = made(3, 3)
    figure = report.manifold(images, [-1.5, 0, 1.5], "plane")
    axes, picture = canvas(figure)
    for row in range(3):
        for column in range(3):
            np.testing.assert_array_equal(image_at(picture, row, column, SIZE), images[row, column])
    assert rows_of(axes) == ["1.50", "0.00", "−1.50"]
    assert columns_of(axes) == ["−1.50", "0.00", "1.50"]
    assert axes.get_yticks().tolist() == [3, 9, 15], "at the middle of each row"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("z₀", "z₁")


def test_a_large_manifold_names_some_values_and_both_ends():
    axes, _ = canvas(report.manifold(made(20, 20), interpolation.normal_quantiles(20), "x"))
    assert len(columns_of(axes)) == len(rows_of(axes)) == 10
    assert columns_of(axes)[0] == rows_of(axes)[-1] == "−1.64"
    assert columns_of(axes)[-1] == rows_of(axes)[0] == "1.64"
    assert axes.get_xticks()[[0, 1, -1]].tolist() == [3.5, 17.5, 19 * 7 + 3.5]


@pytest.mark.parametrize("size", [(5, 6, 1), (5, 6, 3)])
def test_a_traversal_has_a_row_a_dimension(tmp_path, size):
    images = made(2, 4, size=size)
    figure = report.traversals(images, [-3, -1, 1, 3], "x", dimensions=[0, 15])
    axes, picture = canvas(figure)
    np.testing.assert_array_equal(image_at(picture, 1, 2, SIZE), images[1, 2])
    assert rows_of(axes) == ["z₀", "z₁₅"]
    assert columns_of(axes) == ["−3.00", "−1.00", "1.00", "3.00"]
    assert rows_of(canvas(report.traversals(images, [-3, -1, 1, 3], "x"))[0]) == ["z₀", "z₁"]
    report.save_figure(figure, tmp_path / "x.png")


def test_interpolations_are_drawn_in_rows():
    first, second = made(2, 3)
    axes, picture = canvas(report.interpolations([("vae-mlp", first), ("gan-mlp", second)], "x"))
    assert rows_of(axes) == ["vae-mlp", "gan-mlp"]
    assert columns_of(axes) == ["0", "0.5", "1"]
    for column in range(3):
        np.testing.assert_array_equal(image_at(picture, 0, column, SIZE), first[column])
        np.testing.assert_array_equal(image_at(picture, 1, column, SIZE), second[column])


def test_a_long_interpolation_stays_in_one_row():
    axes, picture = canvas(report.interpolations([("vae", made(45))], "x"))
    assert picture.shape == (7, 45 * 7 + 1)
    assert (len(columns_of(axes)), columns_of(axes)[0], columns_of(axes)[-1]) == (11, "0", "1")
    axes, _ = canvas(report.interpolations([("vae", made(12))], "x"))
    assert len(columns_of(axes)) == 12


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: report.manifold(made(2, 3), [0, 1, 2], "x"), "images must have as many rows as columns, .*: 2 and 3"),
        (
            lambda: report.manifold(made(2, 2), [1, 0], "x"),
            "values must be in ascending order, received: unsorted values",
        ),
        (
            lambda: report.manifold(made(2, 2), [0, 1, 2], "x"),
            r"values must be of shape \(2,\), like the images, received: shape \(3,\)",
        ),
        (
            lambda: report.manifold(made(4), [0, 1], "x"),
            r"images must be uint8 of shape \(rows, columns, height, width, 1 or 3\), none .*received: uint8 .*",
        ),
        (
            lambda: report.traversals(made(2, 3), [0, 1], "x"),
            r"values must be of shape \(3,\), like the images, received: shape \(2,\)",
        ),
        (
            lambda: report.traversals(made(2, 3), [0, 1, 2], "x", dimensions=5),
            r"dimensions must be integers of at least 0, received: 5",
        ),
        (
            lambda: report.traversals(made(2, 3), [0, 1, 2], "x", dimensions=[4]),
            "dimensions must be 2, one per row of images, received: 1",
        ),
        (lambda: report.interpolations([("a", made(1))], "x"), "rows must have at least 2 images each, received: 1"),
        (
            lambda: report.interpolations([("a", made(2)), ("b", made(3))], "x"),
            r"rows \(b\) must be of shape \(2, 5, 6, 1\), like the first, received: \(3, 5, 6, 1\)",
        ),
    ],
)
def test_invalid_figures_are_refused(call, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        call()
