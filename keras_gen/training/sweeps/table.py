"""The results table of a sweep: a row per combination of values, with means and standard deviations over seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from keras_gen.report import history_columns
from keras_gen.runs import history, run_directory
from keras_gen.training.sweeps.state import CSV_FILE, Member, Sweep
from keras_gen.utils.errors import UsageError

_DATA = ("dataset", "data_dir", "image_size", "channels", "binarize", "validation", "bits", "skip_damaged")


class Quantity(NamedTuple):
    """Mean and sample standard deviation (None for a single value) of one history column over seeds."""

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

    The last epoch is that of the member's settings, even if the run was trained further, or that with which the run
    ended early. A score that was not measured in it (`fid_every` does not divide `epochs`) is not in the row.

    Raises:
        UsageError: A finished member's history can't be read or lacks the last epoch.
    """
    combinations, result = {}, []
    for member in sweep.members:
        combinations.setdefault(json.dumps(member.values), []).append(member)
    for members in combinations.values():
        epochs = [_last_epoch(member) for member in members if member.is_finished]
        names = [name for name in epochs[0] if all(name in epoch for epoch in epochs)] if epochs else []
        common = {name: [epoch[name] for epoch in epochs] for name in names}
        scores = history_columns.score_names([common])
        shown = {*scores, *history_columns.loss_names([common])}
        quantities = {name: _quantity(values) for name, values in common.items() if name.removeprefix("val_") in shown}
        result.append(Row(members[0].values, len(members), len(epochs), quantities, tuple(scores)))
    return result


def write_csv(sweep: Sweep, table: list[Row]) -> None:
    """Write the rows to the sweep's `sweep.csv`: the grid's values, `members`, `finished`, `NAME_mean`, `NAME_std`."""
    entries = []
    for row in table:
        entry = {**row.values, "members": row.members, "finished": row.finished}
        for name, quantity in row.quantities.items():
            entry |= {f"{name}_mean": quantity.mean, f"{name}_std": quantity.deviation}
        entries.append(entry)
    history.write(sweep.path / CSV_FILE, entries)


def notes(sweep: Sweep) -> list[str]:
    """Return warnings about members that fell back to other data, used different data, or lack the last score."""
    members_by_data, lines = {}, []
    for member in (member for member in sweep.members if member.is_finished):
        requested = tuple(getattr(member.settings, name) for name in _DATA)
        data = run_directory.read_recipe(member.run).get("data") or {}
        if why := data.get("substituted_because"):
            lines.append(f"member {member.number} was trained on {data.get('name')} instead of its own data: {why}")
        identity = (data.get("name"), data.get("fingerprint"))
        members_by_data.setdefault(requested, {}).setdefault(identity, []).append(member.number)
        lines += _missing_scores(member)
    for used in members_by_data.values():
        if len(used) > 1:
            which = "; ".join(f"{name}: {', '.join(map(str, numbers))}" for (name, _), numbers in used.items())
            lines.append(f"members were trained on different data, do not compare them ({which})")
    return lines


def _missing_scores(member: Member) -> list[str]:
    last = _last_epoch(member)
    earlier = [row for row in history.read(member.run / run_directory.HISTORY_FILE) if row["epoch"] < last["epoch"]]
    measured = {name: row["epoch"] for row in earlier for name in history_columns.score_names([row])}
    return [
        f"member {member.number} has no {name} of its last epoch, {last['epoch']}; the last is of epoch {epoch}"
        for name, epoch in measured.items()
        if name not in last
    ]


def _quantity(values: list[float]) -> Quantity:
    with np.errstate(invalid="ignore"):  # values may be infinite
        return Quantity(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


def _last_epoch(member: Member) -> dict[str, float]:
    path, epoch = member.run / run_directory.HISTORY_FILE, member.last_epoch
    if not (rows := [row for row in history.read(path) if row["epoch"] == epoch]):
        raise UsageError(f"history {path} can't be read, or has no epoch {epoch}")
    return rows[-1]
