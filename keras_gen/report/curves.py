"""Curves over epochs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from keras_gen.runs import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NOT_QUANTITIES = {"epoch", "seconds"}
"""Columns of a history that are nothing to plot, beside counts: those that end in `updates` or `_images`."""

# Okabe & Ito 2008: told apart with any kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def loss_curves(history: Sequence[dict[str, float]], title: str) -> Figure:
    """One panel a quantity against epochs: training solid, validation dashed, nothing smoothed.

    Args:
        history: rows as `keras_gen.callbacks.history.read` returns them, at least one.
        title: of the figure.

    Returns:
        A matplotlib figure that belongs to no window; save it with `save_figure`.
    """
    from matplotlib.figure import Figure

    columns = dict.fromkeys(name for row in history for name in row if _is_quantity(name))
    quantities = list(dict.fromkeys(name.removeprefix("val_") for name in columns))
    columns_of_panels = min(len(quantities), 4)
    rows_of_panels = -(-len(quantities) // columns_of_panels)
    figure = Figure(figsize=(3.2 * columns_of_panels, 2.6 * rows_of_panels), layout="constrained")
    figure.suptitle(title)
    for index, quantity in enumerate(quantities):
        axes = figure.add_subplot(rows_of_panels, columns_of_panels, index + 1)
        for name, style, label in ((quantity, "-", "training"), (f"val_{quantity}", "--", "validation")):
            points = [(row["epoch"], row[name]) for row in history if name in row]
            if points:
                marker = "o" if len(points) == 1 else None
                axes.plot(
                    *zip(*points, strict=True), style, marker=marker, color=COLOURS[index % len(COLOURS)], label=label
                )
        axes.set_title(quantity)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if index == 0:
            axes.legend()
    return figure


def _is_quantity(column: str) -> bool:
    return column not in NOT_QUANTITIES and not column.endswith(("updates", "_images"))


def save_figure(figure: Figure, path: str | os.PathLike) -> None:
    """Save a figure as PNG, 120 dots an inch, in one atomic step."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
