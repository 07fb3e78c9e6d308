"""The results of a sweep: a row a combination of the grid, means and standard deviations over seeds."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from keras_gen.runs import history, run_directory
from keras_gen.training.sweeps.state import Member, Sweep
from keras_gen.utils import files
from keras_gen.utils.errors import UsageError

CSV_FILE = "sweep.csv"
_COUNT = "_images"
"""What the name of a score ends in that says how many images it was measured on."""
_DATA = ("dataset", "data_dir", "image_size", "channels", "binarize")


@dataclass(frozen=True)
class Quantity:
    """A column of the history over the seeds of a combination.

    Args:
        mean: of the values in the last epoch.
        deviation: their sample standard deviation (n - 1 in the denominator); None of a single value.
    """

    mean: float
    deviation: float | None


@dataclass(frozen=True)
class Row:
    """A combination of the grid's values.

    Args:
        values: of the names in the grid.
        members: how many it has.
        finished: how many of these are finished.
        quantities: losses and scores of the finished members' last epochs, those that all of them have.
        scores: names of the scores among them.
    """

    values: Mapping[str, object]
    members: int
    finished: int
    quantities: Mapping[str, Quantity]
    scores: tuple[str, ...]


def rows(sweep: Sweep) -> list[Row]:
    """A row a combination, in the order of the grid.

    The last epoch is the one that the settings ask for, also of a run that has been trained on since. A score that was
    not measured in it (`fid_every` does not divide `epochs`) is not in the row.

    Raises:
        UsageError: a finished member's history has been changed.
    """
    result = []
    for first in range(0, len(sweep.members), sweep.seeds):
        members = sweep.members[first : first + sweep.seeds]
        epochs = [_last_epoch(sweep, member) for member in members if sweep.is_done(member)]
        common = [name for name in epochs[0] if all(name in epoch for epoch in epochs)] if epochs else []
        scores = tuple(name for name in common if name + _COUNT in common)
        bookkeeping = {"epoch", "seconds", *(name + _COUNT for name in scores)}
        names = [name for name in common if name not in bookkeeping and not name.endswith("updates")]
        quantities = {name: _quantity([epoch[name] for epoch in epochs]) for name in names}
        result.append(Row(members[0].values, len(members), len(epochs), quantities, scores))
    return result


def write_csv(sweep: Sweep, table: list[Row]) -> None:
    """Write the rows to the sweep's `sweep.csv`: the grid's values, `members`, `finished`, `NAME_mean`, `NAME_std`."""
    entries = []
    for row in table:
        entry = {**row.values, "members": row.members, "finished": row.finished}
        for name, quantity in row.quantities.items():
            entry |= {f"{name}_mean": quantity.mean, f"{name}_std": quantity.deviation}
        entries.append(entry)
    columns = dict.fromkeys(name for entry in entries for name in entry)
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(entries)
    files.write_text(sweep.path / CSV_FILE, text.getvalue())


def notes(sweep: Sweep) -> list[str]:
    """What a reader of the table has to know of the data: not those asked for, or not the same for all members."""
    found, lines = {}, []
    for member in filter(sweep.is_done, sweep.members):
        asked = tuple(getattr(member.settings, name) for name in _DATA)
        data = run_directory.read_recipe(sweep.run_of(member)).get("data") or {}
        if why := data.get("substituted_because"):
            lines.append(f"member {member.number} was trained on {data.get('name')} instead of its own data: {why}")
        found.setdefault(asked, {}).setdefault((data.get("name"), data.get("fingerprint")), []).append(member.number)
    for kinds in found.values():
        if len(kinds) > 1:
            which = "; ".join(f"{name}: {', '.join(map(str, numbers))}" for (name, _), numbers in kinds.items())
            lines.append(f"members were trained on different data, do not compare them ({which})")
    return lines


def _quantity(values: list[float]) -> Quantity:
    with np.errstate(invalid="ignore"):  # of a run that ended in infinity
        return Quantity(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


def _last_epoch(sweep: Sweep, member: Member) -> dict[str, float]:
    path = sweep.run_of(member) / run_directory.HISTORY_FILE
    epochs = {row["epoch"]: row for row in history.read(path)}
    if member.settings.epochs not in epochs:
        raise UsageError(f"history {path} can't be read, or has no epoch {member.settings.epochs}")
    return epochs[member.settings.epochs]
