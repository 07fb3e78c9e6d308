"""Draw images along lines and planes of a latent space, decoded from the latents of `figures.interpolation`."""

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
"""Maximum number of tick labels along an axis."""


def traversals(
    images: np.ndarray, values: Sequence[float], title: str = "", dimensions: Sequence[int] | None = None
) -> Figure:
    """Draw latent traversals: one row per latent dimension, one column per value of that dimension.

    Args:
        images: uint8 array of shape `(dimensions, steps, height, width, channels)`, decoded from
            `interpolation.traversal`.
        values: value of the dimension in each column, shape `(steps,)`.
        title: str, title of the figure; default none.
        dimensions: sequence of int, the dimensions, counted from 0; by default the first ones.

    Returns:
        A matplotlib figure, unknown to pyplot. Rows are labeled z₀, z₁, …

    Example:
        >>> figure = traversals(images[:6].reshape(2, 3, 28, 28, 1), [-2, 0, 2], "made up", dimensions=[4, 7])
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['z₄', 'z₇']
    """
    images = canvas.check_images("images", images, "dimensions, steps")
    count, steps = images.shape[:2]
    numbers = _check_values(values, steps)
    chosen = checks.non_negative_ints("dimensions", range(count) if dimensions is None else dimensions)
    if len(chosen) != count:
        raise UsageError(f"dimensions must be {count}, one per row of images, received: {len(chosen)}")
    left = AxisLabels([latent_name(dimension) for dimension in chosen])
    bottom = AxisLabels(numbers, "value of the latent dimension", MAX_NUMBERS)
    return canvas.canvas_figure(title, _flat(images), steps, left, bottom)[0]


def interpolations(rows: Sequence[tuple[str, np.ndarray]], title: str = "") -> Figure:
    """Draw interpolations between two latents, one row per model or kind of interpolation.

    Args:
        rows: sequence of (name, images), the images uint8 arrays of one shape `(steps, height, width, channels)`,
            decoded at t = 0, …, 1 in at least 2 equal steps.
        title: str, title of the figure; default none.

    Example:
        >>> figure = interpolations([("vae", images[:5]), ("gan", images[5:10])], "made up")
        >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
        ['0', '0.25', '0.5', '0.75', '1']
    """
    rows = canvas.check_named_images("rows", rows)
    steps = len(rows[0][1])
    if steps < 2:
        raise UsageError(f"rows must have at least 2 images each, received: {steps}")
    labels = [f"{t:.3f}".rstrip("0").rstrip(".") for t in np.linspace(0, 1, steps)]
    most = steps if steps <= MAX_NUMBERS + 2 else MAX_NUMBERS + 1  # of many, about one for each tenth
    bottom = AxisLabels(labels, "t, the interpolation weight", most)
    return canvas.rows_figure(title, [(str(name), images) for name, images in rows], steps, bottom)


def manifold(images: np.ndarray, values: Sequence[float], title: str = "") -> Figure:
    """Draw images on the plane of two latent dimensions: the first grows rightward, the second upward.

    Args:
        images: uint8 array of shape `(count, count, height, width, channels)`, decoded from `interpolation.manifold`,
            whose first row has the largest value of the second dimension.
        values: ascending values of both dimensions, shape `(count,)`, such as `interpolation.normal_quantiles` returns.
        title: str, title of the figure; default none.

    Example:
        >>> figure = manifold(images[:9].reshape(3, 3, 28, 28, 1), [-1, 0, 1], "made up")
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]  # from the top
        ['1.00', '0.00', '−1.00']
    """
    images = canvas.check_images("images", images, "rows, columns")
    rows, columns = images.shape[:2]
    if rows != columns:
        raise UsageError(f"images must have as many rows as columns, received: {rows} and {columns}")
    numbers = _check_values(values, columns)
    if (np.diff(np.asarray(values, dtype=float)) <= 0).any():
        raise UsageError("values must be in ascending order, received: unsorted values")
    left = AxisLabels(numbers[::-1], latent_name(1), MAX_NUMBERS)
    bottom = AxisLabels(numbers, latent_name(0), MAX_NUMBERS)
    return canvas.canvas_figure(title, _flat(images), columns, left, bottom)[0]


def latent_name(dimension: int) -> str:
    """Return the label of a latent dimension, counted from 0.

    Example:
        >>> latent_name(12)
        'z₁₂'
    """
    return "z" + str(dimension).translate(str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉"))


def _check_values(values: object, count: int) -> list[str]:
    array = arrays.finite("values", values, f"of shape ({count},), like the images", lambda shape: shape == (count,))
    return [f"{value:.2f}".replace("-", "−") for value in array + 0.0]  # + 0.0: no "-0.00" for a zero


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(-1, *images.shape[2:])
