"""The results table of a sweep: one row per grid combination, with means and standard deviations over seeds."""

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
"""Suffix of the history column with the number of images a score was measured on."""
_DATA = ("dataset", "data_dir", "image_size", "channels", "binarize")


@dataclass(frozen=True)
class Quantity:
    """Statistics of one history column over the seeds of a combination, in the last epoch.

    Args:
        mean: float. Mean over the seeds.
        deviation: float or None. Sample standard deviation (n - 1 in the denominator); None for a single value.
    """

    mean: float
    deviation: float | None


@dataclass(frozen=True)
class Row:
    """Results of one combination of the grid's values.

    Args:
        values: dict. Values of the grid's names.
        members: int. Number of members.
        finished: int. Number of finished members.
        quantities: dict. Losses and scores in the last epoch that all finished members have, by column name.
        scores: tuple of str. Names of the scores among them.
    """

    values: Mapping[str, object]
    members: int
    finished: int
    quantities: Mapping[str, Quantity]
    scores: tuple[str, ...]


def rows(sweep: Sweep) -> list[Row]:
    """Return one row per combination, in the order of the grid.

    The last epoch is that of the member's settings, even if the run was trained further. A score that was not measured
    in it (`fid_every` does not divide `epochs`) is not in the row.

    Raises:
        UsageError: A finished member's history can't be read or lacks the last epoch.
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
    """Return warnings about the data: members that fell back to other data, or that used different data."""
    members_by_data, lines = {}, []
    for member in filter(sweep.is_done, sweep.members):
        requested = tuple(getattr(member.settings, name) for name in _DATA)
        data = run_directory.read_recipe(sweep.run_of(member)).get("data") or {}
        if why := data.get("substituted_because"):
            lines.append(f"member {member.number} was trained on {data.get('name')} instead of its own data: {why}")
        identity = (data.get("name"), data.get("fingerprint"))
        members_by_data.setdefault(requested, {}).setdefault(identity, []).append(member.number)
    for used in members_by_data.values():
        if len(used) > 1:
            which = "; ".join(f"{name}: {', '.join(map(str, numbers))}" for (name, _), numbers in used.items())
            lines.append(f"members were trained on different data, do not compare them ({which})")
    return lines


def _quantity(values: list[float]) -> Quantity:
    with np.errstate(invalid="ignore"):  # values may be infinite
        return Quantity(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


def _last_epoch(sweep: Sweep, member: Member) -> dict[str, float]:
    path = sweep.run_of(member) / run_directory.HISTORY_FILE
    epochs = {row["epoch"]: row for row in history.read(path)}
    if member.settings.epochs not in epochs:
        raise UsageError(f"history {path} can't be read, or has no epoch {member.settings.epochs}")
    return epochs[member.settings.epochs]
