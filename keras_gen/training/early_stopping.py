"""End training before the last epoch: when its score no longer improves, or when it has taken long enough."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras

from keras_gen.runs import history, run_directory
from keras_gen.runs.settings import RunSettings
from keras_gen.utils.text import counted


def reason(settings: RunSettings, rows: Sequence[Mapping[str, float]]) -> str | None:
    """Return why training ends after these epochs, or None if it goes on.

    It depends on nothing but the history, so that a resumed run ends where an uninterrupted one does.

    Args:
        settings: RunSettings. `patience` counts epochs since the lowest value of the column `keep_best`, in each epoch
            that measured it; `max_minutes` limits the sum of the epochs' seconds.
        rows: sequence of the history's rows, one per epoch.

    Example:
        >>> settings = RunSettings("vae-mlp", keep_best="val_loss", patience=2)
        >>> losses = [9.0, 7.0, 8.0, 7.5]
        >>> reason(settings, [{"epoch": i, "seconds": 1.0, "val_loss": loss} for i, loss in enumerate(losses, 1)])
        'val_loss has not improved for 2 epochs'
    """
    column = settings.keep_best
    if settings.patience is not None and rows and column in rows[-1]:
        values = [(row[column], row["epoch"]) for row in rows if math.isfinite(row.get(column, math.nan))]
        if values and rows[-1]["epoch"] - min(values)[1] >= settings.patience:
            return f"{column} has not improved for {counted(settings.patience, 'epoch')}"
    minutes = sum(row.get("seconds", 0.0) for row in rows) / 60
    if settings.max_minutes is not None and minutes >= settings.max_minutes:
        return f"training has taken {counted(settings.max_minutes, 'minute')}"
    return None


def reason_in(run: Path, settings: RunSettings, epochs: int) -> str | None:
    """Return the `reason` for which a run directory's training ends after that many epochs, or None."""
    if epochs == 0 or (settings.patience is None and settings.max_minutes is None):
        return None
    return reason(settings, [row for row in history.read(run / run_directory.HISTORY_FILE) if row["epoch"] <= epochs])


class EarlyStopping(keras.callbacks.Callback):
    """End `fit` after the epoch in which there is a `reason` to. Put it after `HistoryCSV` and before `Checkpoint`.

    Args:
        run: path of the run directory.
        settings: RunSettings. As in `reason`.
    """

    def __init__(self, run: Path, settings: RunSettings):
        super().__init__()
        self.run, self.settings = run, settings

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Check the history."""
        if reason_in(self.run, self.settings, epoch + 1) is not None:
            self.model.stop_training = True
