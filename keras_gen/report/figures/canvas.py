"""Lay out images on one canvas with labels for rows and columns; shared by all figures of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.report.figures import style
from keras_gen.utils import image_utils
from keras_gen.utils.errors import UsageError, must_be

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PADDING = 1
_LETTER = 0.065  # width of a letter of a small label, in inches
_LARGEST_CELL, _SMALLEST_CANVAS = 0.9, 2.0  # inches


@dataclass(frozen=True)
class AxisLabels:
    """Labels along one side of a canvas.

    Args:
        labels: sequence of str, one per row or column.
        title: str, title of the axis.
        max_labels: int of at least 2. If there are more labels, the first, the last and some between are written.
    """

    labels: Sequence[str] = ()
    title: str = ""
    max_labels: int = 1000


def check_images(argument: str, value: object, dimensions: str = "n") -> np.ndarray:
    """Check that `value` is a uint8 array of shape `(n, height, width, channels)` with 1 or 3 channels, and return it.

    `dimensions` has the names of the dimensions before the height, such as `rows, columns`. None of them is 0.

    Example:
        >>> check_images("images", np.zeros((5, 28, 28)))
        Traceback (most recent call last):
        ...
        keras_gen.utils.errors.UsageError: images must be uint8 of shape (n, height, width, 1 or 3), ...
    """
    array = arrays.as_array(argument, value, "an array of images")
    fits = array.ndim == dimensions.count(",") + 4 and array.shape[-1] in (1, 3) and array.size > 0
    if array.dtype != np.uint8 or not fits:
        shape = f"({dimensions}, height, width, 1 or 3)"
        received = f"{array.dtype} of shape {array.shape}"
        raise UsageError(f"{argument} must be uint8 of shape {shape}, none of them 0, received: {received}")
    return array


def check_same_shape(argument: str, value: np.ndarray, other_argument: str, other: np.ndarray) -> None:
    """Check that `value` and `other` have the same shape."""
    if value.shape != other.shape:
        raise UsageError(f"{argument} must be of shape {other.shape}, like {other_argument}, received: {value.shape}")


def check_named_images(argument: str, pairs: object, shape_like: np.ndarray | None = None) -> list:
    """Check that `pairs` are (name or epoch, images) pairs, at least one, and return them as a list.

    The images are as in `check_images` and have one shape: that of `shape_like`, by default of the first pair.
    """
    fits = isinstance(pairs, Sequence) and all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs)
    if not fits or not pairs:
        received = arrays.Shape(pairs) if isinstance(pairs, np.ndarray) else type(pairs).__name__
        raise must_be(argument, "pairs of a name and images, at least one", received)
    like, checked = "the first" if shape_like is None else "the originals", []
    for name, images in pairs:
        array = check_images(f"{argument} ({name})", images)
        shape_like = array if shape_like is None else shape_like
        check_same_shape(f"{argument} ({name})", array, like, shape_like)
        checked.append((name, array))
    return checked


def rows_figure(
    title: str, rows: Sequence[tuple[str, np.ndarray]], columns: int, bottom: AxisLabels | None = None
) -> Figure:
    """Draw rows of images, each labeled at its left.

    Rows longer than `columns` are wrapped: all rows continue in another block below, after a white line.

    Args:
        title: str, title of the figure.
        rows: sequence of (name, images), images of one shape.
        columns: int, maximum number of images side by side.
        bottom: labels of the columns.
    """
    names, images = [name for name, _ in rows], np.stack([images for _, images in rows])
    count, *shape = images.shape[1:]
    columns = min(columns, count)
    unused, blocks = -count % columns, -(-count // columns)
    images = np.pad(images, [(0, 0), (0, unused), (0, 0), (0, 0), (0, 0)], constant_values=128)
    images = images.reshape(len(rows), blocks, columns, *shape).swapaxes(0, 1).reshape(-1, *shape)
    figure, axes = canvas_figure(title, images, columns, AxisLabels(names * blocks), bottom)
    picture, step = axes.images[0].get_array(), (shape[0] + _PADDING) * len(rows)
    for block in range(1, blocks):
        whiten(axes, 0, block * step, picture.shape[1], _PADDING)
    _leave_white(axes, picture, unused, len(rows), shape)
    return figure


def canvas_figure(
    title: str, images: np.ndarray, columns: int, left: AxisLabels | None = None, bottom: AxisLabels | None = None
) -> tuple[Figure, Axes]:
    """Draw images row by row in a figure that is large enough to show every pixel.

    Args:
        title: str, title of the figure.
        images: as in `check_images`.
        columns: int, images per row.
        left, bottom: labels of the rows and of the columns.

    Returns:
        The figure, and its axes, whose only image is the canvas.
    """
    left, bottom = left or AxisLabels(), bottom or AxisLabels()
    picture = image_utils.grid(images, columns=columns, padding=_PADDING)
    beside = _LETTER * max(map(len, left.labels), default=0) + 0.2 * bool(left.title) + 0.2
    below = 0.18 * bool(bottom.labels) + 0.2 * bool(bottom.title) + 0.15
    width = max(min(columns * _LARGEST_CELL, style.PAGE_WIDTH - beside), _SMALLEST_CANVAS)
    width = max(width, picture.shape[1] / style.DOTS_PER_INCH)
    around = max(width, _LETTER * 1.2 * len(bottom.title))  # a title has larger letters than a label
    height = width * picture.shape[0] / picture.shape[1]
    figure = style.new_figure(around + beside, height + below + 0.25 * bool(title), title)
    axes = figure.add_subplot()
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="none")  # 0 is black, 255 white
    axes.spines[:].set_visible(False)
    _leave_white(axes, picture, -len(images) % columns, 1, images.shape[1:3])
    style.describe(axes, "", bottom.title, left.title)
    _label(axes.yaxis, left, images.shape[1])
    _label(axes.xaxis, bottom, images.shape[2])
    figure.draw_without_rendering()  # the first layout of axes of a fixed aspect cuts long labels, the next does not
    return figure, axes


def whiten(axes: Axes, left: int, top: int, width: int, height: int) -> None:
    """Cover a rectangle of a canvas with white; position and size are in pixels of the canvas."""
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, facecolor="white", linewidth=0))


def center(index: int, size: int) -> float:
    """Return the pixel coordinate of the center of the image at `index`; `size` is the size of an image."""
    return _PADDING + index * (size + _PADDING) + (size - 1) / 2


def _leave_white(axes: Axes, picture: np.ndarray, columns: int, rows: int, size: tuple[int, int]) -> None:
    """Cover the empty cells, if there are any: the last `columns` of the last `rows`."""
    if columns:
        height, width = rows * (size[0] + _PADDING), columns * (size[1] + _PADDING)
        whiten(axes, picture.shape[1] - width, picture.shape[0] - height, width, height)


def _label(axis, axis_labels: AxisLabels, size: int) -> None:
    count = len(axis_labels.labels)
    chosen = np.linspace(0, count - 1, min(count, axis_labels.max_labels)).round().astype(int)  # includes both ends
    axis.set_ticks(
        [center(index, size) for index in chosen], [axis_labels.labels[index] for index in chosen], **style.PLAIN
    )
    axis.set_tick_params(length=0, labelsize=style.SMALL_SIZE)
