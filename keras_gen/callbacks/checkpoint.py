"""Save checkpoints of the whole training state, so that a run can be resumed at any step."""

from __future__ import annotations

import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras

from keras_gen import distribution
from keras_gen.distribution.consensus import Agreement
from keras_gen.models import ImageModel
from keras_gen.runs import checkpoints, history
from keras_gen.runs.checkpoints import TrainingPosition
from keras_gen.runs.intervals import Interval
from keras_gen.runs.run_directory import HISTORY_FILE
from keras_gen.utils.errors import must_be
from keras_gen.utils.progress import print_line
from keras_gen.utils.signals import StopSignals


SHORT_SAVE = 0.5
"""Seconds; checkpoints that take less are saved after each epoch by default."""

MAX_SHARE = 1 / 20
"""Maximum share of the time that checkpoints take by default."""


class Checkpoint(keras.callbacks.Callback):
    """Save a checkpoint at regular intervals and after the last epoch.

    Put it after all callbacks that record an epoch or end training, such as `keras.callbacks.EarlyStopping`.

    Files are written by a thread while training goes on, one at a time. The end of training waits for the last one.
    An error while writing, or a state that is not finite, ends `fit` at the next checkpoint or at the end of training.
    After an error or an interruption of `fit`, call `close` before you look for the newest file.

    Steps are counted over all epochs: with `every="500steps"`, checkpoints are saved after steps 500, 1000, …, or after
    the execution that contains such a step if `steps_per_execution` is above 1. A checkpoint that is due at the end of
    an epoch is saved after validation and the other callbacks.

    Args:
        run: str or path. Run directory; the files are written to its `checkpoints`.
        every: int or str. An interval as in `Interval.parse`: a number of epochs, or a string such as `"500steps"`,
            `"10epochs"`, `"5minutes"`; or `"auto"`, every epoch, except that checkpoints that take longer than
            `SHORT_SAVE` take at most `MAX_SHARE` of the time. The chief measures it. Defaults to `"auto"`.
        start: TrainingPosition or None. Where training starts, for a resumed run. Defaults to the beginning.
        requests: StopSignals or None. After a stop request, a checkpoint is saved at the next step (or at the end of
            the epoch, if that was its last step) and `KeyboardInterrupt` is raised. One request stops all workers; they
            synchronize once a second. Defaults to None.
        keep_best: str or None. Column of the history, such as `"fd_lenet"`, of which lower values are better: a
            checkpoint is also saved after each epoch with a new lowest value, and kept until the next such one. Needs
            `HistoryCSV` of the run's `history.csv` before this callback. Each epoch then ends with the file before it
            complete. A note is printed if no epoch has a finite value. Defaults to None.

    Raises:
        UsageError: `every` is no such interval, or `keep_best` is no text. Raised by `fit`: the run has checkpoints of
            later epochs, which an earlier training left, or no `history.csv` for `keep_best`.
    """

    def __init__(
        self,
        run: str | os.PathLike,
        every: int | str = "auto",
        *,
        start: TrainingPosition | None = None,
        requests: StopSignals | None = None,
        keep_best: str | None = None,
    ):
        super().__init__()
        self.run = run
        self._is_resumed = start is not None
        self.every = Interval.parse("every", every)
        self.start = start or TrainingPosition()
        self.requests = requests
        if keep_best is not None and not isinstance(keep_best, str):
            raise must_be("keep_best", "the name of a column of the history, or None", keep_best)
        self.keep_best, self._has_column = keep_best, False
        self._last_save, self._save_seconds = time.monotonic(), 0.0
        self._writer, self._written = None, None
        self._begin_epoch(self.start.epoch)

    def _begin_epoch(self, epoch):
        resumed = epoch == self.start.epoch
        self._epoch = epoch
        self._step = self._steps_before = self._last_checked = self.start.step if resumed else 0
        self._seconds_before = self.start.seconds if resumed else 0.0
        self._epoch_begin = time.perf_counter()
        steps = (self.params or {}).get("steps")
        self._steps = None if steps is None else steps + self._steps_before

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Start the clock of intervals in time, and the thread."""
        self.close()
        self._last_save, self._written, self._all_steps = time.monotonic(), None, None
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._agreement = Agreement(self.model.distribute_strategy)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Start the epoch's clock. Before a new training, check that no checkpoint is later than its first epoch."""
        self._begin_epoch(epoch)
        if self._all_steps is None:
            self._all_steps = epoch * (self._steps or 0)
            if not self._is_resumed and distribution.is_chief(self.model.distribute_strategy):
                checkpoints.check_none_later(self.run, TrainingPosition(epoch))

    def on_train_end(self, logs: dict | None = None) -> None:
        """Wait for the last file, and end the thread."""
        try:
            self.wait()
        finally:
            self.close()
        is_chief = distribution.is_chief(self.model.distribute_strategy)
        if self.keep_best and not self._has_column and self.start == TrainingPosition() and is_chief:
            print_line(f"NOTE: no best checkpoint was kept: no epoch had a finite {self.keep_best}")

    def wait(self) -> None:
        """Wait until the last file is written, and raise the error if it could not be."""
        if self._written is not None:
            written, self._written = self._written, None
            written.result()

    def close(self) -> None:
        """Wait until the last file is written, whatever comes of it. Call it if `fit` ended with an error."""
        if self._writer is not None:
            self._writer.shutdown()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Save within an epoch, if a checkpoint is due or a stop was requested."""
        self._step = self._steps_before + batch + 1
        if self._steps is not None and self._step >= self._steps:
            return
        stop, timeout = self._agreement.of(self._stop_requested(), self._time_has_passed())
        if self._steps_have_passed() or timeout or stop:
            seconds = self._seconds_before + time.perf_counter() - self._epoch_begin
            self._save(TrainingPosition(self._epoch, self._step, round(seconds, 3)))
        if stop:
            self.wait()
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Save after an epoch, if a checkpoint is due, training ends with this epoch or a stop was requested."""
        done = epoch + 1
        timeout = self._is_best(done, logs or {}) or self._time_has_passed(end_of_epoch=True)
        stop, timeout = self._agreement.of(self._stop_requested(), timeout, at_once=True)
        due = self.every.unit == "epochs" and done % self.every.count == 0
        is_last = done == self.params["epochs"] or self.model.stop_training
        if due or self._steps_have_passed() or timeout or stop or is_last:
            self._save(TrainingPosition(done))
        self._all_steps = (self._all_steps or 0) + (self._steps or self._step)
        if stop:
            self.wait()
            raise KeyboardInterrupt

    def _is_best(self, done, logs):
        """Return whether this epoch is the best so far; False on workers other than the chief, which lack the score."""
        value = logs.get(self.keep_best, math.nan)
        if not math.isfinite(value) or not distribution.is_chief(self.model.distribute_strategy):
            return False
        self._has_column = True
        table = Path(self.run) / HISTORY_FILE
        rows = history.read(table) if table.exists() else []
        if not rows or rows[-1]["epoch"] != done or self.keep_best not in rows[-1]:
            raise must_be("keep_best", f"a column of {table}, which a HistoryCSV before this writes", self.keep_best)
        self.wait()
        best = checkpoints.best(self.run, self.keep_best, rows)
        return best is None or value < best.value

    def _stop_requested(self):
        return self.requests is not None and self.requests.count > 0

    def _time_has_passed(self, end_of_epoch=False):
        """Return whether a checkpoint is due by the clock of the chief."""
        if not distribution.is_chief(self.model.distribute_strategy):
            return False
        elapsed = time.monotonic() - self._last_save
        if self.every.unit == "minutes":
            return elapsed >= 60 * self.every.count
        is_writing = self._written is not None and not self._written.done()
        is_cheap = not is_writing and self._save_seconds < max(SHORT_SAVE, MAX_SHARE * elapsed)
        return self.every.unit == "auto" and end_of_epoch and is_cheap

    def _steps_have_passed(self):
        """Return whether an interval in steps has ended since the previous call."""
        if self.every.unit != "steps":
            return False
        base = self._all_steps or 0
        before, self._last_checked = self._last_checked, self._step
        return (base + self._step) // self.every.count > (base + before) // self.every.count

    def _save(self, position):
        self.wait()
        self._last_save = time.monotonic()
        state = checkpoints.state_of(self.model)
        if distribution.is_multi_worker(self.model.distribute_strategy):
            checkpoints.check_finite(state, position)  # all workers must end alike
        if distribution.is_chief(self.model.distribute_strategy):
            self._written = self._writer.submit(self._write, state, position)

    def _write(self, state, position):
        checkpoints.write(self.run, state, position, keep_best=self.keep_best)
        self._save_seconds = time.monotonic() - self._last_save


class ContinueEpoch(keras.callbacks.Callback):
    """Restore the metric averages of a partial epoch, which `fit` would reset, and end `fit` after that epoch.

    The following epochs need another `fit`, since Keras takes one number of steps for all epochs. Put it after
    `Checkpoint`, which takes the end of `fit` for that of training.

    Args:
        model: ImageModel. The model in the state of the checkpoint.
    """

    def __init__(self, model: ImageModel):
        super().__init__()
        self._averages = [distribution.value(v) for metric in model.metrics for v in metric.variables]

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Restore the averages."""
        variables = (variable for metric in self.model.metrics for variable in metric.variables)
        for variable, value in zip(variables, self._averages, strict=True):
            variable.assign(value)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """End this `fit`."""
        self.model.stop_training = True
