"""Train and resume runs. This module alone combines data, model, strategy, callbacks and run directory."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import numpy as np

from keras_gen import distribution, report
from keras_gen.callbacks import Checkpoint
from keras_gen.data import ImageData, batches, evaluation_batches
from keras_gen.distribution.cluster import Cluster
from keras_gen.models import ImageModel, export, fitting
from keras_gen.report.pages import run_page
from keras_gen.runs import checkpoints, history, loading, locking, provenance, run_directory
from keras_gen.runs.checkpoints import TrainingPosition
from keras_gen.runs.intervals import Interval
from keras_gen.runs.loading import build, changes_since, load_data, write_model_config
from keras_gen.runs.settings import RunSettings, read_settings
from keras_gen.training import early_stopping, monitor
from keras_gen.training.faults import explain_errors, notice_lost_workers
from keras_gen.utils import files
from keras_gen.utils.command_lines import command
from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.progress import print_line
from keras_gen.utils.signals import StopSignals
from keras_gen.utils.text import counted

PLOT_FILE = "losses.png"
CallbackMaker = Callable[[RunSettings], keras.callbacks.Callback]


@dataclass(frozen=True)
class ExportOptions:
    """Destination of a further copy of the finished run's SavedModel; the fields are arguments of `export.save`."""

    path: Path
    functions: Sequence[str] | None = None
    half_precision: bool = False
    overwrite: bool = False


def run(
    settings: RunSettings,
    *,
    data: ImageData | np.ndarray | tuple[np.ndarray, np.ndarray] | None = None,
    out: str | os.PathLike = "runs",
    export_options: ExportOptions | None = None,
    callbacks: Sequence[keras.callbacks.Callback | CallbackMaker] = (),
    cluster: Cluster | None = None,
) -> Path | None:
    """Train a recipe and write a run directory.

    All settings are checked before the directory is made.

    Args:
        settings: RunSettings. What to train, on which data and how.
        data: ImageData, an array of images or a tuple of images and labels, as in `keras_gen.data.from_arrays`, to
            train on instead of the settings' data set. To resume the run, pass them again. Defaults to None.
        out: str or path. Folder of run directories; the new one gets the next number, as in `out/00003-vae-lstm`.
            Defaults to `"runs"`.
        export_options: ExportOptions or None. Where to save a further copy of the SavedModel. Defaults to None.
        callbacks: sequence of Keras callbacks for `fit`, or of functions that return one for the run's settings, not
            with several workers. What they keep in memory is not saved for a resumed run. Defaults to none.
        cluster: Cluster or None. The workers that train together, each by this call; the chief writes all files.
            Defaults to the cluster that `TF_CONFIG` describes, if any.

    Returns:
        The run directory: `recipe.json`, `model.txt`, `history.csv`, `losses.png`, `report.html`, `samples/`,
        `checkpoints/`, `tensorboard/`, `saved_model/`. None on a worker other than the chief.

    Raises:
        UsageError: A setting can't be used with this recipe or data, or a file can't be written.
        RunInterrupted: Ctrl-C, SIGTERM or SIGHUP.

    Example:
        >>> run(RunSettings("vae-mlp", dataset="digits", epochs=2))
        fd_lenet of 1,000 generated images every 2 epochs, by lenet: made for mnist and digits, needs no download
        vae-mlp (R2) on digits ...
        PosixPath('runs/00001-vae-mlp')
    """
    cluster = distribution.cluster_of(settings.strategy, cluster)
    _check_several_workers(settings, callbacks, cluster)
    writes = cluster is None or cluster.is_chief
    if writes:
        _check(export_options)
        files.check_can_write_directory(Path(out) / f"00000-{settings.model}", overwrite=True, argument="out")
    has_own_options = isinstance(data, ImageData)
    data, note = load_data(settings, data)
    requested, settings = settings.dataset, _resolved(settings, data, has_own_options)
    model = build(settings, data, cluster)  # first: TensorFlow forms a cluster before it computes anything
    monitor.check_generates(settings, model, data)
    if export_options is not None:
        export.check_functions(model, export_options.functions)
    _check_optimizers(model)
    if not writes:
        _train(None, settings, model, data, None, start=TrainingPosition())
        return None
    reference = monitor.make_reference(settings, data)
    monitor.check_keep_best(settings, model, data, reference)
    if reference is not None:
        settings = dataclasses.replace(settings, extractor=reference.extractor.name)
    callbacks = _made(callbacks, settings)
    path = run_directory.create(out, settings.model)
    with contextlib.ExitStack() as stack:
        stack.enter_context(locking.locked(path, "run"))
        with _removed_on_failure(path):
            _write_record(path, settings, model, data, reference, requested=requested, note=note)
        _describe(settings, data, path)
        options = {"export_options": export_options, "callbacks": callbacks}
        _train(path, settings, model, data, reference, start=TrainingPosition(), **options)
    return path


def resume(
    path: str | os.PathLike,
    *,
    epochs: int | None = None,
    data: ImageData | np.ndarray | tuple[np.ndarray, np.ndarray] | None = None,
    dataset: str | None = None,
    data_dir: str | os.PathLike | None = None,
    export_options: ExportOptions | None = None,
    callbacks: Sequence[keras.callbacks.Callback | CallbackMaker] = (),
    cluster: Cluster | None = None,
) -> Path:
    """Resume a run from its last checkpoint, bit for bit as if it had not been interrupted.

    Args:
        path: str or path. The run directory.
        epochs: int or None. A new total. A run that ended early then trains up to it, without its `patience` and
            `max_minutes`. Defaults to the run's own.
        data: As in `run`, for a run that was trained on them. Defaults to None.
        dataset, data_dir: Where the data are now, as in `keras_gen.runs.load`. Default to where they were.
        export_options: ExportOptions or None. Where to save a further copy of the SavedModel. Defaults to None.
        callbacks: sequence of Keras callbacks, or of functions that return one. As in `run`. Defaults to none.
        cluster: Cluster or None. As in `run`. All workers must have access to the run directory.

    Returns:
        The run directory.

    Raises:
        UsageError: `path` is no run directory, or the run's data or recipe have changed.
        RunInterrupted: Ctrl-C, SIGTERM or SIGHUP.
    """
    path = Path(path)
    _, recorded = read_settings(path)  # before a lock file is made
    cluster = distribution.cluster_of(recorded.strategy, cluster)
    _check_several_workers(recorded, callbacks, cluster)
    writes = cluster is None or cluster.is_chief
    with contextlib.ExitStack() as stack:
        if writes:
            _check(export_options)
            stack.enter_context(locking.locked(path, "run"))
            run_directory.remove_leftovers(path)
        options = {"data": data, "dataset": dataset, "data_dir": data_dir, "cluster": cluster}
        opened = loading.load(path, epochs=epochs, newest=True, **options)
        settings, start, record = opened.settings, opened.position, dict(opened.record)
        if export_options is not None:
            export.check_functions(opened.model, export_options.functions)
        done = start.epoch + (start.step > 0)
        if settings.epochs < done:
            raise must_be("epochs", f"at least {done}, the epochs this run has begun", settings.epochs)
        _check_environment(path, opened)
        if start.epoch < settings.epochs:
            _check_optimizers(opened.model)
        reference = None
        if not writes:
            _train(None, settings, opened.model, opened.data, reference, start=start)
            return path
        if start.epoch < settings.epochs:
            reference = monitor.restore_reference(settings, opened.data, record)
            planned = run_directory.planned_epochs(record) or recorded.epochs
            has_ended = record.pop(run_directory.ENDED_EARLY, None) is not None
            begun = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            entry = {"after": str(start), "at": begun}
            has_other_length = planned != settings.epochs and start != TrainingPosition()
            if has_other_length:
                entry["planned_epochs"] = planned
            if has_ended or has_other_length or run_directory.finished_epochs(path) != recorded.epochs:
                record["resumed"] = [*record.get("resumed", ()), entry]
            if has_ended or (epochs is not None and early_stopping.reason_in(path, settings, start.epoch) is not None):
                settings = dataclasses.replace(settings, patience=None, max_minutes=None)
        callbacks = _made(callbacks, settings) if start.epoch < settings.epochs else ()
        if start.epoch < settings.epochs or settings != recorded:
            files.write_json(path / run_directory.RECIPE_FILE, record | {"settings": settings.to_json()})
        steps = f" and {start.steps}" if start.step else ""
        print_line(f"{path}: {start.epoch} of {settings.epochs} epochs{steps} done")
        options = {"export_options": export_options, "callbacks": callbacks}
        _train(path, settings, opened.model, opened.data, reference, start=start, **options)
    return path


def _made(callbacks, settings) -> list[keras.callbacks.Callback]:
    made = []
    for given in [callbacks] if isinstance(callbacks, keras.callbacks.Callback) or callable(callbacks) else callbacks:
        is_maker = callable(given) and not isinstance(given, keras.callbacks.Callback | type)
        made.append(given(settings) if is_maker else given)
        if not isinstance(made[-1], keras.callbacks.Callback):
            raise must_be("callbacks", "Keras callbacks, or functions that return one", made[-1])
        if getattr(made[-1], "restore_best_weights", False):  # after the last checkpoint
            raise must_be("restore_best_weights", "False in a run: its keep_best keeps the best weights", True)
    return made


def _check_optimizers(model):
    """Check that no optimizer replaces the weights by averages when training ends, after the last checkpoint."""
    if any(getattr(optimizer, "inner_optimizer", optimizer).use_ema for optimizer in model.optimizers):
        raise must_be("use_ema", "False in a run: an adversarial model has moving_average", True)


def _resolved(settings, data, has_own_options) -> RunSettings:
    """Return the settings with the data set that was found, its own options if it has them, and a batch size."""
    # Where the data were found, so that the run can be resumed without $KERAS_GEN_DATA.
    changes = {"dataset": data.place}
    if has_own_options:  # the recipe's rules are for data that it loads
        changes |= {name: data.options.get(name) for name in ("image_size", "channels", "bits")}
        changes["skip_damaged"] = bool(data.options.get("skip_damaged"))
        changes |= {"binarize": data.options.get("binarize") or "none", "validation": len(data.validation)}
    return dataclasses.replace(settings, **changes)


@contextlib.contextmanager
def _removed_on_failure(path: Path) -> Iterator[None]:
    """Remove a new run directory if its first files can't be written."""
    try:
        yield
    except BaseException as error:
        files.check_folder_in_use(path / run_directory.RECIPE_FILE)  # not another's
        shutil.rmtree(path, ignore_errors=True)
        if isinstance(error, OSError):
            raise UsageError(f"out can't be written: {path} ({error.strerror})") from error
        raise


def _write_record(path, settings, model, data, reference, *, requested, note):
    """Write the files that a run directory starts with."""
    record = {
        "settings": settings.to_json(),
        "arguments": settings.arguments(),
        "data": data.description() | {"requested": requested, "substituted_because": note},
        "recipes": provenance.recipe_file(settings.recipe),
        "extractor": None if reference is None else reference.extractor.description(),
        "versions": provenance.versions(),
        "machine": provenance.machine(model.distribute_strategy),
        "command": sys.argv,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    write_model_config(path, model)
    files.write_text(path / run_directory.SUMMARY_FILE, _summary(model))
    files.write_json(path / run_directory.RECIPE_FILE, record)  # last: it makes the folder a run directory


def _check_environment(path, opened):
    """Print what has changed since the run was started and may change its bits; fail if the run is deterministic."""
    changes = "; ".join(changes_since(path, opened.record, opened.model))
    if changes and opened.settings.deterministic:
        raise UsageError(f"run {path} is deterministic, and its environment has changed: {changes}")
    if changes:
        print_line(f"NOTE: the run's environment has changed, so its results may differ: {changes}")


def _train(path, settings, model, data, reference, *, start, export_options=None, callbacks=()):
    """Train and write the results; without a path (on a worker that writes no files), only train."""
    requests = StopSignals("stopping after this step; press Ctrl-C again to stop now", second_interrupt_raises=True)
    with explain_errors(path, requests, model):
        ended_by = ""
        if start.epoch < settings.epochs:
            with requests, notice_lost_workers(model):
                ended_by = _fit(path, settings, model, data, reference, start, requests, callbacks)
        elif path is None:
            return
        elif export_options is None and run_directory.finished_epochs(path) == settings.epochs:
            print_line("nothing to do: to train further, pass a larger --epochs")
            return
        if path is not None:
            _finish(path, _with_its_end(path, settings, ended_by), model, data, export_options)


def _fit(path, settings, model, data, reference, start, requests, others) -> str:
    """Train, and return why the user's callbacks `others` ended it, if they did."""
    validation = None
    if len(data.validation):
        split = data.evaluated("validation")
        validation = evaluation_batches(split.images, model.labels_of(split))
    # Keras takes one number of steps for all epochs: a partial epoch needs a `fit` of its own.
    starts = [start, TrainingPosition(start.epoch + 1)] if start.step else [start]
    others = monitor.UserCallbacks(fitting.adapted(model, others))
    for begin in (each for each in starts if each.epoch < settings.epochs):
        if path is not None and early_stopping.reason_in(path, settings, begin.epoch) is not None:
            break
        if others.ended_by:
            break
        train = batches(
            data.train.images,
            model.labels_of(data.train),
            batch_size=settings.batch_size,
            batches_per_step=model.batches_per_step,
            seed=settings.seed,
            initial_epoch=begin.epoch,
            initial_step=begin.step,
            strategy=model.distribute_strategy,
            binarize=data.is_dynamic,
        )
        undivided = _undivided_steps(settings, begin, train.steps_per_epoch)
        model.limit_steps_per_execution(undivided, settings.steps_per_execution)
        callbacks = monitor.callbacks_of(path, settings, model, data, reference, begin, requests, others)
        saver = next(each for each in callbacks if isinstance(each, Checkpoint))
        with contextlib.closing(saver):  # if an error ends training, its message names the newest checkpoint
            model.fit(
                train,
                steps_per_epoch=train.steps_per_epoch - begin.step,
                epochs=settings.epochs,
                initial_epoch=begin.epoch,
                validation_data=validation,
                callbacks=callbacks,
                verbose=0 if path is None else 1 if sys.stdout.isatty() else 2,
            )
    others.end()
    return others.ended_by


def _undivided_steps(settings: RunSettings, begin: TrainingPosition, steps_per_epoch: int) -> int:
    """Return a divisor for `steps_per_execution`, so that epochs and checkpoint intervals end with an execution."""
    ends = [steps_per_epoch - begin.step]
    if (interval := Interval.parse("checkpoint_every", settings.checkpoint_every)).unit == "steps":
        ends += [begin.epoch * steps_per_epoch + begin.step, interval.count]
    return math.gcd(*ends)


def _with_its_end(path, settings, ended_by) -> RunSettings:
    """Return the settings with the number of epochs that were trained; if they are fewer, print and record why.

    `ended_by` is the reason of the user's callbacks, empty if this process did not train.
    Rows of the history after the end are removed: a killed run's history can be ahead of its checkpoint.
    """
    rows = history.read(path / run_directory.HISTORY_FILE)
    trained = [row for row in rows if row["epoch"] <= min(settings.epochs, checkpoints.latest(path)[0].epoch)]
    if trained != rows:
        history.write(path / run_directory.HISTORY_FILE, trained)
    if (epochs := trained[-1]["epoch"]) == settings.epochs:
        return settings
    reason = early_stopping.reason(settings, trained) or ended_by or monitor.BY_CALLBACK
    print_line(f"ended after epoch {epochs} of {settings.epochs}: {reason}")
    ended = {"reason": reason, "planned_epochs": settings.epochs}
    settings = dataclasses.replace(settings, epochs=epochs)
    record = run_directory.read_recipe(path) | {"settings": settings.to_json(), run_directory.ENDED_EARLY: ended}
    files.write_json(path / run_directory.RECIPE_FILE, record)
    return settings


def _finish(path, settings, model, data, export_options):
    rows = history.read(path / run_directory.HISTORY_FILE)
    title = f"{settings.model} on {data.name}, {counted(settings.epochs, 'epoch')}"
    report.save_figure(report.loss_curves(rows, title), path / PLOT_FILE)
    run_page.write_or_note(path)
    description = {
        "recipe": settings.model,
        "arguments": settings.arguments(),
        # Without the path, which means nothing on other machines.
        "data": {name: value for name, value in data.description().items() if name != "origin"},
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "seed": settings.seed,
        "versions": provenance.versions(),
        "last_epoch": rows[-1],
    }
    if (ended := run_directory.read_recipe(path).get(run_directory.ENDED_EARLY)) is not None:
        description[run_directory.ENDED_EARLY] = ended
    if best := checkpoints.best(path, settings.keep_best):
        checkpoints.restore(best.path, model, only_model=True)
        description["best_epoch"] = next(row for row in rows if row["epoch"] == best.position.epoch)
        print_line(f"kept {best.position}, the best by {settings.keep_best}: {best.value:.4g}")
    if settings.sampler != "prior":
        train = data.evaluated("train")
        try:
            model.fit_sampler(train.images, model.labels_of(train), seed=settings.seed)
        except UsageError as error:
            print_line(f"NOTE: latents are from the prior: {error}")
        else:
            loading.write_sampler(path, model)
    export.save(model, path / export.RUN_FOLDER, description=description, overwrite=True)
    # An intact SavedModel stands beside the last one now.
    checkpoints.delete_old(path, TrainingPosition(settings.epochs), keep=1, keep_best=settings.keep_best)
    if "generate" in model.endpoints():
        print_line(f"sample from it: {command('sample', path)}")
    if export_options is not None:
        options = {entry.name: getattr(export_options, entry.name) for entry in dataclasses.fields(export_options)}
        export.save(model, description=description, **options)
        print_line(f"exported to {export_options.path}")


def _check_several_workers(settings, callbacks, cluster: Cluster | None) -> None:
    """Check that nothing can end or change the training of the chief alone."""
    given = {"patience": settings.patience, "max_minutes": settings.max_minutes, "callbacks": callbacks or None}
    for name, value in given.items():
        if cluster is not None and value is not None:
            raise must_be(name, "left out with several workers", value)


def _check(export_options: ExportOptions | None) -> None:
    if export_options is not None:
        files.check_can_write_directory(
            export_options.path, overwrite=export_options.overwrite, marker=export.SAVED_MODEL_FILE, argument="export"
        )


def _describe(settings, data, path) -> None:
    counts = ", ".join(f"{count:,} {role}" for role, count in data.description()["counts"].items())
    shape = "x".join(map(str, data.image_shape))
    print_line(f"{settings.model} ({settings.recipe.source}) on {data.name} ({data.source}; {counts} images, {shape})")
    for note in data.notes:
        print_line(f"NOTE: {note}")
    how = f"{counted(settings.epochs, 'epoch')}, batch size {settings.batch_size}, seed {settings.seed}"
    print_line(f"{how}, {settings.precision}, run directory {path}")


def _summary(model: ImageModel) -> str:
    lines = []
    networks = (layer for layer in model.layers if isinstance(layer, keras.Model))
    for network in networks:
        network.summary(print_fn=lines.append, line_length=100)
    return "\n".join(lines) + "\n"
