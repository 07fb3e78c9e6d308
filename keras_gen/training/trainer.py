"""A run from settings to a SavedModel: the only place that puts data, model, strategy, callbacks and files together."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import math
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import tensorflow as tf

from keras_gen import distribution, report
from keras_gen.data import batches, evaluation_batches
from keras_gen.distribution import sharding
from keras_gen.distribution.cluster import Cluster
from keras_gen.models import GenerativeModel, ImageModel, export
from keras_gen.report.pages import run_page
from keras_gen.runs import checkpoints, history, loading, locking, provenance, run_directory
from keras_gen.runs.checkpoints import TrainingPosition
from keras_gen.runs.intervals import Interval
from keras_gen.runs.loading import build, changes_since, load_data, write_model_config
from keras_gen.runs.settings import RunSettings
from keras_gen.training import monitor
from keras_gen.utils import files
from keras_gen.utils.errors import TrainingDiverged, UsageError, must_be
from keras_gen.utils.signals import StopSignals

PLOT_FILE = "losses.png"


class RunInterrupted(Exception):
    """A run was asked to stop: Ctrl-C, SIGTERM or SIGHUP. The message says how to go on with it.

    Args:
        message: that.
        number: the signal's.
    """

    def __init__(self, message: str, number: int = signal.SIGINT):
        super().__init__(message)
        self.exit_code = 128 + number
        """Of a process that ends by this signal, as shells count."""


@dataclass(frozen=True)
class ExportOptions:
    """Where else to put the finished run's SavedModel: the arguments of `export.save`."""

    path: Path
    functions: Sequence[str] | None = None
    half_precision: bool = False
    overwrite: bool = False


def run(
    settings: RunSettings,
    *,
    out: str | os.PathLike = "runs",
    publication: ExportOptions | None = None,
    cluster: Cluster | None = None,
) -> Path | None:
    """Train a recipe and leave a run directory.

    Everything that can be wrong with the settings is found before the directory is made.

    Args:
        settings: what to do.
        out: folder of run directories; the new one is the next numbered, `out/00003-vae-lstm`.
        publication: where else the SavedModel goes.
        cluster: of several workers that train together, each by this call; by default what `TF_CONFIG` tells of. Their
            chief writes everything.

    Returns:
        The run directory: `recipe.json`, `model.txt`, `history.csv`, `losses.png`, `report.html`, `samples/`,
        `checkpoints/`, `tensorboard/`, `saved_model/`. None on a worker other than the chief.

    Raises:
        UsageError: the settings can't be carried out, or a file can't be written.
        RunInterrupted: Ctrl-C.

    Example:
        >>> run(RunSettings("vae-mlp", dataset="digits", epochs=2))
        fd_lenet of 1,000 generated images every 2 epochs, by lenet: made for mnist and digits, needs no download
        vae-mlp (R2) on digits ...
        PosixPath('runs/00001-vae-mlp')
    """
    cluster = distribution.cluster_of(settings.strategy, cluster)
    writes = cluster is None or cluster.is_chief
    if writes:
        _check(publication)
        files.check_can_write_directory(Path(out) / "run", overwrite=True, argument="out")
    data, note = load_data(settings)
    # What was found is what a resumed run must find again, also where $KERAS_GEN_DATA is not set.
    found = os.path.abspath(data.origin) if data.source in ("npz", "folder") else data.name
    requested, settings = settings.dataset, dataclasses.replace(settings, dataset=found)
    model = build(settings, data, cluster)
    if publication is not None:
        export.check_functions(model, publication.functions)
    if not writes:
        _train(None, settings, model, data, None, start=TrainingPosition(), publication=None)
        return None
    reference = monitor.make_reference(settings, data, model)
    if reference is not None:
        settings = dataclasses.replace(settings, extractor=reference.extractor.name)
    path = run_directory.create(out, settings.model)
    with contextlib.ExitStack() as stack:
        with _removed_on_failure(path):
            stack.enter_context(locking.locked(path, "run"))
            _write_record(path, settings, model, data, reference, requested=requested, note=note)
        _describe(settings, data, path)
        _train(path, settings, model, data, reference, start=TrainingPosition(), publication=publication)
    return path


def resume(
    path: str | os.PathLike,
    *,
    epochs: int | None = None,
    publication: ExportOptions | None = None,
    cluster: Cluster | None = None,
) -> Path:
    """Go on with a run from its last checkpoint, to the same bits as if it had not been interrupted.

    Args:
        path: the run directory.
        epochs: a new total; by default the run's own.
        publication: where else the SavedModel goes.
        cluster: as in `run`. All of its workers must see the run directory.

    Raises:
        UsageError: no run directory, or its data or recipe are not what they were.
        RunInterrupted: Ctrl-C.
    """
    path = Path(path)
    record = run_directory.read_json(path / run_directory.RECIPE_FILE)  # before a lock file is made
    recorded = RunSettings.from_json(record.get("settings"), os.fspath(path / run_directory.RECIPE_FILE))
    cluster = distribution.cluster_of(recorded.strategy, cluster)
    writes = cluster is None or cluster.is_chief
    with contextlib.ExitStack() as stack:
        if writes:
            _check(publication)
            stack.enter_context(locking.locked(path, "run"))
            run_directory.remove_leftovers(path)
        opened = loading.load(path, epochs=epochs, cluster=cluster)
        settings, start = opened.settings, opened.position
        if publication is not None:
            export.check_functions(opened.model, publication.functions)
        done = start.epoch + (start.step > 0)
        if settings.epochs < done:
            raise must_be("epochs", f"at least {done}, which this run has begun", settings.epochs)
        _check_surroundings(path, opened)
        reference = None
        if not writes:
            _train(None, settings, opened.model, opened.data, reference, start=start, publication=None)
            return path
        if start.epoch < settings.epochs:
            reference = monitor.restore_reference(settings, opened.data, opened.model, opened.record)
        if settings != recorded:
            files.write_json(path / run_directory.RECIPE_FILE, opened.record | {"settings": settings.to_json()})
        steps = f" and {start.steps}" if start.step else ""
        print(f"{path}: {start.epoch} of {settings.epochs} epochs{steps} done", flush=True)
        _train(path, settings, opened.model, opened.data, reference, start=start, publication=publication)
    return path


@contextlib.contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    """A new run directory has its first files, or is not there."""
    try:
        yield
    except BaseException as error:
        shutil.rmtree(path, ignore_errors=True)
        if isinstance(error, OSError):
            raise UsageError(f"out can't be written: {path} ({error.strerror})") from error
        raise


def _write_record(path, settings, model, data, reference, *, requested, note):
    """The files that a run directory starts with."""
    record = {
        "settings": settings.to_json(),
        "arguments": settings.arguments(),
        "data": data.description() | {"requested": requested, "substituted_because": note},
        "extractor": None if reference is None else reference.extractor.description(),
        "versions": provenance.versions(),
        "machine": provenance.machine(model.distribute_strategy),
        "command": sys.argv,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    write_model_config(path, model)
    files.write_text(path / run_directory.SUMMARY_FILE, _summary(model))
    files.write_json(path / run_directory.RECIPE_FILE, record)  # last: it makes the folder a run directory


def _check_surroundings(path, opened):
    """Say where the promise of the same bits can't be kept; refuse, where the run insists on it."""
    changed = changes_since(path, opened.record, opened.model)
    if not changed:
        return
    what = "; ".join(changed)
    if opened.settings.deterministic:
        raise UsageError(f"run {path} is deterministic, and not all is as when it was started: {what}")
    print(f"NOTE: not all is as when the run was started, so its bits may differ: {what}", flush=True)


def _train(path, settings, model, data, reference, *, start, publication):
    """Train and finish; without a path, on a worker that writes nothing, only train along."""
    requests = StopSignals("stopping after this step; Ctrl-C once more to stop at once", second_interrupt_raises=True)
    with _explained(path, requests, model):
        if start.epoch < settings.epochs:
            with requests, _noticing_lost_workers(model):
                _fit(path, settings, model, data, reference, start, requests)
        elif path is None:
            return
        elif publication is None and _is_finished(path, settings):
            print("nothing to do: to train on, give --epochs a larger number", flush=True)
            return
        if path is not None:
            _finish(path, settings, model, data, publication)


def _is_finished(path, settings) -> bool:
    """Whether the run's SavedModel, the last thing to be written, is of its last epoch."""
    with contextlib.suppress(UsageError, KeyError):
        return run_directory.read_json(path / export.RUN_FOLDER / export.DESCRIPTION_FILE)["epochs"] == settings.epochs
    return False


def _fit(path, settings, model, data, reference, start, requests):
    validation = _validation_batches(model, data.validation)
    together = settings.steps_per_execution or model.steps_per_execution
    # Keras takes one number of steps for all epochs: a broken one is finished by itself.
    starts = [start, TrainingPosition(start.epoch + 1)] if start.step else [start]
    for begin in (each for each in starts if each.epoch < settings.epochs):
        train = batches(
            data.train.images,
            model.labels_of(data.train),
            batch_size=settings.batch_size * model.batches_per_step,
            seed=settings.seed,
            initial_epoch=begin.epoch,
            initial_step=begin.step,
            strategy=model.distribute_strategy,
            multiple_of=model.batches_per_step,
        )
        model.limit_steps_per_execution(_undivided_steps(settings, begin, train.steps_per_epoch), together)
        # Past the check in the model's own fit: the batches are uint8 of the right shape, and whole train steps.
        keras.Model.fit(
            model,
            train.dataset,
            steps_per_epoch=train.steps_per_epoch - begin.step,
            shuffle=False,  # the dataset is already
            epochs=settings.epochs,
            initial_epoch=begin.epoch,
            validation_data=validation,
            callbacks=monitor.callbacks_of(path, settings, model, data, reference, begin, requests),
            verbose=0 if path is None else 1 if sys.stdout.isatty() else 2,
        )


def _undivided_steps(settings: RunSettings, begin: TrainingPosition, steps_per_epoch: int) -> int:
    """Train steps that no call of TensorFlow may run past the end of: of an epoch, and between checkpoints."""
    ends = [steps_per_epoch - begin.step]
    if (interval := Interval.parse("checkpoint_every", settings.checkpoint_every)).unit == "steps":
        ends += [begin.epoch * steps_per_epoch + begin.step, interval.count]
    return math.gcd(*ends)


def _validation_batches(model, split):
    """Batches; None where there are no images."""
    if len(split) == 0:
        return None
    labels = model.labels_of(split)
    found = evaluation_batches(split.images, labels)
    if model.distribute_strategy.num_replicas_in_sync == 1:
        return found
    return sharding.shard(model.distribute_strategy, found.map(lambda *example: example))


def _finish(path, settings, model, data, publication):
    rows = history.read(path / run_directory.HISTORY_FILE)
    title = f"{settings.model} on {data.name}, {settings.epochs} epochs"
    report.save_figure(report.loss_curves(rows, title), path / PLOT_FILE)
    run_page.write_or_note(path)
    description = {
        "recipe": settings.model,
        "arguments": settings.arguments(),
        # Without its path: where the data lay is the business of the machine that trained.
        "data": {name: value for name, value in data.description().items() if name != "origin"},
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "seed": settings.seed,
        "versions": provenance.versions(),
        "last_epoch": rows[-1],
    }
    export.save(model, path / export.RUN_FOLDER, description=description, overwrite=True)
    if isinstance(model, GenerativeModel):
        print(f"sample from it: python experiments/sample.py {path}", flush=True)
    if publication is not None:
        options = {entry.name: getattr(publication, entry.name) for entry in dataclasses.fields(publication)}
        export.save(model, description=description, **options)
        print(f"exported to {publication.path}", flush=True)


def _check(publication: ExportOptions | None) -> None:
    if publication is not None:
        files.check_can_write_directory(
            publication.path, overwrite=publication.overwrite, marker=export.SAVED_MODEL_FILE, argument="export"
        )


def _describe(settings, data, path) -> None:
    counts = ", ".join(f"{count:,} {role}" for role, count in data.description()["counts"].items())
    shape = "x".join(map(str, data.image_shape))
    print(f"{settings.model} ({settings.recipe.source}) on {data.name} ({data.source}; {counts} images, {shape})")
    for note in data.notes:
        print(f"NOTE: {note}")
    how = f"{settings.epochs} epochs, batch size {settings.batch_size}, seed {settings.seed}"
    print(f"{how}, run directory {path}", flush=True)


def _summary(model: ImageModel) -> str:
    lines = []
    networks = (layer for layer in model.layers if isinstance(layer, keras.Model))
    for network in networks:
        network.summary(print_fn=lines.append, line_length=100)
    return "\n".join(lines) + "\n"


class _WorkerGone(Exception):
    """Another worker was killed, can't be reached, does not answer, or was started anew."""


@contextlib.contextmanager
def _noticing_lost_workers(model: ImageModel) -> Iterator[None]:
    """While all workers train: what TensorFlow raises when one is lost, as that."""
    lost = (tf.errors.UnavailableError, tf.errors.AbortedError)
    # Where a heartbeat is not answered, and where it is by another process than before.
    lost += (tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError)
    try:
        yield
    except lost as error:
        if distribution.is_multi_worker(model.distribute_strategy):
            raise _WorkerGone from error
        raise


@contextlib.contextmanager
def _explained(path: Path | None, requests: StopSignals, model: ImageModel) -> Iterator[None]:
    """Interruptions, full disks and the like, said with what to do next."""
    # A worker that writes nothing has not been told where the chief does.
    writes, path = path is not None, "RUN" if path is None else path
    how = f"go on with: python experiments/run.py --resume {path}"
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
        raise RunInterrupted(f"{what}; {how}", number) from None
    except TrainingDiverged as error:
        if not writes:
            raise
        latest = checkpoints.latest(path)
        kept = f"{path} keeps the state after {latest[0]}" if latest else f"{path} has no checkpoint from before"
        hint = "to go on with it would end the same: start again with another learning rate or seed"
        raise TrainingDiverged(f"{error}; {kept}, but {hint}") from None
    except _WorkerGone as error:
        raise UsageError(f"run {path} stopped: another worker is gone; {how}") from error
    except BrokenPipeError:
        raise  # the reader of our output left, no file is meant
    except OSError as error:
        where = error.filename or path
        raise UsageError(f"run {path} stopped: {where} can't be written ({error.strerror or error}); {how}") from error
    except tf.errors.ResourceExhaustedError as error:
        # TensorFlow has one error for memory and disk.
        what = "disk full" if "No space left" in error.message else "out of memory"
        raise UsageError(f"run {path} stopped: {what} ({error.message.splitlines()[0]}); {how}") from error
    except MemoryError as error:
        raise UsageError(f"run {path} stopped: out of memory ({error}); {how}") from error
