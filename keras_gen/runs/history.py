"""The history of a run as it lies in its directory: reading it back, without Keras."""

from __future__ import annotations

import csv
import io
import os

from keras_gen.utils import safe_files
from keras_gen.utils.errors import UsageError

MAX_BYTES = 64 * 2**20
"""A quarter of a million epochs of twenty quantities each."""

_MAX_DIGITS = 18
"""Of an integer: what counts epochs or updates has fewer, and NumPy's integers hold no more."""


def read(path: str | os.PathLike) -> list[dict[str, int | float]]:
    """The rows of a history file, integers where integers stand; a field that is empty in a row is missing there.

    Raises:
        UsageError: the file can't be read, or is no history.
    """
    try:
        lines = io.StringIO(safe_files.read_bytes(path, MAX_BYTES).decode("utf-8"), newline="")
        rows = [{name: _number(value) for name, value in row.items() if value} for row in csv.DictReader(lines)]
    except (OSError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise UsageError(f"history {path} can't be read: {error}") from error
    if not rows or any(not isinstance(row.get("epoch"), int) for row in rows):
        raise UsageError(f"history {path} can't be read: no rows, or one without a whole epoch")
    return rows


def _number(text: str) -> int | float:
    if text.isdecimal() and len(text) > _MAX_DIGITS:
        raise ValueError(f"{text[:_MAX_DIGITS]}… has {len(text):,} digits")
    return int(text) if text.isdecimal() else float(text)
