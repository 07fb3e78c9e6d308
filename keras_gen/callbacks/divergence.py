"""A stop where training has nothing left to train."""

from __future__ import annotations

import math

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras

from keras_gen.utils.errors import TrainingDiverged


class StopOnDivergence(keras.callbacks.Callback):
    """End `fit` with an error in the step after which a tracked quantity is NaN or infinite.

    `keras.callbacks.TerminateOnNaN` looks at one name, `loss`, which adversarial models do not have, and lets the
    callbacks of the epoch's end save what is left.

    Args:
        initial_step: train steps that the first epoch already had.

    Raises:
        TrainingDiverged: from `fit`, naming the quantities, the step and the epoch.
    """

    def __init__(self, initial_step: int = 0):
        super().__init__()
        self._offset = initial_step
        self._epoch, self._seen, self._before = 0, 0, 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Count steps from here."""
        self._epoch = epoch + 1
        self._seen = self._before = self._offset
        self._offset = 0

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Look at the averages, which stay NaN or infinite once a step's value was."""
        first, self._seen = self._seen + 1, self._before + batch + 1
        wrong = [f"{name} is {float(value)}" for name, value in (logs or {}).items() if not math.isfinite(value)]
        if wrong:
            where = f"step {first:,}" if first == self._seen else f"one of steps {first:,} to {self._seen:,}"
            what = ", ".join(wrong)
            raise TrainingDiverged(f"training diverged: {what} after {where} of epoch {self._epoch}")
