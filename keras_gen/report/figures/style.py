"""Style of all figures (colors, markers, text sizes), and functions that save a figure."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

from keras_gen.utils import checks
from keras_gen.utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

# Okabe & Ito 2008, "Color universal design", without the yellow, which is faint on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Colors that are distinguishable with any kind of color vision."""

# Plus wine and indigo of Tol's muted scheme and a gray, so that ten classes have ten colors.
CLASS_COLORS = (*COLORS, "#882255", "#888888", "#332288")

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
"""Filled markers, as many as colors, so that ten classes also have ten markers."""

MAX_CLASSES = len(CLASS_COLORS) * len(MARKERS)
"""Number of classes with a distinct style in `class_style`."""

TITLE_SIZE, LABEL_SIZE, SMALL_SIZE = 11, 9, 8
"""Text sizes in points."""

PAGE_WIDTH = 7.2
"""Width in inches of a figure that fits on A4 or letter paper."""

DOTS_PER_INCH = 120

DARK, LIGHT = "#212327", "#e8e6e3"
"""Background and text of a dark figure."""

DARKEST_POINT = 0.3
"""Least brightness of a color of points in a dark figure that stays as it is; white is 1."""

PLAIN = {"parse_math": False, "usetex": False}
"""Options of a matplotlib text that may contain names: a dollar sign in it begins no formula."""

_NO_METADATA = {"png": {"Software": None}, "svg": {"Date": None, "Creator": None}}


def new_figure(width: float, height: float, title: str = "") -> Figure:
    """Return an empty matplotlib figure, unknown to pyplot, with constrained layout.

    Args:
        width, height: floats above 0, size in inches.
        title: str, title of the whole figure; a long one is wrapped.

    Example:
        >>> figure = new_figure(4, 3, "vae-mlp on digits")
        >>> figure.get_suptitle(), figure.get_size_inches().tolist()
        ('vae-mlp on digits', [4.0, 3.0])
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(checks.positive("width", width), checks.positive("height", height)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.07, h_pad=0.05)  # type: ignore[call-arg]
    if title:
        figure.suptitle(title, fontsize=TITLE_SIZE, wrap=True, **PLAIN)
    return figure


def describe(axes: Axes, title: str = "", x_label: str = "", y_label: str = "") -> None:
    """Set the title and axis labels of a panel, and their text sizes."""
    axes.set_title(title, fontsize=LABEL_SIZE + 1, **PLAIN)
    axes.set_xlabel(x_label, fontsize=LABEL_SIZE, **PLAIN)
    axes.set_ylabel(y_label, fontsize=LABEL_SIZE, **PLAIN)
    axes.tick_params(labelsize=SMALL_SIZE)


def epoch_axis(axes: Axes) -> None:
    """Number whole epochs on the horizontal axis of a panel, and draw a grid."""
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)  # type: ignore[call-arg]
    axes.grid(alpha=0.3)


def legend(owner: Axes | Figure, **options) -> Legend:
    """Add a legend to axes or a figure, with the options of matplotlib's `legend`, and return it."""
    added = owner.legend(fontsize=SMALL_SIZE, **options)
    for text in added.get_texts():
        text.update(PLAIN)
    return added


def legend_label(name: str) -> str:
    """Return a label that shows `name` in a legend: matplotlib leaves out those that begin with an underscore."""
    return f" {name}" if name.startswith("_") else name


def class_style(index: int) -> tuple[str, str]:
    """Return the color and marker of class `index`, a pair that is unique among the first `MAX_CLASSES` classes.

    The first ten classes differ in color and in marker, so that they are distinguishable in gray.

    Example:
        >>> class_style(0), class_style(1), class_style(10)
        (('#0072B2', 'o'), ('#D55E00', 's'), ('#0072B2', 's'))
    """
    index = checks.non_negative_int("index", index)
    # After each ten classes the markers shift by one against the colors: 100 pairs.
    return CLASS_COLORS[index % len(CLASS_COLORS)], MARKERS[(index + index // len(CLASS_COLORS)) % len(MARKERS)]


def darken(figure: Figure) -> None:
    """Give a figure a dark background and light text and lines; the images and colors of its data stay.

    Args:
        figure: figure to change.

    Example:
        >>> from matplotlib import colors
        >>> figure = new_figure(4, 3, "a title")
        >>> darken(figure)
        >>> colors.to_hex(figure.get_facecolor())
        '#212327'
    """
    from matplotlib import collections, colors, patches, patheffects, spines, text
    from matplotlib.legend import Legend

    white = colors.to_rgba("white")
    figure.set_facecolor(DARK)
    for axes in figure.axes:
        axes.set_facecolor(DARK)
        axes.tick_params(which="both", color=LIGHT)
    for legend in figure.findobj(Legend):
        legend.get_frame().set(facecolor=DARK, edgecolor=LIGHT)
    for spine in figure.findobj(spines.Spine):
        spine.set_edgecolor(LIGHT)
    for patch in figure.findobj(patches.Rectangle):
        if patch.get_facecolor() == white:  # it covers empty cells of a grid of images
            patch.set_facecolor(DARK)
    for label in figure.findobj(text.Text):
        label.set_color(LIGHT)
        if label.get_path_effects():  # the line around a name on points
            label.set_path_effects([patheffects.withStroke(linewidth=3, foreground=DARK)])
    for points in figure.findobj(collections.PathCollection):
        points.set_facecolors([_lightened(color) for color in points.get_facecolors()])


def _lightened(color: Sequence[float]) -> tuple[float, ...]:
    """Return a color of points, or one that is between it and white if it is too dark on a dark background."""
    red, green, blue, alpha = color
    brightness = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    white = max(0.0, 1 - brightness / DARKEST_POINT)
    return (*(value + 0.75 * white * (1 - value) for value in (red, green, blue)), alpha)


def save_figure(figure: Figure, path: str | os.PathLike) -> None:
    """Save a figure as PNG with 120 dots per inch, in one atomic step, whatever the suffix of `path`."""
    with atomic_path(path) as temporary:
        write(figure, temporary, "png")


def save_small(figure: Figure, path: str | os.PathLike) -> None:
    """Save a figure as `save_figure` does, with few colors, so that the pictures of a page stay small.

    A figure of lines has 64: the usual choice of colors would merge blue and green lines. One of images has 32. One of
    points has 256, chosen to cover all hues: points are translucent, and fewer colors would merge classes.
    """
    from matplotlib.collections import PathCollection
    from matplotlib.image import AxesImage
    from PIL import Image

    save_figure(figure, path)
    with Image.open(path) as picture, atomic_path(path) as temporary:
        options = {"colors": 64, "method": Image.Quantize.FASTOCTREE}
        if figure.findobj(AxesImage):
            options = {"colors": 32}
        if figure.findobj(PathCollection):
            options = {"colors": 256, "method": Image.Quantize.MAXCOVERAGE}
        picture.convert("RGB").quantize(**options).save(temporary, "png", optimize=True)


def write(figure: Figure, file: str | os.PathLike | BinaryIO, file_format: str) -> None:
    """Write a figure to a path or binary file as `png` or `svg`, without what differs between equal figures."""
    from matplotlib import rc_context

    with rc_context({"svg.hashsalt": "keras_gen"}):  # without a fixed salt the ids in an SVG are random
        figure.savefig(file, format=file_format, dpi=DOTS_PER_INCH, metadata=_NO_METADATA[file_format])
