"""End training before the last epoch: when its score no longer improves, or when it has taken long enough."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras

from keras_gen.runs import history, run_directory
from keras_gen.runs.settings import RunSettings


def reason(settings: RunSettings, rows: Sequence[Mapping[str, float]]) -> str | None:
    """Return why training ends after these epochs, or None if it goes on.

    It depends on nothing but the history, so that a resumed run ends where an uninterrupted one does.

    Args:
        settings: RunSettings. `patience` counts epochs since the lowest value of the column `keep_best`; `max_minutes`
            limits the sum of the epochs' seconds.
        rows: sequence of the history's rows, one per epoch.

    Example:
        >>> settings = RunSettings("vae-mlp", keep_best="val_loss", patience=2)
        >>> losses = [9.0, 7.0, 8.0, 7.5]
        >>> reason(settings, [{"epoch": i, "seconds": 1.0, "val_loss": loss} for i, loss in enumerate(losses, 1)])
        'val_loss has not improved for 2 epochs'
    """
    if settings.patience is not None and rows:
        measured = [(row[settings.keep_best], row["epoch"]) for row in rows if settings.keep_best in row]
        finite = [each for each in measured if math.isfinite(each[0])]
        if finite and rows[-1]["epoch"] - min(finite)[1] >= settings.patience:
            return f"{settings.keep_best} has not improved for {settings.patience} epochs"
    if settings.max_minutes is not None and sum(row["seconds"] for row in rows) >= 60 * settings.max_minutes:
        return f"training has taken {settings.max_minutes} minutes"
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
