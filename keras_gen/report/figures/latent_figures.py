"""Figures of images along lines and planes of a latent space; `keras_gen.report.figures.interpolation` gives the latents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.report.figures import canvas
from keras_gen.report.figures.canvas import AxisLabels
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_NUMBERS = 10
"""Numbers along an axis, at most."""


def traversals(
    images: np.ndarray, values: Sequence[float], title: str, dimensions: Sequence[int] | None = None
) -> Figure:
    """What each of some latent dimensions does: one row a dimension, one column a value that it is set to.

    Args:
        images: uint8, shape `(dimensions, steps, height, width, channels)`, decoded from `latents.traversal`.
        values: of the dimension in each column, shape `(steps,)`.
        title: of the figure.
        dimensions: which they are, counted from 0 as in the array of latents; by default the first ones.

    Returns:
        A matplotlib figure that belongs to no window. Rows are named z₀, z₁, …

    Raises:
        UsageError: other images, or values or dimensions in another number.

    Example:
        >>> figure = traversals(images[:6].reshape(2, 3, 28, 28, 1), [-2, 0, 2], "made up", dimensions=[4, 7])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['z₄', 'z₇']
    """
    images = canvas.check_images("images", images, "dimensions, steps")
    count, steps = images.shape[:2]
    numbers = _check_values("values", values, steps)
    chosen = (
        list(range(count)) if dimensions is None else [checks.non_negative_int("dimensions", d) for d in dimensions]
    )
    if len(chosen) != count:
        raise UsageError(f"dimensions must be {count}, one a row of images, received: {len(chosen)}")
    left = AxisLabels([latent_name(dimension) for dimension in chosen])
    bottom = AxisLabels(numbers, "value of the latent dimension", MAX_NUMBERS)
    return canvas.canvas_figure(title, _flat(images), steps, left, bottom)[0]


def interpolations(rows: Sequence[tuple[str, np.ndarray]], title: str) -> Figure:
    """Images along the way from one latent to another, several models or ways one above the other.

    Args:
        rows: pairs of a name and images, uint8 of shape `(steps, height, width, channels)`, the same for all; the first
            image is of the latent at t = 0, the last of that at t = 1, with equal steps between them.
        title: of the figure.

    Returns:
        A matplotlib figure that belongs to no window.

    Raises:
        UsageError: no pairs, fewer than 2 steps, other images, or different shapes.

    Example:
        >>> figure = interpolations([("vae", images[:5]), ("gan", images[5:10])], "made up")
        >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
        ['0', '0.25', '0.5', '0.75', '1']
    """
    rows = canvas.check_named_images("rows", rows)
    steps = len(rows[0][1])
    if steps < 2:
        raise UsageError(f"rows must have at least 2 images each, received: {steps}")
    labels = [f"{t:.2f}".rstrip("0").rstrip(".") for t in np.linspace(0, 1, steps)]
    bottom = AxisLabels(labels, "t, the fraction of the way", MAX_NUMBERS + 1)
    return canvas.rows_figure(title, [(str(name), images) for name, images in rows], steps, bottom)


def manifold(images: np.ndarray, values: Sequence[float], title: str, dimensions: tuple[int, int] = (0, 1)) -> Figure:
    """Images over a plane of the latent space, placed as in a diagram: the first value to the right, the second upward.

    Args:
        images: uint8, shape `(rows, columns, height, width, channels)` with as many rows as columns, decoded from
            `latents.manifold`, whose first row has the largest value of the second dimension.
        values: of both dimensions, in ascending order, such as `latents.normal_quantiles`.
        title: of the figure.
        dimensions: which two they are, counted from 0, for the names of the axes.

    Returns:
        A matplotlib figure that belongs to no window.

    Raises:
        UsageError: other images, not as many rows and columns as values, or values not in ascending order.

    Example:
        >>> figure = manifold(images[:9].reshape(3, 3, 28, 28, 1), [-1, 0, 1], "made up")
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]  # from the top
        ['1.00', '0.00', '−1.00']
    """
    images = canvas.check_images("images", images, "rows, columns")
    rows, columns = images.shape[:2]
    if rows != columns:
        raise UsageError(f"images must have as many rows as columns, received: {rows} and {columns}")
    numbers = _check_values("values", values, columns)
    if (np.diff(np.asarray(values, dtype=float)) <= 0).any():
        raise UsageError("values must be in ascending order, received: others")
    horizontal, vertical = (checks.non_negative_int("dimensions", dimension) for dimension in dimensions)
    left = AxisLabels(numbers[::-1], latent_name(vertical), MAX_NUMBERS)
    bottom = AxisLabels(numbers, latent_name(horizontal), MAX_NUMBERS)
    return canvas.canvas_figure(title, _flat(images), columns, left, bottom)[0]


def latent_name(dimension: int) -> str:
    """How figures call a latent dimension, counted from 0.

    Example:
        >>> latent_name(12)
        'z₁₂'
    """
    return "z" + str(dimension).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def _check_values(argument: str, values: object, count: int) -> list[str]:
    shape = (count,)
    array = arrays.finite(argument, values, f"of shape {shape}, as the images", lambda received: received == shape)
    return [f"{value:.2f}".replace("-", "−") for value in array + 0.0]  # + 0.0: no "-0.00" for a zero


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(-1, *images.shape[2:])
