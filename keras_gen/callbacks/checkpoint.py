"""Checkpoints of the whole training state, so that a run can be resumed."""

from __future__ import annotations

import os

import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras

from keras_gen import checkpoints, checks


class Checkpoint(keras.callbacks.Callback):
    """Save a checkpoint after every `every`-th epoch and after the last one. Put it last among the callbacks.

    Args:
        run: run directory; the files go into its `checkpoints`.
        every: epochs between two checkpoints.
    """

    def __init__(self, run: str | os.PathLike, every: int = 1):
        super().__init__()
        self.run = run
        self.every = checks.positive_int("every", every)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Save, if it is time for it."""
        done = epoch + 1
        if done % self.every == 0 or done == self.params["epochs"]:
            checkpoints.save(self.run, self.model, done)
