"""Draw images: samples, reconstructions, denoised images, and the nearest training images of samples.

Rows of more than 10 images (20 if there are more than 40) are wrapped: all rows continue in another block below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.report.figures import canvas, style
from keras_gen.report.figures.canvas import AxisLabels
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS, MANY_COLUMNS, MANY = 10, 20, 40


def sample_grid(images: np.ndarray, title: str = "", columns: int | None = None) -> Figure:
    """Draw generated images in a grid, row by row, as `keras_gen.utils.image_utils.grid` does.

    Args:
        images: uint8 array of shape `(n, height, width, channels)` with 1 or 3 channels, n at least 1.
        title: str, title of the figure; default none.
        columns: int, images per row; default ⌈√n⌉.

    Example:
        >>> figure = sample_grid(images[:25], "digits")
        >>> figure.axes[0].images[0].get_array().shape  # 5 x 5 images of 28 pixels with 6 lines between and around them
        (146, 146)
    """
    images = canvas.check_images("images", images)
    columns = int(np.ceil(np.sqrt(len(images)))) if columns is None else checks.positive_int("columns", columns)
    return canvas.canvas_figure(title, images, min(columns, len(images)))[0]


def samples_through_training(samples: Sequence[tuple[int, np.ndarray]], title: str = "") -> Figure:
    """Draw images generated from the same latents after several epochs: one row per epoch, one column per latent.

    Args:
        samples: sequence of (epoch, images), the images uint8 arrays of one shape `(n, height, width, channels)`.
        title: str, title of the figure; default none.

    Example:
        >>> figure = samples_through_training([(1, images[:8]), (10, images[8:16])], "two epochs")
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['epoch 1', 'epoch 10']
    """
    samples = canvas.check_named_images("samples", samples)
    return _rows(title, _by_epoch("samples", samples))


def reconstructions(originals: np.ndarray, reconstructed: Sequence[tuple[int, np.ndarray]], title: str = "") -> Figure:
    """Draw originals above their reconstructions after several epochs.

    Args:
        originals: uint8 array of shape `(n, height, width, channels)`.
        reconstructed: sequence of (epoch, reconstructions), each with the shape of `originals`.
        title: str, title of the figure; default none.

    Example:
        >>> figure = reconstructions(images[:8], [(5, images[8:16])], "after 5 epochs")
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['original', 'epoch 5']
    """
    originals = canvas.check_images("originals", originals)
    pairs = canvas.check_named_images("reconstructed", reconstructed, originals)
    return _rows(title, [("original", originals), *_by_epoch("reconstructed", pairs)])


def denoising(noisy: np.ndarray, denoised: np.ndarray, clean: np.ndarray, title: str = "") -> Figure:
    """Draw the inputs of a denoiser above its outputs and the clean images.

    Args:
        noisy, denoised, clean: uint8 arrays of one shape `(n, height, width, channels)`.
        title: str, title of the figure; default none.

    Example:
        >>> figure = denoising(images[:4], images[:4], images[:4], "already clean")
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['noisy', 'denoised', 'clean']
    """
    clean = canvas.check_images("clean", clean)
    rows = [(name, canvas.check_images(name, shown)) for name, shown in (("noisy", noisy), ("denoised", denoised))]
    for name, shown in rows:
        canvas.check_same_shape(name, shown, "clean", clean)
    return _rows(title, [*rows, ("clean", clean)])


def nearest_neighbors(
    generated: np.ndarray, neighbors: np.ndarray, distances: np.ndarray, title: str = "", measure: str = "distance"
) -> Figure:
    """Draw generated images at the left of their nearest training images, with the distances below.

    Args:
        generated: uint8 array of shape `(n, height, width, channels)`.
        neighbors: uint8 array of shape `(n, k, height, width, channels)`, the k nearest training images of each
            generated image, the nearest first.
        distances: finite array of shape `(n, k)`, distances to them, at least 0 and ascending in each row.
        title: str, title of the figure; default none.
        measure: str, name of the distance for the axis; default `distance`.

    Example:
        >>> figure = nearest_neighbors(images[:2], images[2:8].reshape(2, 3, 28, 28, 1), np.ones((2, 3)), "made up")
        >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
        ['generated', 'nearest', '2nd', '3rd']
    """
    generated = canvas.check_images("generated", generated)
    neighbors = canvas.check_images("neighbors", neighbors, "n, k")
    count, nearest = neighbors.shape[:2]
    if (count, *neighbors.shape[2:]) != generated.shape:
        expected = f"({len(generated)}, k, {', '.join(map(str, generated.shape[1:]))})"
        raise UsageError(f"neighbors must be of shape {expected}, like generated, received: {neighbors.shape}")
    distances = arrays.finite(
        "distances", distances, f"of shape {(count, nearest)}", lambda shape: shape == (count, nearest)
    )
    if distances.min() < 0 or (np.diff(distances, axis=1) < 0).any():
        requirement = "at least 0 and ascending in every row"
        raise UsageError(f"distances must be {requirement}, received: negative or unsorted values")
    height, width = generated.shape[1:3]
    margin = -(-height // 4)  # for the distance below each image
    shown = np.concatenate([generated[:, None], neighbors], axis=1).reshape(-1, *generated.shape[1:])
    shown = np.pad(shown, ((0, 0), (0, margin), (0, 0), (0, 0)), constant_values=255)
    names = ["generated", "nearest", *map(_ordinal, range(2, nearest + 1))]
    bottom = AxisLabels(names, f"below each training image: {measure}")
    figure, axes = canvas.canvas_figure(title, shown, nearest + 1, bottom=bottom)
    axes.tick_params(axis="x", labeltop=True, labelbottom=False)
    canvas.whiten(axes, width + 1, 0, 1, axes.images[0].get_array().shape[0])
    for row in range(count):  # the strips of the distances, which are dark in a dark figure
        canvas.whiten(axes, 0, row * (height + margin + 1) + 1 + height, axes.images[0].get_array().shape[1], margin)
    for (row, column), distance in np.ndenumerate(distances):
        x, y = canvas.center(column + 1, width), canvas.center(row, height + margin) + height / 2
        axes.text(x, y, f"{distance:.3g}", ha="center", va="center", fontsize=style.SMALL_SIZE)
    return figure


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _by_epoch(argument: str, pairs: Sequence[tuple[int, np.ndarray]]) -> list[tuple[str, np.ndarray]]:
    name = f"the epochs of {argument}"
    return [(f"epoch {checks.non_negative_int(name, epoch)}", images) for epoch, images in pairs]


def _rows(title: str, rows: Sequence[tuple[str, np.ndarray]]) -> Figure:
    return canvas.rows_figure(title, rows, MANY_COLUMNS if len(rows[0][1]) > MANY else COLUMNS)
