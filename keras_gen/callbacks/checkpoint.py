"""Checkpoints of the whole training state, so that a run can be resumed at the step it came to."""

from __future__ import annotations

import os
import time

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras

from keras_gen import distribution
from keras_gen.distribution.consensus import Agreement
from keras_gen.models import ImageModel
from keras_gen.runs import checkpoints
from keras_gen.runs.checkpoints import TrainingPosition
from keras_gen.runs.intervals import Interval
from keras_gen.utils.signals import StopSignals


class Checkpoint(keras.callbacks.Callback):
    """Save a checkpoint every so often and after the last epoch. Put it last among the callbacks.

    Steps are counted over all epochs: of `every="500steps"` the checkpoints are after steps 500, 1000, …, where several
    steps are one execution after the first that completes as many. What falls on the end of an epoch is saved after
    its validation and the other callbacks.

    Args:
        run: run directory; the files go into its `checkpoints`.
        every: as `Interval.parse` takes it: a number of epochs, or such as `500steps`, `10epochs`, `5minutes`.
        start: where training starts, of a run that goes on.
        requests: to stop. Once there is one, a checkpoint is saved at the next step (in an epoch's last one, at the
            epoch's end) and `KeyboardInterrupt` raised. Of several workers one request stops all; they talk about it
            once a second. Minutes are the chief's.

    Raises:
        UsageError: `every` is no such interval.
    """

    def __init__(
        self,
        run: str | os.PathLike,
        every: int | str = 1,
        *,
        start: TrainingPosition | None = None,
        requests: StopSignals | None = None,
    ):
        super().__init__()
        self.run = run
        self.every = Interval.parse("every", every)
        self.start = start or TrainingPosition()
        self.requests = requests
        self._last_save = time.monotonic()
        self._begin_epoch(self.start.epoch)

    def _begin_epoch(self, epoch):
        resumed = epoch == self.start.epoch
        self._epoch = epoch
        self._step = self._steps_before = self._looked_at = self.start.step if resumed else 0
        self._seconds_before = self.start.seconds if resumed else 0.0
        self._epoch_begin = time.perf_counter()
        steps = (self.params or {}).get("steps")
        self._steps = None if steps is None else steps + self._steps_before

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Start the clock of intervals in minutes."""
        self._last_save = time.monotonic()
        self._agreement = Agreement(self.model.distribute_strategy)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the epoch's clock."""
        self._begin_epoch(epoch)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Save in the middle of an epoch, if it is time for it or somebody wants to stop."""
        self._step = self._steps_before + batch + 1
        if self._steps is not None and self._step >= self._steps:
            return
        stop, late = self._agreement.of(self._is_asked_to_stop(), self._is_late())
        if self._steps_have_passed() or late or stop:
            seconds = self._seconds_before + time.perf_counter() - self._epoch_begin
            self._save(TrainingPosition(self._epoch, self._step, round(seconds, 3)))
        if stop:
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Save after a whole epoch, if it is time for it, if it was the last or if somebody wants to stop."""
        done = epoch + 1
        stop, late = self._agreement.of(self._is_asked_to_stop(), self._is_late(), at_once=True)
        due = self.every.unit == "epochs" and done % self.every.count == 0
        if due or self._steps_have_passed() or late or stop or done == self.params["epochs"]:
            self._save(TrainingPosition(done))
        if stop:
            raise KeyboardInterrupt

    def _is_asked_to_stop(self):
        return self.requests is not None and self.requests.count > 0

    def _is_late(self):
        """Whether an interval in minutes has passed, by the clock of who writes."""
        if self.every.unit != "minutes" or not distribution.is_chief(self.model.distribute_strategy):
            return False
        return time.monotonic() - self._last_save >= 60 * self.every.count

    def _steps_have_passed(self):
        """Whether an interval in steps has ended since the last time that this was asked."""
        if self.every.unit != "steps":
            return False
        base = self._epoch * (self._steps or 0)
        before, self._looked_at = self._looked_at, self._step
        return (base + self._step) // self.every.count > (base + before) // self.every.count

    def _save(self, position):
        checkpoints.save(self.run, self.model, position)
        self._last_save = time.monotonic()


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
