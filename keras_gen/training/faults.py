"""Errors that end a run, explained in one line with the command that resumes it."""

from __future__ import annotations

import contextlib
import errno
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import tensorflow as tf

from keras_gen import distribution
from keras_gen.models import ImageModel
from keras_gen.runs import checkpoints, hints
from keras_gen.utils import files
from keras_gen.utils.errors import TrainingDiverged, UsageError
from keras_gen.utils.signals import StopSignals


class RunInterrupted(Exception):
    """A stop request ended the run: Ctrl-C, SIGTERM or SIGHUP.

    Args:
        message: str. How to resume the run.
        number: int. The signal received. Defaults to SIGINT.
        run: Path or None. The run directory; None on a worker that writes no files.
    """

    def __init__(self, message: str, number: int = signal.SIGINT, run: Path | None = None):
        super().__init__(message)
        self.run = run
        self.exit_code = 128 + number
        """Exit code of a process ended by this signal, by the convention of shells."""


class WorkerLost(Exception):
    """Another worker was killed, can't be reached, does not answer, or was restarted."""


@contextlib.contextmanager
def notice_lost_workers(model: ImageModel) -> Iterator[None]:
    """Convert TensorFlow's errors for a lost worker, raised in the block, into `WorkerLost`."""
    lost = (tf.errors.UnavailableError, tf.errors.AbortedError)
    # A heartbeat that is not answered, or is answered by another process than before.
    lost += (tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError)
    try:
        yield
    except lost as error:
        if distribution.is_multi_worker(model.distribute_strategy):
            raise WorkerLost from error
        raise


@contextlib.contextmanager
def explain_errors(path: Path | None, requests: StopSignals, model: ImageModel) -> Iterator[None]:
    """Convert interruptions, full disks and the like, raised in the block, into one-line errors that say what to do.

    Args:
        path: Path or None. The run directory; None on a worker that writes no files.
        requests: StopSignals. Tells which signal interrupted the run, if one did.
        model: ImageModel. The model in training.

    Raises:
        RunInterrupted: After `KeyboardInterrupt`.
        TrainingDiverged: The divergence, with the last checkpoint before it.
        UsageError: A worker was lost, a file can't be written, or memory ran out.
    """
    # A worker that writes no files does not know the chief's run directory.
    run, writes, path = path, path is not None, "RUN" if path is None else path
    how = f"resume with: {hints.resume(path)}"
    together = distribution.is_multi_worker(model.distribute_strategy)
    if together:
        how = f"with all workers, {how}"
    try:
        yield
    except KeyboardInterrupt:
        number = requests.signal or signal.SIGINT
        what = "another worker was interrupted" if together and not requests.count else "interrupted"
        if writes:
            latest = checkpoints.latest(path)
            what += f" after {latest[0]}" if latest else " before the first checkpoint"
        raise RunInterrupted(f"{what}; {how}", number, run) from None
    except TrainingDiverged as error:
        if not writes:
            raise
        latest = checkpoints.latest(path)
        kept = f"{path} keeps the state after {latest[0]}" if latest else f"{path} has no earlier checkpoint"
        hint = "resuming would diverge again: start over with another learning rate or seed"
        raise TrainingDiverged(f"{error}; {kept}, but {hint}") from None
    except WorkerLost as error:
        raise UsageError(f"run {path} stopped: another worker is gone; {how}") from error
    except BrokenPipeError:
        raise  # the reader of stdout left; no file failed
    except OSError as error:
        if error.filename is None and error.errno not in files.DISK_ERRORS:
            raise  # not of a file: a callback's connection, for example
        if error.errno == errno.ENOENT and not Path(error.filename).absolute().is_relative_to(Path(path).absolute()):
            raise  # of a file that a callback reads
        where = error.filename2 or error.filename or path
        raise UsageError(f"run {path} stopped: {where} can't be written ({error.strerror or error}); {how}") from error
    except tf.errors.InvalidArgumentError as error:
        operation = re.search(r"Detected unsupported operations .* on XLA_\w+: (\w+)", error.message)
        if operation is None:
            raise
        raise UsageError(f"run {path} stopped: XLA lacks {operation[1]}; train without --jit-compile") from None
    except tf.errors.ResourceExhaustedError as error:
        # TensorFlow raises the same error for memory and disk.
        what = "disk full" if "No space left" in error.message else "out of memory"
        raise UsageError(f"run {path} stopped: {what} ({error.message.splitlines()[0]}); {how}") from error
    except MemoryError as error:
        raise UsageError(f"run {path} stopped: out of memory ({error}); {how}") from error
