"""A run from settings to a SavedModel: the only place that puts data, model, strategy, callbacks and files together."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras_gen
import keras_gen.backend  # (first: Keras must come up on TensorFlow)
import keras
import tensorflow as tf

from keras_gen import checkpoints, distribution, export, histories, monitoring, report, runs, zoo
from keras_gen.data import ImageData, batches, evaluation_batches, load
from keras_gen.errors import DataUnavailableError, UsageError, must_be
from keras_gen.models import GenerativeModel, ImageModel
from keras_gen.report import page
from keras_gen.settings import RunSettings

EVALUATION_BATCH = 256
"""Images at a time in validation and evaluation. Part of what is computed: each batch has noise of its own."""

PLOT_FILE = "losses.png"


class RunInterrupted(Exception):
    """Ctrl-C during a run. The message says how to go on with it."""


@dataclass(frozen=True)
class Publication:
    """Where else to put the finished run's SavedModel: the arguments of `export.save`."""

    path: Path
    functions: Sequence[str] | None = None
    half_precision: bool = False
    overwrite: bool = False


def run(settings: RunSettings, *, out: str | os.PathLike = "runs", publication: Publication | None = None) -> Path:
    """Train a recipe and leave a run directory.

    Everything that can be wrong with the settings is found before the directory is made.

    Args:
        settings: what to do.
        out: folder of run directories; the new one is the next numbered, `out/00003-vae-lstm`.
        publication: where else the SavedModel goes.

    Returns:
        The run directory: `recipe.json`, `model.txt`, `history.csv`, `losses.png`, `report.html`, `samples/`,
        `checkpoints/`, `tensorboard/`, `saved_model/`.

    Raises:
        UsageError: the settings can't be carried out, or a file can't be written.
        RunInterrupted: Ctrl-C.

    Example:
        >>> run(RunSettings("vae-mlp", dataset="digits", epochs=2))
        fd_lenet of 1,000 generated images every 2 epochs, by lenet: made for mnist and digits, needs no download
        vae-mlp (R2) on digits ...
        PosixPath('runs/00001-vae-mlp')
    """
    _check(publication)
    runs.check_can_write_directory(Path(out) / "run", overwrite=True, argument="out")
    data, note = load_data(settings)
    # What was found is what a resumed run must find again, also where $KERAS_GEN_DATA is not set.
    found = os.path.abspath(data.origin) if data.source in ("npz", "folder") else data.name
    requested, settings = settings.dataset, dataclasses.replace(settings, dataset=found)
    model = build(settings, data)
    # Several devices leave out a last, smaller step; there must be a whole one.
    largest = len(data.train) // model.batches_per_step
    if model.distribute_strategy.num_replicas_in_sync > 1 and settings.batch_size > largest:
        raise must_be("batch_size", f"at most {largest} for {len(data.train)} training images", settings.batch_size)
    if publication is not None:
        export.check_functions(model, publication.functions)
    reference = monitoring.reference_of(settings, data, model)
    if reference is not None:
        settings = dataclasses.replace(settings, extractor=reference.extractor.name)
    path = runs.create(out, settings.model)
    try:
        record = {
            "settings": settings.to_json(),
            "arguments": settings.arguments(),
            "data": data.description() | {"requested": requested, "substituted_because": note},
            "extractor": None if reference is None else reference.extractor.description(),
            "versions": versions(),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
            "command": sys.argv,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }
        runs.write_json(path / runs.RECIPE_FILE, record)
        runs.write_text(path / runs.SUMMARY_FILE, _summary(model))
    except BaseException as error:
        shutil.rmtree(path, ignore_errors=True)
        if isinstance(error, OSError):
            raise UsageError(f"out can't be written: {path} ({error.strerror})") from error
        raise
    _describe(settings, data, path)
    _train(path, settings, model, data, reference, initial_epoch=0, publication=publication)
    return path


def resume(path: str | os.PathLike, *, epochs: int | None = None, publication: Publication | None = None) -> Path:
    """Go on with a run from its last checkpoint, to the same bits as if it had not been interrupted.

    Args:
        path: the run directory.
        epochs: a new total; by default the run's own.
        publication: where else the SavedModel goes.

    Raises:
        UsageError: no run directory, or its data or recipe are not what they were.
        RunInterrupted: Ctrl-C.
    """
    _check(publication)
    path = Path(path)
    opened = open_run(path)
    settings = opened.settings
    if publication is not None:
        export.check_functions(opened.model, publication.functions)
    if epochs is not None:
        settings = dataclasses.replace(settings, epochs=epochs)
        if settings.epochs < opened.epoch:
            raise must_be("epochs", f"at least {opened.epoch}, which this run has done", epochs)
    reference = (
        monitoring.reference_again(settings, opened.data, opened.model, opened.record)
        if opened.epoch < settings.epochs
        else None
    )
    if settings != opened.settings:
        runs.write_json(path / runs.RECIPE_FILE, opened.record | {"settings": settings.to_json()})
    then, now = opened.record.get("versions") or {}, versions()
    changed = ", ".join(
        f"{name} {then.get(name, 'unknown')} then, {now[name]} now" for name in now if then.get(name) != now[name]
    )
    if changed:
        print(f"NOTE: versions differ from those the run was started with, so its bits may: {changed}")
    print(f"{path}: {opened.epoch} of {settings.epochs} epochs done", flush=True)
    _train(path, settings, opened.model, opened.data, reference, initial_epoch=opened.epoch, publication=publication)
    return path


@dataclass(frozen=True)
class OpenRun:
    """A run directory brought back to life: its model is in the state of the newest checkpoint."""

    record: dict
    settings: RunSettings
    data: ImageData
    model: ImageModel
    epoch: int


def open_run(path: str | os.PathLike, *, strategy: str | None = None) -> OpenRun:
    """Load a run's data and model, in the state after its last good checkpoint, or untrained if it has none.

    Args:
        path: the run directory.
        strategy: to build the model under; by default the run's own.

    Raises:
        UsageError: no run directory, it is damaged, or its data or recipe are not what they were.
    """
    path = Path(path)
    record = runs.read_recipe(path)
    settings = RunSettings.from_json(record.get("settings"), os.fspath(path / runs.RECIPE_FILE))
    data, _ = load_data(settings)
    recorded = record.get("data")
    if not isinstance(recorded, dict) or recorded.get("fingerprint") != data.fingerprint:
        raise UsageError(
            f"data set {settings.dataset} is no longer what {path} was trained on: its fingerprint differs"
        )
    model = build(settings if strategy is None else dataclasses.replace(settings, strategy=strategy), data)
    return OpenRun(record, settings, data, model, epoch=checkpoints.restore_latest(path, model))


def build(settings: RunSettings, data: ImageData) -> ImageModel:
    """The settings' model for the data's image shape, untrained, under the settings' strategy."""
    strategy = distribution.strategy(settings.strategy)
    replicas = strategy.num_replicas_in_sync
    if settings.batch_size % replicas:
        raise must_be("batch_size", f"a multiple of {replicas}, the number of devices", settings.batch_size)
    with strategy.scope():
        model = zoo.build(settings.model, data.image_shape, seed=settings.seed, **settings.overrides)
    if model.num_classes not in (0, data.num_classes):
        allowed = f"0 or {data.num_classes}" if data.num_classes else "0, since it has no labels,"
        raise must_be("num_classes", f"{allowed} for data set {data.name}", model.num_classes)
    return model


def load_data(settings: RunSettings) -> tuple[ImageData, str | None]:
    """The settings' data set, and why it is not the recipe's own if that could not be had and none was named."""
    options = {
        "data_dir": settings.data_dir,
        "image_size": settings.image_size,
        "channels": settings.channels,
        "binarize": settings.binarize,
    }
    if settings.dataset is not None:
        return load(settings.dataset, **options), None
    try:
        return load(settings.recipe.dataset, **options), None
    except DataUnavailableError as error:
        note = str(error)
        print(f"NOTE: training on the embedded digits instead of {settings.recipe.dataset}: {note}", flush=True)
        return load("digits", **options), note


def versions() -> dict[str, str]:
    """Versions of what decides a run's bits."""
    names = ("tensorflow", "keras", "numpy", "scikit-image", "scikit-learn", "pillow")
    return {
        "keras_gen": keras_gen.__version__,
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in names},
    }


def _train(path, settings, model, data, reference, *, initial_epoch, publication):
    with _explained(path):
        if initial_epoch < settings.epochs:
            _fit(path, settings, model, data, reference, initial_epoch)
        elif publication is None and _is_finished(path, settings):
            print("nothing to do: to train on, give --epochs a larger number", flush=True)
            return
        _finish(path, settings, model, data, publication)


def _is_finished(path, settings) -> bool:
    """Whether the run's SavedModel, the last thing to be written, is of its last epoch."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        description = json.loads((path / export.RUN_FOLDER / export.DESCRIPTION_FILE).read_text(encoding="utf-8"))
        return description["epochs"] == settings.epochs
    return False


def _fit(path, settings, model, data, reference, initial_epoch):
    replicas = model.distribute_strategy.num_replicas_in_sync
    train = batches(
        data.train.images,
        monitoring.labels_for(model, data.train),
        batch_size=settings.batch_size * model.batches_per_step,
        seed=settings.seed,
        initial_epoch=initial_epoch,
        # A last batch that the devices can't share equally would weigh its images differently.
        drop_remainder=replicas > 1,
    )
    # Past the check in the model's own fit: the batches are uint8 of the right shape, and already whole train steps.
    keras.Model.fit(
        model,
        train.dataset,
        steps_per_epoch=train.steps_per_epoch,
        shuffle=False,  # the dataset is already
        epochs=settings.epochs,
        initial_epoch=initial_epoch,
        validation_data=_validation_batches(model, data.validation, replicas),
        callbacks=monitoring.callbacks_of(path, settings, model, data, reference, initial_epoch),
        verbose=1 if sys.stdout.isatty() else 2,
    )


def _validation_batches(model, split, replicas):
    """Batches that the replicas can share, the last one too, or None where there are no images."""
    count = len(split) // replicas * replicas
    if count == 0:
        return None
    labels = monitoring.labels_for(model, split)
    return evaluation_batches(
        split.images[:count],
        None if labels is None else labels[:count],
        batch_size=EVALUATION_BATCH // replicas * replicas,
    )


def _finish(path, settings, model, data, publication):
    rows = histories.read(path / runs.HISTORY_FILE)
    title = f"{settings.model} on {data.name}, {settings.epochs} epochs"
    report.save_figure(report.loss_curves(rows, title), path / PLOT_FILE)
    page.write_or_note(path)
    description = {
        "recipe": settings.model,
        "arguments": settings.arguments(),
        # Without its path: where the data lay is the business of the machine that trained.
        "data": {name: value for name, value in data.description().items() if name != "origin"},
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "seed": settings.seed,
        "versions": versions(),
        "last_epoch": rows[-1],
    }
    export.save(model, path / export.RUN_FOLDER, description=description, overwrite=True)
    if isinstance(model, GenerativeModel):
        print(f"sample from it: python experiments/sample.py {path}", flush=True)
    if publication is not None:
        options = {entry.name: getattr(publication, entry.name) for entry in dataclasses.fields(publication)}
        export.save(model, description=description, **options)
        print(f"exported to {publication.path}", flush=True)


def _check(publication: Publication | None) -> None:
    if publication is not None:
        runs.check_can_write_directory(
            publication.path, overwrite=publication.overwrite, marker=export.SAVED_MODEL_FILE, argument="export"
        )


def _describe(settings, data, path) -> None:
    counts = ", ".join(f"{count:,} {role}" for role, count in data.description()["counts"].items())
    shape = "x".join(map(str, data.image_shape))
    print(f"{settings.model} ({settings.recipe.report}) on {data.name} ({data.source}; {counts} images, {shape})")
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


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Interruptions and full disks, said with what to do next."""
    how = f"go on with: python experiments/run.py --resume {path}"
    try:
        yield
    except KeyboardInterrupt:
        checkpoint = checkpoints.latest(path)
        done = f"after epoch {checkpoint[0]}" if checkpoint else "before the first checkpoint"
        raise RunInterrupted(f"interrupted {done}; {how}") from None
    except BrokenPipeError:
        raise  # the reader of our output left, no file is meant
    except OSError as error:
        where = error.filename or path
        raise UsageError(f"run {path} stopped: {where} can't be written ({error.strerror or error}); {how}") from error
    except tf.errors.ResourceExhaustedError as error:
        # TensorFlow has one error for memory and disk.
        what = "disk full" if "No space left" in error.message else "out of memory"
        raise UsageError(f"run {path} stopped: {what} ({error.message.splitlines()[0]}); {how}") from error
