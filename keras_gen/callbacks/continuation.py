"""The rest of an epoch that a checkpoint broke off."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras

from keras_gen import distribution
from keras_gen.models import ImageModel


class ContinueEpoch(keras.callbacks.Callback):
    """Go on with the averages of a broken epoch, which `fit` would start anew, and end `fit` when the epoch is whole.

    The epochs after it need a `fit` of their own, since Keras takes one number of steps for all.

    Args:
        model: in the state of a checkpoint.
    """

    def __init__(self, model: ImageModel):
        super().__init__()
        self._averages = [distribution.value(v) for metric in model.metrics for v in metric.variables]

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Bring the averages back."""
        variables = (variable for metric in self.model.metrics for variable in metric.variables)
        for variable, value in zip(variables, self._averages, strict=True):
            variable.assign(value)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """End this `fit`."""
        self.model.stop_training = True
