"""Draw the losses and scores of several runs as curves over epochs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_gen.report import history_columns
from keras_gen.report.figures import curves, style
from keras_gen.report.history_columns import Rows
from keras_gen.utils.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS, _PANEL_WIDTH, _PANEL_HEIGHT, _LEGEND_WIDTH, _LEGEND_LINE = 2, 3.6, 2.7, 2.4, 0.2
"""Number of panels side by side; sizes in inches of a panel, and of the legend and its lines."""


def comparison_curves(histories: Sequence[tuple[str, Rows]], columns: int = COLUMNS) -> Figure:
    """Draw losses and scores of several runs, one panel per quantity, one color and marker per run.

    Training is solid, validation dashed; a non-finite value is a gap. The legend is beside the panels, or below those
    of a single column. `UsageError` is raised if no history has a quantity to draw.

    Args:
        histories: sequence of (name, rows) with at least one run, rows as `history_columns.check_history` returns them.
        columns: int, maximum number of panels side by side; default 2.
    """
    losses = dict.fromkeys(name for _, rows in histories for name in history_columns.loss_names(rows))
    scores = dict.fromkeys(name for _, rows in histories for name in history_columns.score_names(rows))
    names = [*losses, *scores]
    if not names:
        raise UsageError("histories must have a quantity to draw, received: none")
    is_beside = columns > 1  # below the panels of a narrow screen
    columns = min(columns, len(names))
    width, height = _PANEL_WIDTH * columns, _PANEL_HEIGHT * math.ceil(len(names) / columns)
    lines = _LEGEND_LINE * (len(histories) + 3)
    figure = style.new_figure(*((width + _LEGEND_WIDTH, max(height, lines)) if is_beside else (width, height + lines)))
    for place, name in enumerate(names):
        axes = figure.add_subplot(math.ceil(len(names) / columns), columns, place + 1)
        style.describe(axes, name, "epoch", _unit(name, histories) if name in losses else history_columns.better(name))
        style.epoch_axis(axes)
        for index, (_, rows) in enumerate(histories):
            _draw(axes, rows, name, index)
    _legend(figure, [name for name, _ in histories], "right upper" if is_beside else "lower center")
    return figure


def _draw(axes: Axes, rows: Rows, name: str, index: int) -> None:
    color, marker = style.class_style(index)
    for column, dashes in ((name, "-"), (f"val_{name}", "--")):
        epochs, values = curves.points(rows, column)
        if len(epochs):
            every = max(1, len(epochs) // 5)  # enough markers to distinguish runs without colors
            axes.plot(epochs, values, dashes, color=color, marker=marker, markevery=every, markersize=4, linewidth=1.3)


def _legend(figure: Figure, names: Sequence[str], place: str) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for index, name in enumerate(names):
        color, marker = style.class_style(index)
        handles.append(Line2D([], [], color=color, marker=marker, markersize=4, label=style.legend_label(name)))
    for dashes, kind in (("-", "training, or score"), ("--", "validation")):
        handles.append(Line2D([], [], color="0.4", linestyle=dashes, label=kind))
    style.legend(figure, handles=handles, loc=f"outside {place}")


def _unit(name: str, histories: Sequence[tuple[str, Rows]]) -> str:
    """Return the unit of a loss if it is the same in all runs that have the loss, else an empty string."""
    names = [(history_columns.loss_names(rows), rows) for _, rows in histories]
    units = {history_columns.unit(name, losses, rows) for losses, rows in names if name in losses}
    return units.pop() if len(units) == 1 else ""
