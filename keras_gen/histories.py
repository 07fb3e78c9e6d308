"""The history of a run as it lies in its directory: reading it back, without Keras."""

from __future__ import annotations

import csv
import os

from keras_gen.errors import UsageError


def read(path: str | os.PathLike) -> list[dict[str, int | float]]:
    """The rows of a history file, integers where integers stand; a field that is empty in a row is missing there.

    Raises:
        UsageError: the file can't be read, or is no history.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [{name: _number(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
    except (OSError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise UsageError(f"history {path} can't be read: {error}") from error
    if not rows or any(not isinstance(row.get("epoch"), int) for row in rows):
        raise UsageError(f"history {path} can't be read: no rows, or one without a whole epoch")
    return rows


def _number(text: str) -> int | float:
    return int(text) if text.isdecimal() else float(text)
