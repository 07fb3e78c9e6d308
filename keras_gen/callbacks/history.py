"""Write the training history to a CSV file after each epoch."""

from __future__ import annotations

import os
import time
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras

from keras_gen.runs import history
from keras_gen.utils import files


class HistoryCSV(keras.callbacks.Callback):
    """Write one row per epoch: epoch (from 1), seconds, updates of each network, then Keras' logs that are numbers.

    The seconds include validation and the callbacks before this one. The file is rewritten atomically after each epoch.
    A quantity that was not measured in an epoch is an empty field.

    Args:
        path: str or path. The CSV file. If it exists, its rows up to the `initial_epoch` of `fit` are kept, later ones
            are dropped.
        seconds_before: float. Seconds that the first epoch took before it was interrupted. Defaults to 0.

    Raises:
        UsageError: Raised by `fit`: the file exists, but is no history of all epochs before.
    """

    def __init__(self, path: str | os.PathLike, seconds_before: float = 0.0):
        super().__init__()
        self.path = Path(path)
        self._rows = None
        self._seconds_before = seconds_before
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the clock; before the first epoch, read the rows of those before."""
        if self._rows is None:
            self._rows = history.read_until(self.path, epoch) if self.path.exists() else []
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Add the epoch's row."""
        seconds = round(self._seconds_before + time.perf_counter() - self._start, 3)
        self._seconds_before = 0.0
        self._rows = [row for row in self._rows if row["epoch"] <= epoch]  # `fit` may be called again
        row = {"epoch": epoch + 1, "seconds": seconds, **self.model.updates}
        self._rows.append(row | {name: value for name, value in history.numbers(logs).items() if name not in row})
        files.make_folder(self.path.parent)
        history.write(self.path, self._rows)
