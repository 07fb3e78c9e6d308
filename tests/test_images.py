"""Tests of grids, PNG files and value ranges."""

import os

import numpy as np
import pytest
from PIL import Image

from keras_gen import UsageError
from keras_gen.utils.image_utils import check_value_range, grid, save_png, split_grid

GRAY = 128


def _numbered(count, height=2, width=3, channels=1):
    """Images of one value each: 1, 2, 3, …"""
    values = np.arange(1, count + 1, dtype="uint8").reshape(-1, 1, 1, 1)
    return np.broadcast_to(values, (count, height, width, channels)).copy()


def test_grid_lays_images_out_row_by_row():
    expected = [
        [GRAY] * 9,
        [GRAY, 1, 1, 1, GRAY, 2, 2, 2, GRAY],
        [GRAY, 1, 1, 1, GRAY, 2, 2, 2, GRAY],
        [GRAY] * 9,
        [GRAY, 3, 3, 3, GRAY, GRAY, GRAY, GRAY, GRAY],
        [GRAY, 3, 3, 3, GRAY, GRAY, GRAY, GRAY, GRAY],
        [GRAY] * 9,
    ]
    picture = grid(_numbered(3))
    assert picture.dtype == np.uint8
    assert picture.tolist() == expected


@pytest.mark.parametrize("count, rows, columns", [(1, 1, 1), (2, 1, 2), (4, 2, 2), (5, 2, 3), (9, 3, 3), (10, 3, 4)])
def test_grid_is_as_square_as_can_be(count, rows, columns):
    assert grid(_numbered(count), padding=0).shape == (rows * 2, columns * 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_is_split_into_its_images(channels):
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, channels), np.uint8)
    cells = split_grid(grid(images, columns=3), 4, 6)
    assert cells.shape == (2, 3, 4, 6, channels)
    np.testing.assert_array_equal(cells.reshape(6, 4, 6, channels)[:5], images)


def test_grid_takes_columns_and_padding():
    picture = grid(_numbered(4), columns=4, padding=0)
    assert picture.tolist() == [[1] * 3 + [2] * 3 + [3] * 3 + [4] * 3] * 2
    assert grid(_numbered(4), columns=1, padding=2).shape == (4 * (2 + 2) + 2, 3 + 2 + 2)


def test_grid_keeps_pixels_and_colors_in_place():
    images = np.random.default_rng(0).integers(0, 256, size=(2, 4, 5, 3), dtype=np.uint8)
    picture = grid(images, columns=2, padding=1)
    assert picture.shape == (6, 13, 3)
    np.testing.assert_array_equal(picture[1:5, 1:6], images[0])
    np.testing.assert_array_equal(picture[1:5, 7:12], images[1])
    assert set(picture[0].ravel()) == {GRAY}


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_a_png_file_reads_back_the_same(tmp_path, shape):
    picture = np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)
    path = tmp_path / "picture.png"
    save_png(path, picture)
    with Image.open(path) as read:
        assert read.format == "PNG"
        np.testing.assert_array_equal(np.asarray(read), picture)
    assert os.listdir(tmp_path) == ["picture.png"]


def test_a_color_picture_can_be_reduced_to_few_colors(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, size=(20, 20, 3), dtype=np.uint8)
    save_png(tmp_path / "few.png", picture, colors=16)
    save_png(tmp_path / "gray.png", picture[..., 0], colors=16)
    with Image.open(tmp_path / "few.png") as read:
        reduced = np.asarray(read.convert("RGB"))
    assert len(np.unique(reduced.reshape(-1, 3), axis=0)) == 16
    assert np.abs(reduced.astype(int) - picture).mean() < 40
    with Image.open(tmp_path / "gray.png") as read:
        np.testing.assert_array_equal(np.asarray(read), picture[..., 0])


def test_a_png_file_replaces_the_old_one_and_a_failure_leaves_it(tmp_path):
    path = tmp_path / "picture.png"
    save_png(str(path), np.zeros((2, 2), np.uint8))
    save_png(str(path), np.full((2, 2), 9, np.uint8))
    with pytest.raises(TypeError):
        save_png(path, np.zeros((2, 2, 7), np.uint8))
    with Image.open(path) as read:
        assert np.asarray(read).tolist() == [[9, 9], [9, 9]]
    assert os.listdir(tmp_path) == ["picture.png"]


@pytest.mark.parametrize("given, expected", [((0, 1), (0.0, 1.0)), ([-1, 1], (-1.0, 1.0)), (np.array([0, 1]), (0, 1))])
def test_the_two_value_ranges_in_use_are_taken(given, expected):
    assert check_value_range(given) == expected


@pytest.mark.parametrize(
    "given", [(0, 255), (1, 0), (0, 2), (0,), (0, 1, 2), None, 1, "ab", (0, None), (0, float("nan"))], ids=repr
)
def test_any_other_value_range_is_refused(given):
    with pytest.raises(UsageError, match=r"^value_range must be \(0, 1\) or \(-1, 1\), received: "):
        check_value_range(given)
