"""What the columns of a history are: losses or scores, in what unit, and which belong in one panel."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from keras_gen.utils.errors import UsageError, must_be

Rows = Sequence[Mapping[str, float]]

COUNT_ENDING = "_images"
"""A column NAME with a neighbor NAME_images is a score, measured on so many images."""

GROUPS = {
    ("d_loss_real", "d_loss_fake", "g_loss"): "losses of D and G",
    ("reconstruction", "loss"): "loss and reconstruction",
    ("d_real", "d_fake"): "output of D",
    ("mse", "corrupted_mse"): "mean squared error",
}
"""Quantities of one unit and one size that are read against each other, to the title of their panel.

The KL term is not with the loss that it is part of: beside 740 nats of reconstruction its 5 would be a flat line.
"""

_LOWER, _HIGHER = "lower is better", "higher is better"
_BETTER = dict.fromkeys(("fid", "fd", "kid", "kd"), _LOWER) | dict.fromkeys(
    ("inception_score", "classifier_score", "precision", "recall", "density", "coverage", "modes"), _HIGHER
)


@dataclass(frozen=True)
class Panel:
    """What is drawn in one panel.

    Args:
        title: of the panel.
        quantities: columns, without `val_`, that share its axis.
        unit: of that axis.
        bound: a value that the quantity can't exceed, and what to call it.
    """

    title: str
    quantities: tuple[str, ...]
    unit: str
    bound: tuple[float, str] | None = None


def check_history(history: object) -> Rows:
    """`history` as rows in the order of their epochs.

    Args:
        history: dictionaries, at least one, each with an `epoch`; the other values are numbers, or None or absent
            where nothing was measured.

    Raises:
        UsageError: it is no such sequence.

    Example:
        >>> check_history([])
        Traceback (most recent call last):
        ...
        keras_gen.utils.errors.UsageError: history must be rows with an epoch each, at least one, received: []
    """
    requirement = "rows with an epoch each, at least one"
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
    """The columns that are scores of generated images: those with a column of their number of images.

    Example:
        >>> score_names([{"epoch": 1, "loss": 3.0, "fd_lenet": 80.0, "fd_lenet_images": 1000}])
        ['fd_lenet']
    """
    columns = _columns(history)
    return [name for name in columns if name + COUNT_ENDING in columns]


def loss_names(history: Rows) -> list[str]:
    """The columns, without `val_`, that training computes: neither scores nor counts nor seconds.

    Example:
        >>> loss_names([{"epoch": 1, "seconds": 9.0, "updates": 5, "loss": 3.0, "val_loss": 4.0}])
        ['loss']
    """
    scores = set(score_names(history))
    names = [name for name in _columns(history) if name not in scores and not _is_bookkeeping(name)]
    return list(dict.fromkeys(name.removeprefix("val_") for name in names))


def loss_panels(history: Rows) -> list[Panel]:
    """The panels of a history's losses: those that `GROUPS` puts together first, then one each.

    Example:
        >>> for panel in loss_panels([{"epoch": 1, "kl": 5.0, "loss": 745.0, "reconstruction": 740.0}]):
        ...     print(panel.title, panel.quantities, panel.unit)
        loss and reconstruction ('reconstruction', 'loss') nats
        kl ('kl',) nats
    """
    names = loss_names(history)
    panels = []
    for group, title in GROUPS.items():
        if set(group) <= set(names):
            panels.append(Panel(title, group, unit(group[0], names, history)))
            names = [name for name in names if name not in group]
    every_name = loss_names(history)
    for name in names:
        bound = (math.log(2), "log 2, its bound") if name == "jsd" else None
        panels.append(Panel(name, (name,), unit(name, every_name, history), bound))
    return panels


def score_panels(history: Rows) -> list[Panel]:
    """A panel a score; its axis says which way is better, where that is known."""
    return [Panel(name, (name,), better(name)) for name in score_names(history)]


def unit(name: str, names: Sequence[str], history: Rows) -> str:
    """The unit of a loss among the others of its history; empty for a quantity that keras_gen does not know.

    Nats are the units of a likelihood or cross-entropy with natural logarithms. Two names need their neighbors: a
    GAN's losses are cross-entropies if it also has `jsd`, and an autoencoder's loss is one unless it is its `mse`.
    """
    if name == "loss":
        if "kl" in names:
            return "nats"
        if "mse" not in names:
            return ""
        return "squared pixel value" if _equal(history, "loss", "mse") else "nats a pixel"
    if name in ("d_loss", "d_loss_real", "d_loss_fake", "g_loss"):
        return "nats" if "jsd" in names else "no unit"
    if name in ("d_real", "d_fake"):
        return "probability of real" if "jsd" in names else "no unit"
    known = {"kl": "nats", "reconstruction": "nats", "jsd": "nats", "scale": "pixel value"}
    known |= dict.fromkeys(("mse", "corrupted_mse"), "squared pixel value")
    known |= dict.fromkeys(("emd", "critic_loss", "gradient_penalty"), "no unit")
    return known.get(name, "")


def better(score: str) -> str:
    """Which way a score is better, empty where that is not known.

    Example:
        >>> better("fd_lenet"), better("precision_inception_v3"), better("mode_entropy_lenet")
        ('lower is better', 'higher is better', '')
    """
    return next((how for name, how in _BETTER.items() if score == name or score.startswith(name + "_")), "")


def _columns(history: Rows) -> list[str]:
    return list(dict.fromkeys(name for row in history for name, value in row.items() if value is not None))


def _is_bookkeeping(name: str) -> bool:
    return name in ("epoch", "seconds") or name.endswith(("updates", COUNT_ENDING))


def _equal(history: Rows, first: str, second: str) -> bool:
    return all(row.get(first) == row.get(second) for row in history)


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
