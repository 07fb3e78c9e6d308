"""Keras' progress bar for train steps of which several are one call of TensorFlow."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras

COUNT_ENDING = "_images"
"""Ending of the name of a score's number of images."""


class ProgressBar(keras.callbacks.ProgbarLogger):
    """Keras' progress bar, but it counts at most the steps of the epoch, and shows no numbers of images as means.

    Keras counts a call of TensorFlow as its maximum number of steps, also if the epoch ends within it.
    """

    def on_train_batch_end(self, batch, logs=None):
        """Show the progress of `fit`."""
        super().on_train_batch_end(self._within(batch), logs)

    def on_test_batch_end(self, batch, logs=None):
        """Show the progress of `evaluate`."""
        super().on_test_batch_end(self._within(batch), logs)

    def on_epoch_end(self, epoch, logs=None):
        """Show the results of an epoch."""
        logs = logs or {}
        counts = {name + COUNT_ENDING for name in logs}
        super().on_epoch_end(epoch, {name: value for name, value in logs.items() if name not in counts})

    def _within(self, batch):
        return batch if self.target is None else min(batch, self.target - 1)


def with_progress_bar(callbacks, verbose):
    """Return the callbacks of `fit` or `evaluate` with a `ProgressBar` at the end, if there is to be a bar."""
    if not verbose or isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    listed = [] if callbacks is None else list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    has_bar = any(isinstance(callback, keras.callbacks.ProgbarLogger) for callback in listed)
    return listed if has_bar else [*listed, ProgressBar()]
