"""Draw two-dimensional latents or embeddings as points, colored by class."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.report.figures import style
from keras_gen.report.figures.embedding import Embedding
from keras_gen.report.figures.latent_figures import latent_name
from keras_gen.utils.errors import UsageError, must_be

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NAMED = 20
"""Maximum number of classes that are also named in the plot; more would cover it."""


def scatter(
    codes: np.ndarray,
    labels: np.ndarray | None,
    title: str = "",
    names: Sequence[str] | None = None,
    axis_names: tuple[str, str] = (latent_name(0), latent_name(1)),
) -> Figure:
    """Draw points in the plane with one color and marker per class; each class is named at its median.

    Args:
        codes: array of real numbers of shape `(n, 2)`, such as the posterior means of a VAE with two latent dimensions.
        labels: int array of shape `(n,)`, at least 0, of at most 100 classes; None draws all points alike.
        title: str, title of the figure; default none.
        names: sequence of str, class names from class 0 on; default the class numbers.
        axis_names: pair of str, labels of the two axes, which have the same scale.

    Returns:
        A matplotlib figure, unknown to pyplot, with one collection of points per class.

    Example:
        >>> figure = scatter([[0, 0], [1, 0], [0, 1]], [3, 3, 8], "three points")
        >>> [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
        ['3 (2)', '8 (1)']
    """
    codes = arrays.finite(
        "codes", codes, "of shape (n, 2), n at least 1", lambda shape: len(shape) == 2 and shape[1] == 2 and shape[0]
    )
    labels = _check_labels(labels, len(codes))
    classes = [] if labels is None else np.unique(labels).tolist()
    class_names = _check_names(names, classes)
    figure = style.new_figure(5.4 + _legend_columns(classes), 5.2, title)
    axes = figure.add_subplot()
    size = float(np.clip(20_000 / len(codes), 6, 40))
    if labels is None:
        axes.scatter(*codes.T, s=size, color=style.COLORS[0], alpha=0.6, linewidths=0, rasterized=True)
    for index in classes:
        color, marker = style.class_style(index)
        points = codes[labels == index]
        label = style.legend_label(f"{class_names[index]} ({(labels == index).sum():,})")
        axes.scatter(*points.T, s=size, c=color, marker=marker, alpha=0.6, linewidths=0, label=label, rasterized=True)
    style.describe(axes, "", *axis_names)
    axes.set_aspect("equal", adjustable="datalim")
    axes.grid(alpha=0.3)
    if classes:
        _name_classes(axes, codes, labels, class_names)
    return figure


def embedding_figure(
    embedding: Embedding, labels: np.ndarray | None, title: str = "", names: Sequence[str] | None = None
) -> Figure:
    """Draw the result of `pca` or `tsne` as `scatter` does, with its description.

    Args:
        embedding: `Embedding` to draw.
        labels, title, names: as in `scatter`.

    Example:
        >>> from keras_gen.report.figures.embedding import pca
        >>> figure = embedding_figure(pca(images.reshape(64, -1)), data.train.labels[:64], "pixels")
        >>> figure.axes[0].get_title()
        'PCA of 64 codes of 784 dimensions'
    """
    figure = scatter(embedding.points, labels, title, names, embedding.axis_names)
    axes = figure.axes[0]
    axes.set_title(embedding.description, fontsize=style.LABEL_SIZE)
    if not embedding.has_scale:
        axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
        axes.grid(False)
    return figure


def _legend_columns(classes: Collection[int]) -> int:
    return -(-len(classes) // 24)


def _name_classes(axes: Axes, codes: np.ndarray, labels: np.ndarray, class_names: dict[int, str]) -> None:
    from matplotlib.patheffects import withStroke

    options = {"ncols": _legend_columns(class_names), "markerscale": 1.5, "frameon": False}
    legend = style.legend(axes, loc="center left", bbox_to_anchor=(1.0, 0.5), **options)
    for handle in legend.legend_handles:
        handle.set_alpha(1)
    if len(class_names) > MAX_NAMED:
        return
    options = {"weight": "bold", "fontsize": style.TITLE_SIZE, "ha": "center", "va": "center", **style.PLAIN}
    options["path_effects"] = [withStroke(linewidth=3, foreground="white")]
    for index, name in class_names.items():
        x, y = np.median(codes[labels == index], axis=0)
        axes.text(x, y, name, **options)


def _check_labels(labels: object, count: int) -> np.ndarray | None:
    if labels is None:
        return None
    array = arrays.as_array("labels", labels, f"{count} integers")
    if array.dtype.kind not in "iu" or array.shape != (count,):
        raise UsageError(f"labels must be {count} integers, received: {array.dtype} of shape {array.shape}")
    if array.min() < 0:
        raise must_be("labels", "at least 0", int(array.min()))
    if (classes := len(np.unique(array))) > style.MAX_CLASSES:
        raise UsageError(f"labels must be of at most {style.MAX_CLASSES} classes, or None, received: {classes}")
    return array


def _check_names(names: object, classes: list[int]) -> dict[int, str]:
    if names is None:
        return {index: str(index) for index in classes}
    if isinstance(names, str) or not isinstance(names, Sequence) or len(names) <= max(classes, default=-1):
        raise must_be("names", f"a name for each class from 0 to {max(classes, default=0)}", names)
    return {index: str(names[index]) for index in classes}
