"""Figures of images: positions and labels for gray and color, square and oblong, one and many images."""

import matplotlib.colors
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from report_helpers import canvas, columns_of, image_at, rows_of

from keras_gen import UsageError, report
from keras_gen.report.figures import style
from keras_gen.report.figures.canvas import rows_figure
from keras_gen.utils import image_utils


def made(count, height=5, width=5, channels=1, seed=0):
    shape = (*np.atleast_1d(count), height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def draw(figure, tmp_path, shape):
    """Draw a figure; one shape is also saved, to be looked at when a test fails."""
    if shape == SHAPES[0]:
        report.save_figure(figure, tmp_path / "figure.png")
    else:
        figure.draw_without_rendering()


SHAPES = [(28, 28, 1), (8, 20, 3), (20, 8, 1)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_a_grid_shows_all_samples(tmp_path, count, shape):
    images = made(count, *shape)
    figure = report.sample_grid(images, "samples")
    assert figure.get_suptitle() == "samples"
    axes, picture = canvas(figure)
    np.testing.assert_array_equal(picture, image_utils.grid(images))
    assert rows_of(axes) == columns_of(axes) == []
    draw(figure, tmp_path, shape)


def test_gray_values_are_shown_as_they_are():
    axes, _ = canvas(report.sample_grid(np.full((1, 4, 4, 1), 100, np.uint8), "x"))
    assert axes.images[0].get_clim() == (0, 255)
    assert axes.images[0].get_cmap().name == "gray"
    assert axes.images[0].get_interpolation() == "none"


def test_the_columns_of_a_grid_can_be_chosen():
    images = made(6)
    _, picture = canvas(report.sample_grid(images, "x", columns=2))
    np.testing.assert_array_equal(picture, image_utils.grid(images, columns=2))
    _, picture = canvas(report.sample_grid(images, "x", columns=50))
    np.testing.assert_array_equal(picture, image_utils.grid(images, columns=6))
    with pytest.raises(UsageError, match=r"^columns must be an integer of at least 1, received: 0$"):
        report.sample_grid(images, "x", columns=0)


def test_no_figure_is_so_small_that_pixels_are_left_out(tmp_path):
    figure = report.sample_grid(made(400, 64, 64), "many")
    figure.draw_without_rendering()
    axes, picture = canvas(figure)
    assert axes.get_window_extent().width * 120 / figure.dpi >= 0.98 * picture.shape[1]


@pytest.mark.parametrize("shape", SHAPES)
def test_samples_of_the_same_latents_are_in_one_column(tmp_path, shape):
    early, late = made(4, *shape), made(4, *shape, seed=1)
    figure = report.samples_through_training([(1, early), (40, late)], "training")
    assert rows_of(canvas(figure)[0]) == ["epoch 1", "epoch 40"]
    for column in range(4):
        np.testing.assert_array_equal(image_at(canvas(figure)[1], 0, column, shape[:2]), early[column])
        np.testing.assert_array_equal(image_at(canvas(figure)[1], 1, column, shape[:2]), late[column])
    draw(figure, tmp_path, shape)


def test_many_images_are_continued_below_with_all_their_rows():
    originals, first = made(12), made(12, seed=1)
    figure = report.reconstructions(originals, [(3, first)], "x")
    axes, picture = canvas(figure)
    assert rows_of(axes) == ["original", "epoch 3"] * 2
    assert picture.shape == (4 * 6 + 1, 10 * 6 + 1)
    for index in range(12):
        block, column = divmod(index, 10)
        np.testing.assert_array_equal(image_at(canvas(figure)[1], 2 * block, column, (5, 5)), originals[index])
        np.testing.assert_array_equal(image_at(canvas(figure)[1], 2 * block + 1, column, (5, 5)), first[index])
    line, blank = (patch.get_bbox().bounds for patch in axes.patches)
    assert line == (-0.5, 12 - 0.5, 61, 1), "a line between the two blocks"
    assert blank == (12 + 0.5, 12 + 0.5, 8 * 6, 2 * 6), "nothing but white where no image is"


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (10, 10), (11, 10), (40, 10), (41, 20), (100, 20)])
def test_rows_are_longer_where_there_are_many_images(count, columns):
    _, picture = canvas(report.reconstructions(made(count), [(1, made(count))], "x"))
    assert picture.shape[1] == 6 * columns + 1


def test_denoising_shows_noisy_over_denoised_over_clean(tmp_path):
    noisy, denoised, clean = (made(3, channels=3, seed=seed) for seed in range(3))
    figure = report.denoising(noisy, denoised, clean, "x")
    assert rows_of(canvas(figure)[0]) == ["noisy", "denoised", "clean"]
    for row, images in enumerate((noisy, denoised, clean)):
        for column in range(3):
            np.testing.assert_array_equal(image_at(canvas(figure)[1], row, column, (5, 5)), images[column])
    draw(figure, tmp_path, SHAPES[0])


@pytest.mark.parametrize(("count", "nearest", "shape"), [(1, 1, (28, 28, 1)), (3, 4, (8, 20, 3)), (2, 12, (9, 9, 1))])
def test_neighbors_are_beside_their_image_and_above_their_distance(tmp_path, count, nearest, shape):
    generated, neighbors = made(count, *shape), made((count, nearest), *shape, seed=1)
    distances = np.sort(np.random.default_rng(2).uniform(1, 9, (count, nearest)), axis=1)
    figure = report.nearest_neighbors(generated, neighbors, distances, "x", "metres")
    axes, _ = canvas(figure)
    height, width = shape[0] + -(-shape[0] // 4), shape[1]
    for row in range(count):
        np.testing.assert_array_equal(image_at(canvas(figure)[1], row, 0, (height, width))[: shape[0]], generated[row])
        for column in range(nearest):
            shown = image_at(canvas(figure)[1], row, column + 1, (height, width))
            np.testing.assert_array_equal(shown[: shape[0]], neighbors[row, column])
            assert (shown[shape[0] :] == 255).all()
            text = axes.texts[row * nearest + column]
            assert text.get_text() == f"{distances[row, column]:.3g}"
            left, top = column * (width + 1) + width + 2, row * (height + 1) + 1
            assert left <= text.get_position()[0] < left + width, "below its image"
            assert top + shape[0] <= text.get_position()[1] < top + height
    expected = ["generated", "nearest", "2nd", "3rd", "4th", *(f"{n}th" for n in range(5, 13))]
    assert columns_of(axes) == expected[: nearest + 1]
    assert axes.get_xlabel() == "below each training image: metres"
    draw(figure, tmp_path, shape)


def test_distances_are_light_on_dark_in_a_dark_figure():
    figure = report.nearest_neighbors(made(2), made((2, 3)), np.ones((2, 3)), "x")
    style.darken(figure)
    axes, _ = canvas(figure)
    texts = axes.texts[:6]
    for text in texts:
        assert text.get_color() == style.LIGHT
        text.set_visible(False)
    drawing = FigureCanvasAgg(figure)
    drawing.draw()
    pixels = np.asarray(drawing.buffer_rgba())[::-1, :, :3]
    for text in texts:
        x, y = axes.transData.transform(text.get_position()).astype(int)
        assert matplotlib.colors.to_hex(pixels[y, x] / 255) == style.DARK


def test_an_exact_copy_has_distance_0():
    images = made(1)
    axes, _ = canvas(report.nearest_neighbors(images, images[None], [[0.0]], "x"))
    assert [text.get_text() for text in axes.texts] == ["0"]


def test_long_labels_of_rows_lie_within_the_figure():
    figure = rows_figure("", [("vae-burda-labels-2", made(20))] * 6, 20)
    figure.draw_without_rendering()
    axes, _ = canvas(figure)
    assert all(label.get_window_extent().x0 >= 0 for label in axes.get_yticklabels())


def test_texts_lie_within_the_figure_and_do_not_overlap():
    figure = report.nearest_neighbors(made(1), made((1, 1)), [[1.0]], "x", "Euclidean distance of pixels in [0, 1]")
    figure.draw_without_rendering()
    axes, _ = canvas(figure)
    for text in (axes.xaxis.label, *axes.get_xticklabels()):
        extent = text.get_window_extent()
        assert extent.x0 >= 0 and extent.x1 <= figure.bbox.width, text.get_text()
    first, second = (label.get_window_extent() for label in axes.get_xticklabels())
    assert first.x1 < second.x0


@pytest.mark.parametrize(
    ("wrong", "received"),
    [
        (np.zeros((2, 5, 5, 1)), r"float64 of shape \(2, 5, 5, 1\)"),
        (np.zeros((2, 5, 5), np.uint8), r"uint8 of shape \(2, 5, 5\)"),
        (np.zeros((2, 5, 5, 2), np.uint8), r"uint8 of shape \(2, 5, 5, 2\)"),
        (np.zeros((0, 5, 5, 1), np.uint8), r"uint8 of shape \(0, 5, 5, 1\)"),
        (None, r"object of shape \(\)"),
    ],
)
def test_other_arrays_are_refused_with_the_name_of_the_argument(wrong, received):
    requirement = r"must be uint8 of shape \(n, height, width, 1 or 3\), none of them 0, received: "
    good = made(2)
    for argument, call in {
        "images": lambda: report.sample_grid(wrong, "x"),
        r"samples \(7\)": lambda: report.samples_through_training([(1, good), (7, wrong)], "x"),
        "originals": lambda: report.reconstructions(wrong, [(1, good)], "x"),
        r"reconstructed \(1\)": lambda: report.reconstructions(good, [(1, wrong)], "x"),
        "noisy": lambda: report.denoising(wrong, good, good, "x"),
        "denoised": lambda: report.denoising(good, wrong, good, "x"),
        "clean": lambda: report.denoising(good, good, wrong, "x"),
        "generated": lambda: report.nearest_neighbors(wrong, made((2, 1)), np.ones((2, 1)), "x"),
        r"rows \(vae\)": lambda: report.interpolations([("vae", wrong)], "x"),
    }.items():
        with pytest.raises(UsageError, match=f"^{argument} {requirement}{received}$"):
            call()


NO_PAIRS = "samples must be pairs of a name and images, at least one, received: "
UNSORTED = "distances must be at least 0 and ascending in every row, received: negative or unsorted values"
OTHER = r"must be of shape \(2, 5, 5, 1\), like"


@pytest.mark.parametrize(
    ("draw", "arguments", "message"),
    [
        ("samples_through_training", [[(1, made(2)), (2, made(3))]], rf"samples \(2\) {OTHER} the first, .*"),
        ("reconstructions", [made(2), [(1, made(2, channels=3))]], rf"reconstructed \(1\) {OTHER} the originals, .*"),
        ("denoising", [made(2), made(1), made(2)], rf"denoised {OTHER} clean, received: \(1, 5, 5, 1\)"),
        ("samples_through_training", [[]], NO_PAIRS + "'list'"),
        ("samples_through_training", [made(2)], NO_PAIRS + r"shape \(2, 5, 5, 1\)"),
        ("samples_through_training", [[made(2)]], NO_PAIRS + "'list'"),
        ("samples_through_training", [[("first", made(2))]], "the epochs of samples must be an integer of .*: 'first'"),
        (
            "nearest_neighbors",
            [made(2), made((3, 1)), np.ones((3, 1))],
            r"neighbors .*, k, 5, 5, 1\), like generated, .*",
        ),
        (
            "nearest_neighbors",
            [made(2), made(2), np.ones((2, 1))],
            r"neighbors must be uint8 of shape \(n, k, height, .*",
        ),
        ("nearest_neighbors", [made(2), made((2, 2)), np.ones((2, 1))], r"distances must be of shape \(2, 2\), .*"),
        ("nearest_neighbors", [made(1), made((1, 2)), [[2.0, 1.0]]], UNSORTED),
        ("nearest_neighbors", [made(1), made((1, 2)), [[-1.0, 1.0]]], UNSORTED),
        (
            "nearest_neighbors",
            [made(1), made((1, 2)), [[1.0, np.nan]]],
            "distances must be finite, received: 1 of 2 .*",
        ),
    ],
)
def test_images_that_do_not_fit_together_are_refused(draw, arguments, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        getattr(report, draw)(*arguments, "x")
