"""Read and write tables such as a run's `history.csv`, without Keras."""

from __future__ import annotations

import contextlib
import csv
import io
import os
from collections.abc import Mapping, Sequence

from keras_gen.utils import files, safe_files
from keras_gen.utils.errors import UsageError

MAX_BYTES = 64 * 2**20
"""Limit on the file's size: about 250,000 epochs with 20 columns."""

_MAX_ROWS, _MAX_FIELDS = 250_000, 5_000_000
"""Limits on the table's size: a short row takes much more memory than space in the file."""

_MAX_DIGITS = 18
"""Limit on an integer's digits, as int64 has: counts of epochs and updates have fewer."""


def read(path: str | os.PathLike) -> list[dict[str, int | float]]:
    """Return the rows of a history file. Integers are read as int; a field that is empty is missing from its row.

    Raises:
        UsageError: the file can't be read or is not a history.
    """
    try:
        text = safe_files.read_bytes(path, MAX_BYTES).decode("utf-8")
        if max(text.count("\n"), text.count("\r")) > _MAX_ROWS or text.count(",") > _MAX_FIELDS:
            raise ValueError(f"it has more than {_MAX_ROWS:,} rows or {_MAX_FIELDS:,} fields")
        lines = io.StringIO(text, newline="")
        rows = [{name: _number(value) for name, value in row.items() if value} for row in csv.DictReader(lines)]
    except (OSError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise UsageError(f"history {path} can't be read: {error}") from error
    if not rows or any(not isinstance(row.get("epoch"), int) for row in rows):
        raise UsageError(f"history {path} can't be read: no rows, or a row without an integer epoch")
    return rows


def read_until(path: str | os.PathLike, epoch: int) -> list[dict[str, int | float]]:
    """Return the rows of the epochs up to `epoch`, counted from 1; without an epoch, the file need not exist.

    Raises:
        UsageError: the file can't be read, is not a history, or lacks one of these epochs.
    """
    rows = [row for row in read(path) if row["epoch"] <= epoch] if epoch else []
    if [row["epoch"] for row in rows] != list(range(1, epoch + 1)):
        raise UsageError(f"history {path} can't be continued: it must have one row for each earlier epoch")
    return rows


def numbers(logs: Mapping[str, object] | None) -> dict[str, int | float]:
    """Return the entries of Keras' logs that are numbers: callbacks may add others, which have no place in a table.

    Example:
        >>> numbers({"loss": np.float32(1), "val_loss": 2, "images": np.zeros(3), "note": "good"})
        {'loss': 1.0, 'val_loss': 2}
    """
    found = {}
    for name, value in (logs or {}).items():
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            if not isinstance(value, str | bytes):
                found[name] = value if type(value) is int and abs(value) < 2**63 else float(value)
    return found


def write(path: str | os.PathLike, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows to a CSV file atomically. Its columns are those of all rows; a value that a row lacks is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(path, text.getvalue())


def _number(text: str) -> int | float:
    if text.isdecimal() and len(text) > _MAX_DIGITS:
        raise ValueError(f"{text[:_MAX_DIGITS]}… has {len(text):,} digits")
    return int(text) if text.isdecimal() else float(text)
