"""History as a CSV file that grows while the run goes on."""

from __future__ import annotations

import csv
import io
import os
import time
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras

from keras_gen.runs.history import read
from keras_gen.utils import files


class HistoryCSV(keras.callbacks.Callback):
    """Write a row an epoch: epoch (from 1), seconds, updates of each network, then everything Keras logs.

    The seconds are of the whole epoch, with validation and the callbacks that come before this one.

    The file is replaced whole and atomically. A quantity that was not measured in an epoch is an empty field.

    Args:
        path: of the file. Rows of earlier epochs that stand there are kept; those past the initial epoch are dropped.
        initial_epoch: whole epochs done before, as in `fit`.
        seconds_before: that the first epoch took before it was broken off.

    Raises:
        UsageError: the file is there and is no history.
    """

    def __init__(self, path: str | os.PathLike, initial_epoch: int = 0, seconds_before: float = 0.0):
        super().__init__()
        self.path = Path(path)
        self._rows = [row for row in read(self.path) if row["epoch"] <= initial_epoch] if initial_epoch else []
        self._seconds_before = seconds_before
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Add the epoch's row."""
        seconds = round(self._seconds_before + time.perf_counter() - self._start, 3)
        self._seconds_before = 0.0
        self._rows.append({"epoch": epoch + 1, "seconds": seconds, **self.model.updates, **(logs or {})})
        columns = list(dict.fromkeys(name for row in self._rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        files.write_text(self.path, text.getvalue())
