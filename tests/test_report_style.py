"""The style of figures, files of figures and animations."""

import errno
import itertools
import os
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from command_helpers import names
from matplotlib import colors
from PIL import Image

from keras_gen import UsageError, report
from keras_gen.report.figures import style
from keras_gen.report.figures.comparison_curves import comparison_curves


# Colors


def test_ten_classes_differ_in_color_and_in_shape():
    pairs = [style.class_style(index) for index in range(10)]
    assert len({color for color, _ in pairs}) == len({marker for _, marker in pairs}) == 10


def test_a_hundred_classes_have_a_pair_each():
    assert style.MAX_CLASSES == 100
    assert len({style.class_style(index) for index in range(100)}) == 100
    with pytest.raises(UsageError, match=r"^index must be an integer of at least 0, received: -1$"):
        style.class_style(-1)


def test_colors_stand_out_from_white_and_from_each_other():
    def luminance(color):  # relative luminance of WCAG 2
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colors.to_rgb(color)]
        return np.dot(linear, [0.2126, 0.7152, 0.0722])

    for color in style.CLASS_COLORS:
        assert 1.05 / (luminance(color) + 0.05) > 2.0, color
    for first, second in itertools.combinations(style.CLASS_COLORS, 2):
        assert np.linalg.norm(np.subtract(colors.to_rgb(first), colors.to_rgb(second))) > 0.2, (first, second)


# Figures and files


def test_a_figure_has_its_size_and_title_and_refuses_none():
    figure = style.new_figure(3, 2, "a title")
    assert figure.get_size_inches().tolist() == [3, 2]
    assert figure.get_suptitle() == "a title"
    with pytest.raises(UsageError, match=r"^width must be a number above 0, received: 0$"):
        style.new_figure(0, 2)


def plotted():
    figure = style.new_figure(3, 2, "the same")
    axes = figure.add_subplot()
    axes.plot([1, 2], [3, 4], label="line")
    axes.imshow(np.zeros((4, 4)))
    axes.scatter([1, 2], [3, 4], rasterized=True)
    axes.legend()
    return figure


def test_a_figure_is_written_as_png_or_svg(tmp_path):
    report.save_figure(plotted(), tmp_path / "figure")
    style.write(plotted(), tmp_path / "figure.svg", "svg")
    with Image.open(tmp_path / "figure") as picture:
        assert (picture.format, picture.size) == ("PNG", (360, 240))
    root = ElementTree.parse(tmp_path / "figure.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert (root.get("width"), root.get("height")) == ("216pt", "144pt")


@pytest.mark.parametrize("file_format", ["png", "svg"])
def test_equal_figures_are_equal_files_without_a_date(tmp_path, file_format):
    paths = tmp_path / "first", tmp_path / "second"
    for path in paths:
        style.write(plotted(), path, file_format)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert b"<dc:date>" not in first


def test_saving_changes_no_settings_of_matplotlib(tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    report.save_figure(plotted(), tmp_path / "x.png")
    assert dict(matplotlib.rcParams) == before


def test_a_figure_that_fails_to_be_written_leaves_the_old_file(tmp_path):
    (tmp_path / "x.png").write_text("old")
    figure = plotted()
    draw = figure.savefig

    def fail(path, **options):
        draw(path, **options)
        raise OSError(errno.ENOSPC, "disk full")

    figure.savefig = fail
    with pytest.raises(OSError, match="disk full"):
        report.save_figure(figure, tmp_path / "x.png")
    assert (tmp_path / "x.png").read_text() == "old"
    assert names(tmp_path) == ["x.png"]


# Animations


def read_frames(path, mode):
    with Image.open(path) as picture:
        frames, durations = [], []
        for index in range(picture.n_frames):
            picture.seek(index)
            frames.append(np.array(picture.convert(mode)))
            durations.append(picture.info["duration"])
        return np.array(frames), durations, picture.info["loop"]


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 256, (4, 13, 22, 3), dtype=np.uint8)


@pytest.mark.parametrize("ending", [".gif", ".webp"])
def test_gray_frames_keep_every_pixel(tmp_path, frames, ending):
    gray = frames[..., 0]
    path = report.animate(gray, tmp_path / f"a{ending}", seconds=0.3)
    assert path == tmp_path / f"a{ending}"
    shown, durations, loop = read_frames(path, "L")
    np.testing.assert_array_equal(shown, gray)
    assert durations == [300] * 4
    assert loop == 0
    assert names(tmp_path) == [f"a{ending}"]


def test_a_last_axis_of_one_channel_is_the_same_picture(tmp_path, frames):
    report.animate(frames[..., 0], tmp_path / "a.gif")
    report.animate(frames[..., :1], tmp_path / "b.gif")
    assert (tmp_path / "a.gif").read_bytes() == (tmp_path / "b.gif").read_bytes()


def test_color_frames_keep_every_pixel_as_webp_and_nearly_all_as_gif(tmp_path, frames):
    shown, _, _ = read_frames(report.animate(frames, tmp_path / "a.WEBP"), "RGB")
    np.testing.assert_array_equal(shown, frames)
    shown, _, _ = read_frames(report.animate(frames, tmp_path / "a.gif"), "RGB")
    assert shown.shape == frames.shape
    assert np.abs(shown.astype(int) - frames).mean() < 16


def test_one_frame_is_an_animation_too(tmp_path, frames):
    with Image.open(report.animate(frames[:1, ..., 0], tmp_path / "one.gif")) as picture:
        np.testing.assert_array_equal(np.array(picture.convert("L")), frames[0, ..., 0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((2, 4, 4)), r"frames must be uint8 of shape .*, received: float64 of shape \(2, 4, 4, 1\)"),
        (
            np.zeros((2, 4, 4, 2), np.uint8),
            r"frames must be uint8 of .*1 or 3.*, received: uint8 of shape \(2, 4, 4, 2\)",
        ),
        (np.zeros((0, 4, 4), np.uint8), r"frames must be .*none of them 0, received: uint8 of shape \(0, 4, 4, 1\)"),
        ([np.zeros((4, 4)), np.zeros((5, 4))], r"frames must be of the same size, received: several"),
    ],
)
def test_invalid_frames_are_refused(tmp_path, wrong, message):
    with pytest.raises(UsageError, match=f"^{message}$"):
        report.animate(wrong, tmp_path / "a.gif")
    assert os.listdir(tmp_path) == []


def test_other_suffixes_and_durations_are_refused(tmp_path, frames):
    with pytest.raises(UsageError, match=r"^path must be a name that ends in .gif or .webp, received: .*a.mp4'$"):
        report.animate(frames, tmp_path / "a.mp4")
    for seconds in (0.01, 601):
        with pytest.raises(UsageError, match=rf"^seconds must be from 0.02 to 600, received: {seconds}$"):
            report.animate(frames, tmp_path / "a.gif", seconds)
    with pytest.raises(UsageError, match=r"^seconds must be a number above 0, received: 0$"):
        report.animate(frames, tmp_path / "a.gif", 0)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", [r"a$\frac$.npz", "$x$ costs $5", "_hidden_^2"])
def test_a_name_is_never_mathematics_and_always_in_the_legend(name):
    images, rows = np.zeros((6, 8, 8, 1), np.uint8), [{"epoch": 1, "loss": 1.0, name: 2.0}]
    points = np.random.default_rng(0).normal(size=(6, 2))
    classes = report.scatter(points, np.arange(6) % 2, name, [name, "b"], (name, name))
    compared = comparison_curves([(name, rows), ("b", rows)])
    figures = [report.sample_grid(images, name), report.loss_curves(rows, name), classes, compared]
    figures.append(report.interpolations([(name, images)], name))
    for figure in figures:
        figure.draw_without_rendering()
    assert classes.axes[0].get_legend().get_texts()[0].get_text().strip() == f"{name} (3)"
    assert compared.legends[0].get_texts()[0].get_text().strip() == name


def test_figures_need_no_title():
    assert report.sample_grid(np.zeros((6, 8, 8, 1), np.uint8)).get_suptitle() == ""


def test_a_small_file_of_lines_keeps_their_colors(tmp_path):
    rows = [{"epoch": epoch, **{f"quantity_{i}": epoch * (i + 1) for i in range(7)}} for epoch in range(1, 5)]
    style.save_small(report.loss_curves(rows), tmp_path / "lines.png")
    with Image.open(tmp_path / "lines.png") as picture:
        found = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0).astype(int)
    for color in style.COLORS:
        assert np.abs(found - np.multiply(colors.to_rgb(color), 255)).max(axis=1).min() <= 3, color


def test_a_small_file_of_points_keeps_the_colors_of_ten_classes(tmp_path):
    generator = np.random.default_rng(0)
    figure = report.scatter(generator.normal(size=(5000, 2)), generator.integers(0, 10, 5000))
    style.save_small(figure, tmp_path / "points.png")
    with Image.open(tmp_path / "points.png") as picture:
        found = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0).astype(int)
    for color in style.CLASS_COLORS:
        assert np.abs(found - np.multiply(colors.to_rgb(color), 255)).max(axis=1).min() < 20, color
