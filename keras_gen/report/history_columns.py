"""Classify the columns of a history: losses or scores, their units, and the panels that they are drawn in."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keras_gen.evaluation import score_name
from keras_gen.evaluation.measures import BETTER
from keras_gen.evaluation.score import DIRECTION
from keras_gen.utils.errors import UsageError, must_be

Rows = Sequence[Mapping[str, float]]

COUNT_ENDING = "_images"
"""A column NAME is a score if there is a column NAME_images with the number of images it was measured on."""

GROUPS = {
    ("d_loss_real", "d_loss_fake", "g_loss"): "losses of D and G",
    ("reconstruction", "loss"): "loss and reconstruction",
    ("d_real", "d_fake"): "output of D",
    ("mse", "corrupted_mse"): "mean squared error",
}
"""Maps quantities of the same unit and magnitude, drawn in one panel, to the title of that panel.

The KL term has its own panel: beside a reconstruction loss of 740 nats its 5 nats would be a flat line.
"""

_UNITS = {
    **dict.fromkeys(("elbo", "kl", "reconstruction", "jsd"), "nats"),
    **dict.fromkeys(("mse", "corrupted_mse"), "squared pixel value"),
    "scale": "pixel value",
    "gradient_penalty": "dimensionless",
}
"""Units that do not depend on the other columns. `emd` has the unit of pixels only if the critic is 1-Lipschitz."""


@dataclass(frozen=True)
class Panel:
    """Content of one panel of a figure.

    Args:
        title: str, title of the panel.
        quantities: tuple of str, columns drawn on its axis, without the prefix `val_`.
        unit: str, unit of the axis.
        bound: optional pair `(value, label)` of an upper bound of the quantity; default None.
    """

    title: str
    quantities: tuple[str, ...]
    unit: str
    bound: tuple[float, str] | None = None


def check_history(history: object) -> Rows:
    """Check a history and return its rows sorted by epoch.

    A history is a non-empty sequence of dictionaries, each with an `epoch`. The other values are numbers; None or a
    missing key stands for "not measured".

    Example:
        >>> check_history([])
        Traceback (most recent call last):
        ...
        keras_gen.utils.errors.UsageError: history must be one or more rows, each with an epoch, received: []
    """
    requirement = "one or more rows, each with an epoch"
    if isinstance(history, Mapping) or not isinstance(history, Sequence) or not history:
        raise must_be("history", requirement, history)
    for row in history:
        if not isinstance(row, Mapping) or not _is_number(row.get("epoch")) or not math.isfinite(row["epoch"]):
            raise must_be("history", requirement, row)
        for name, value in row.items():
            if value is not None and not _is_number(value):
                raise UsageError(f"history must have numbers in {name}, received: {value!r} in epoch {row['epoch']}")
    return sorted(history, key=lambda row: row["epoch"])


def score_names(history: Rows) -> list[str]:
    """Return the names of the columns that are scores of generated images, i.e. have a column NAME_images.

    Example:
        >>> score_names([{"epoch": 1, "loss": 3.0, "fd_lenet": 80.0, "fd_lenet_images": 1000}])
        ['fd_lenet']
    """
    columns = _columns(history)
    return [name for name in columns if name + COUNT_ENDING in columns]


def loss_names(history: Rows) -> list[str]:
    """Return the names of the columns that training computes, without `val_`: no scores, counts or seconds.

    Example:
        >>> loss_names([{"epoch": 1, "seconds": 9.0, "updates": 5, "loss": 3.0, "val_loss": 4.0}])
        ['loss']
    """
    scores = set(score_names(history))
    names = [name for name in _columns(history) if name not in scores and not _is_bookkeeping(name)]
    return list(dict.fromkeys(name.removeprefix("val_") for name in names))


def loss_panels(history: Rows) -> list[Panel]:
    """Return the panels of a history's losses: first the groups of `GROUPS`, then one panel per quantity.

    Example:
        >>> for panel in loss_panels([{"epoch": 1, "kl": 5.0, "loss": 745.0, "reconstruction": 740.0}]):
        ...     print(panel.title, panel.quantities, panel.unit)
        loss and reconstruction ('reconstruction', 'loss') nats
        kl ('kl',) nats
    """
    names = loss_names(history)
    groups = {group: title for group, title in GROUPS.items() if set(group) <= set(names)}
    panels = [Panel(title, group, unit(group[0], names, history)) for group, title in groups.items()]
    for name in names:
        if not any(name in group for group in groups):
            bound = (math.log(2), "upper bound log 2") if name == "jsd" else None
            panels.append(Panel(name, (name,), unit(name, names, history), bound))
    return panels


def score_panels(history: Rows) -> list[Panel]:
    """Return one panel per score; the axis label says whether lower or higher is better, if known."""
    return [Panel(name, (name,), better(name)) for name in score_names(history)]


def unit(name: str, names: Sequence[str], history: Rows) -> str:
    """Return the unit of a loss; empty for a quantity that keras_gen does not know.

    Nats are the unit of a likelihood or cross-entropy with natural logarithms. Two cases depend on the other columns:
    a GAN's losses are cross-entropies if `jsd` is a column (without it the columns don't show their unit), and an
    autoencoder's loss is a cross-entropy unless it equals its `mse`. `names` are those of all losses of the history.
    """
    if name == "loss":
        if "kl" in names:
            return "nats"
        if "mse" not in names:
            return ""
        is_mse = all(row.get("loss") == row.get("mse") for row in history)
        return "squared pixel value" if is_mse else "nats per pixel"
    if name in ("d_loss", "d_loss_real", "d_loss_fake", "g_loss"):
        return "nats" if "jsd" in names else ""
    if name in ("d_real", "d_fake"):
        return "probability of real" if "jsd" in names else "dimensionless"
    return _UNITS.get(name, "")


def better(score: str) -> str:
    """Return "lower is better" or "higher is better" for a score, or "" if unknown.

    Example:
        >>> better("fd_lenet"), better("precision_inception_v3"), better("mode_entropy_lenet")
        ('lower is better', 'higher is better', '')
    """
    for metric, direction in BETTER.items():
        if direction and (score == metric or score.startswith(score_name(metric, extractor=""))):
            return f"{DIRECTION[direction]} is better"
    return ""


def _columns(history: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in history for name, value in row.items() if value is not None))


def _is_bookkeeping(name: str) -> bool:
    return name in ("epoch", "seconds") or name.endswith(("updates", COUNT_ENDING))


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
