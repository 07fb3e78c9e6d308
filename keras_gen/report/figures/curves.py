"""Draw the losses and scores of a run as curves over epochs."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from keras_gen.report import history_columns
from keras_gen.report.figures import style
from keras_gen.report.history_columns import Panel, Rows
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError
from keras_gen.utils.text import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OUTLIER, MIN_VALUES = 200.0, 8
"""Values are left out that exceed the third quartile by more than `OUTLIER` times its distance to the minimum, such as
the loss of a first epoch that began with an explosion; if there are none, negative values as far below the first
quartile. Only in panels of `MIN_VALUES` values or more."""

COLUMNS, PANEL_WIDTH, PANEL_HEIGHT = 4, 3.2, 2.6
"""Maximum number of panels in a row of a figure, and the size of a panel in inches."""


def loss_curves(history: Rows, title: str = "", *, scores: bool = True, columns: int = COLUMNS) -> Figure:
    """Draw losses over epochs, one panel per quantity: training solid, validation dashed, axes with units.

    Related quantities share a panel, such as D's losses on real and on generated images and G's loss
    (`history_columns.GROUPS`). The panel of a Jensen-Shannon estimate shows its upper bound, log 2. A NaN or infinite
    value is a gap in the curve, and a value that would leave no space for all others is beyond the axis; the panel
    states the numbers of such values.

    Args:
        history: non-empty sequence of rows as `keras_gen.runs.history.read` returns them, with a quantity to draw.
        title: str, title of the figure; default none.
        scores: bool, whether to append panels of the scores as `metric_curves` draws them; default True.
        columns: int, maximum number of panels side by side; 2 fill the width of a page.

    Example:
        >>> figure = loss_curves([{"epoch": 1, "loss": 3.0}, {"epoch": 2, "loss": 2.0}], "mine")
        >>> [axes.get_title() for axes in figure.axes]
        ['loss']
    """
    history = history_columns.check_history(history)
    losses = history_columns.loss_panels(history)
    measured = history_columns.score_panels(history) if checks.boolean("scores", scores) else []
    if not losses and not measured:
        raise UsageError(f"history must have a quantity to draw, received: columns {', '.join(history[0])}")
    figure, places = _panels(title, len(losses) + len(measured), columns, history)
    for index, panel in enumerate(losses):
        _draw_losses(places[index], panel, history, index)
    for index, panel in enumerate(measured, start=len(losses)):
        _draw_score(places[index], panel, history, style.COLORS[index % len(style.COLORS)])
    return figure


def metric_curves(history: Rows, title: str = "", *, columns: int = COLUMNS) -> Figure:
    """Draw scores of generated images over epochs, one panel per score, with the number of images of each.

    A score is a column NAME with a column NAME_images. Scores of different numbers of images are not comparable, so
    each number has its own line.

    Args:
        history: rows as `keras_gen.runs.history.read` returns them, at least one with a score.
        title: str, title of the figure; default none.
        columns: int, maximum number of panels side by side; 2 fill the width of a page.

    Example:
        >>> figure = metric_curves([{"epoch": 10, "fd_lenet": 80.0, "fd_lenet_images": 1000}], "mine")
        >>> figure.axes[0].get_title(), figure.axes[0].get_lines()[0].get_label()
        ('fd_lenet', '1,000 images')
    """
    history = history_columns.check_history(history)
    panels = history_columns.score_panels(history)
    if not panels:
        raise UsageError("history must have scores, columns NAME and NAME_images, received: none")
    figure, places = _panels(title, len(panels), columns, history)
    for index, (axes, panel) in enumerate(zip(places, panels, strict=True)):
        _draw_score(axes, panel, history, style.COLORS[index % len(style.COLORS)])
    return figure


def _panels(title: str, count: int, columns: int, history: Rows) -> tuple[Figure, list[Axes]]:
    columns = min(count, checks.positive_int("columns", columns))
    rows = math.ceil(count / columns)
    figure = style.new_figure(PANEL_WIDTH * columns, PANEL_HEIGHT * rows, title)
    places = [figure.add_subplot(rows, columns, index + 1) for index in range(count)]
    first, last = float(history[0]["epoch"]), float(history[-1]["epoch"])
    margin = max(0.5, 0.04 * (last - first))
    for axes in places:  # the same range of epochs in all panels
        axes.set_xlim(first - margin, last + margin)
    return figure, places


def _draw_losses(axes: Axes, panel: Panel, history: Rows, index: int) -> None:
    grouped = len(panel.quantities) > 1
    shown, not_finite = set(), 0
    for place, quantity in enumerate(panel.quantities):
        color = style.COLORS[(place if grouped else index) % len(style.COLORS)]
        for column, kind, dashes in ((quantity, "training", "-"), (f"val_{quantity}", "validation", "--")):
            epochs, values = points(history, column)
            if not len(epochs):
                continue
            shown.add(kind)
            not_finite += np.isnan(values).sum()
            label = kind if not grouped else quantity if kind == "training" else f"_{column}"
            dot = {"marker": _marker(values), "markersize": 4.5}
            if kind == "validation":  # a single dot shows no dashes
                dot["markerfacecolor"] = "white"
            axes.plot(epochs, values, dashes, color=color, label=label, **dot)
    style.describe(axes, panel.title, "epoch", panel.unit)
    _prepare(axes, not_finite)
    if panel.bound is not None:
        _draw_bound(axes, *panel.bound)
    if grouped or index == 0:
        _legend(axes, grouped, shown)


def _draw_score(axes: Axes, panel: Panel, history: Rows, color: str) -> None:
    (name,) = panel.quantities
    measured = [row for row in history if row.get(name) is not None]
    counts = list(dict.fromkeys(row.get(name + history_columns.COUNT_ENDING) for row in measured))
    not_finite = 0
    for count, dashes in zip(counts, itertools.cycle(("-", "--", ":", "-."))):
        rows = [row for row in measured if row.get(name + history_columns.COUNT_ENDING) == count]
        epochs, values = points(rows, name)
        not_finite += np.isnan(values).sum()
        label = "unknown number of images" if count is None else f"{count:,.0f} images"
        axes.plot(epochs, values, dashes, marker="o", markersize=4, color=color, label=label)
    style.describe(axes, panel.title, "epoch", panel.unit)
    _prepare(axes, not_finite)
    style.legend(axes)


def points(history: Rows, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the epochs and values of a column; non-finite values are NaN, a gap in the line."""
    rows = [row for row in history if row.get(column) is not None]
    values = np.array([float(row[column]) for row in rows])
    return np.array([float(row["epoch"]) for row in rows]), np.where(np.isfinite(values), values, np.nan)


def _marker(values: np.ndarray) -> str | None:
    """Return a marker if some value has no neighbor: a line would not show it."""
    finite = np.pad(np.isfinite(values), 1)
    return "o" if (finite[1:-1] & ~finite[:-2] & ~finite[2:]).any() else None


def _prepare(axes: Axes, not_finite: int) -> None:
    outliers = _leave_out_outliers(axes)
    style.epoch_axis(axes)
    axes.ticklabel_format(axis="y", useOffset=False)
    counts = {"not finite": not_finite, "beyond the axis": outliers}
    note = ", ".join(f"{counted(count, 'value')} {what}" for what, count in counts.items() if count)
    if note:
        axes.text(0.03, 0.03, note, transform=axes.transAxes, fontsize=style.SMALL_SIZE, color=style.COLORS[1])


def _leave_out_outliers(axes: Axes) -> int:
    """End the axis before values that would leave no space for all others, and return their number."""
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
    values = values[np.isfinite(values)]
    if len(values) < MIN_VALUES:
        return 0
    for sign in (1, -1) if values.min() < 0 else (1,):  # too high; too low, if below 0
        mirrored = sign * values
        low, quartile = mirrored.min(), np.quantile(mirrored, 0.75)
        kept = values[mirrored <= quartile + OUTLIER * (quartile - low)]
        if len(kept) < len(values) and np.ptp(kept):
            margin = 0.05 * np.ptp(kept)
            axes.set_ylim(kept.min() - margin, kept.max() + margin)
            return len(values) - len(kept)
    return 0


def _draw_bound(axes: Axes, value: float, label: str) -> None:
    axes.axhline(value, color="black", linewidth=1, linestyle=":", label=f"_{label}")
    place = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "xytext": (0, -3)}
    axes.annotate(label, (0.03, value), va="top", fontsize=style.SMALL_SIZE, **place)


def _legend(axes: Axes, grouped: bool, kinds: set[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [line for line in axes.get_lines() if not line.get_label().startswith("_")]
    if grouped and "validation" in kinds:
        styles = (("training", "-"), ("validation", "--"))
        handles += [Line2D([], [], color="0.4", linestyle=dashes, label=kind) for kind, dashes in styles]
    columns = 2 if len(handles) > 3 else 1
    if grouped:  # make space for the legend above the lines
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + (0.2 + 0.14 * math.ceil(len(handles) / columns)) * (high - low))
    place = "upper center" if grouped else "best"
    style.legend(axes, handles=handles, loc=place, ncols=columns, columnspacing=1.0)
