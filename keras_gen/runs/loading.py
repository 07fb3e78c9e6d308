"""Build a run's data set and model from its settings, and load both from a run directory."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import keras_gen.data
import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import numpy as np
import tensorflow as tf

from keras_gen import distribution, optimizers, zoo
from keras_gen.data import ImageData, classes
from keras_gen.distribution.cluster import Cluster
from keras_gen.models import ImageModel, samplers
from keras_gen.runs import checkpoints, model_config, provenance, run_directory
from keras_gen.runs.checkpoints import TrainingPosition
from keras_gen.runs.settings import PLACES, RunSettings, read_settings
from keras_gen.utils import archives, files, safe_files
from keras_gen.utils.errors import DataUnavailableError, UsageError, must_be
from keras_gen.utils.progress import print_line


@dataclass(frozen=True)
class Run:
    """A run directory loaded into memory.

    Attributes:
        record: dict, the content of `recipe.json`.
        settings: `RunSettings`, the run's settings.
        data: `ImageData`, the data set that the run trains on.
        model: the compiled model, in the state of the newest checkpoint or the best one by the run's `keep_best`.
        position: `TrainingPosition`, epochs and steps that the model has trained.
    """

    record: dict
    settings: RunSettings
    data: ImageData
    model: ImageModel
    position: TrainingPosition


def load(
    path: str | os.PathLike,
    *,
    strategy: str | None = None,
    epochs: int | None = None,
    data: ImageData | np.ndarray | tuple[np.ndarray, np.ndarray] | None = None,
    dataset: str | None = None,
    data_dir: str | os.PathLike | None = None,
    cluster: Cluster | None = None,
    newest: bool = False,
) -> Run:
    """Load the data set and the model of a run directory, with the weights of its newest intact checkpoint.

    A run with the setting `keep_best` is loaded with the weights of its best checkpoint.

    The model is compiled: it can be evaluated, sampled or trained further with `fit`, without changing the directory.
    To resume the run itself, use `keras_gen.training.resume`.

    Args:
        path: str or path, the run directory.
        strategy: str, the distribution strategy to build the model under, as in `keras_gen.distribution.strategy`;
            default: the run's own.
        epochs: int, replaces the number of epochs in the settings; default: the run's own.
        data: the data of a run that was trained on arrays, as in `keras_gen.training.run`.
        dataset: str, name or path of the data where they are now; default: where they were, else by their file's or
            folder's name in `data_dir` or `$KERAS_GEN_DATA`. They must be the same data, by their fingerprint.
        data_dir: str or path, the folder that holds the data now.
        cluster: `Cluster` of the workers, as in `keras_gen.distribution.strategy`; default: from `TF_CONFIG`.
        newest: bool, load the newest checkpoint also if the run keeps its best one; default: False.

    Returns:
        A `Run` with the attributes `record`, `settings`, `data`, `model` and `position`. Before its first checkpoint
        the model is untrained and the position is the start of training.

    Raises:
        UsageError: `path` is not a run directory or is damaged, its data set or recipe has changed, or it had finished
            and its checkpoints are gone.

    Example:
        >>> run = keras_gen.runs.load("runs/00001-vae-mlp")  # doctest: +SKIP
        >>> run.settings.model, run.position.epoch  # doctest: +SKIP
        ('vae-mlp', 50)
        >>> run.model.generate(16, seed=0)["images"]  # doctest: +SKIP
        >>> run.model.evaluate(run.data.test.images)  # doctest: +SKIP
    """
    path = Path(path)
    record, settings = read_settings(path)
    own_epochs, changed = settings.epochs, {"strategy": strategy, "epochs": epochs}
    settings = dataclasses.replace(settings, **{name: value for name, value in changed.items() if value is not None})
    recorded = record["data"] if isinstance(record.get("data"), dict) else {}
    source = recorded.get("source") if data is None and dataset is None else None
    if source == "arrays":
        raise UsageError(f"run {path} was trained on arrays in memory: load it from Python, with them as data")
    if source == "registered" and settings.dataset not in keras_gen.data.names():
        raise UsageError(f"data set {settings.dataset} of {path} is not loaded: pass its file with --recipes")
    if data is not None:
        for name, value in {"dataset": dataset, "data_dir": data_dir}.items():
            if value is not None:
                raise must_be(name, "left out with data", value)
    moved = settings if data is not None else _where_now(path, settings, dataset, data_dir)
    is_given = data is not None
    data = _of_version(load_data(moved, data)[0], recorded)
    if recorded.get("fingerprint") != data.fingerprint:
        if is_given:
            raise must_be("data", f"those that {path} was trained on", "others (their fingerprint differs)")
        others = "; ".join(provenance.changes(record.get("versions"), provenance.versions()))
        raise UsageError(
            f"data set {moved.dataset} is no longer what {path} was trained on: its fingerprint differs, because its "
            f"files have changed or other versions read them differently{f' ({others})' if others else ''}"
        )
    if moved != settings:
        settings = _with(moved, dataset=data.place)
        record = record | {"data": recorded | {"source": data.source, "origin": data.origin}}
    latest = checkpoints.latest(path)
    if latest is None and run_directory.finished_epochs(path):
        raise UsageError(f"the checkpoints of {path}, which had finished, are gone: only its SavedModel can be loaded")
    start = latest[0] if latest else TrainingPosition()
    model = build(settings, data, cluster, start=start)
    _check_recipe(path, record, settings, model)
    limits = {"epochs": own_epochs, "steps": steps_per_epoch(settings, data, model)}
    best = None if newest else checkpoints.best(path, settings.keep_best)
    position = checkpoints.restore(best.path, model, **limits) if best else None
    position = position or checkpoints.restore_latest(path, model, **limits)
    if not newest and settings.sampler != "prior" and run_directory.finished_epochs(path) == own_epochs:
        model.sampler = _read_sampler(path)
    return Run(record, settings, data, model, position)


def _where_now(path, settings, dataset, data_dir) -> RunSettings:
    """Return the settings with the place of the data set as given or, if its file or folder is gone, as found."""
    data_dir = None if data_dir is None else os.path.abspath(os.path.expanduser(data_dir))
    is_path = os.path.isabs(settings.dataset or "")  # a file or folder
    if (is_path or dataset is not None) and settings.data_dir and not os.path.isdir(settings.data_dir):
        settings = _with(settings, data_dir=None)
    if dataset is None and is_path:
        folder, name = os.path.split(settings.dataset)
        places = [folder, settings.data_dir, os.environ.get(keras_gen.data.DATA_DIR_VARIABLE)]
        places = [data_dir] if data_dir else filter(None, places)
        found = [os.path.abspath(os.path.join(os.path.expanduser(place), name)) for place in places]
        dataset = next(filter(os.path.exists, found), None)
        if dataset is None:
            raise UsageError(
                f"data set {found[0]} of {path} was not found: pass its new path with --dataset, or the folder with "
                f"{name} with --data-dir or $KERAS_GEN_DATA"
            )
    changes = {"dataset": dataset, "data_dir": data_dir}
    return _with(settings, **{name: value for name, value in changes.items() if value is not None})


def _with(settings, **changes) -> RunSettings:
    """Return the settings with another place of the data: by `replace`, the recipe's image size could come in."""
    changed = copy.copy(settings)
    for name, value in changes.items():
        object.__setattr__(changed, name, value)
    return changed


def _of_version(data: ImageData, recorded: dict) -> ImageData:
    """Return the data as the version that recorded a run used them: the labels of old versions could have gaps."""
    if "class_names" not in recorded and data.class_names is not None:
        with contextlib.suppress(ValueError):  # names of folders
            old = classes.with_source_labels(data)
            return old if old.fingerprint == recorded.get("fingerprint") else data
    return data


def load_data(
    settings: RunSettings, given: ImageData | np.ndarray | tuple[np.ndarray, np.ndarray] | None = None
) -> tuple[ImageData, str | None]:
    """Load the data set of `settings`; fall back to the embedded digits if the recipe's own is unavailable.

    Args:
        settings: `RunSettings`.
        given: an `ImageData`, images, or a tuple of images and labels to use instead; default: None.

    Returns:
        The data, and the reason for the fallback, or None. A data set that the settings name is never replaced.
    """
    names = ("data_dir", "image_size", "channels", "binarize", "bits", "skip_damaged")
    options = {name: getattr(settings, name) for name in names}
    if settings.binarize == "none":  # as given for a recipe that has a rule
        options["binarize"] = None
    if settings.validation is not None:
        options["validation"] = settings.validation
    if given is not None:
        return _given_data(settings, given, options), None
    if settings.dataset is not None:
        return keras_gen.data.load(settings.dataset, **options), None
    try:
        return keras_gen.data.load(settings.recipe.dataset, **options), None
    except DataUnavailableError as error:
        note = str(error)
        print_line(f"NOTE: training on the embedded digits instead of {settings.recipe.dataset}: {note}")
        return keras_gen.data.load("digits", **options), note


def _given_data(settings, given, options) -> ImageData:
    """Return the data that were passed instead of a data set's name."""
    if isinstance(given, ImageData):
        own = given.options | {"validation": len(given.validation)}
        for name in options.keys() - {"data_dir"}:
            value = options[name]
            is_left_out = value is None or value is False or value == getattr(settings.recipe, name, None)
            if not is_left_out and value != own.get(name):
                raise must_be(name, "that of the ImageData, or left out", value)
        if settings.binarize == "none" and given.options.get("binarize"):
            raise must_be("binarize", "that of the ImageData, or left out", "none")
        seed = given.options.get("binarize_seed", 0)
        if seed and given.options.get("binarize") and given.source != "arrays":
            raise must_be("binarize_seed", "0 for the ImageData of a run, which has no such setting", seed)
        return given
    parts = given if isinstance(given, tuple) else (given,)
    if len(parts) > 2:
        raise must_be("data", "an ImageData, images, or a tuple of images and labels", f"a tuple of {len(parts)}")
    del options["data_dir"]
    if options.pop("skip_damaged"):
        raise must_be("skip_damaged", "False for arrays", True)
    return keras_gen.data.from_arrays(*parts, **options)


def build(
    settings: RunSettings, data: ImageData, cluster: Cluster | None = None, *, start: TrainingPosition | None = None
) -> ImageModel:
    """Build the untrained model of `settings` for the image shape of `data`, under the settings' strategy.

    Args:
        settings: `RunSettings`.
        data: `ImageData`.
        cluster: `Cluster` of several workers, as in `keras_gen.distribution.strategy`; this waits for all of them.
        start: `TrainingPosition` where training will start, which all workers must agree on; default: the beginning.

    Raises:
        UsageError: the strategy or the model is unavailable, a worker is missing, or the workers differ.
    """
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = distribution.strategy(settings.strategy, cluster)
    distribution.check_same_on_all_workers(strategy, _statement(settings, data, start or TrainingPosition()))
    replicas = strategy.num_replicas_in_sync
    if settings.batch_size < replicas:
        raise must_be("batch_size", f"at least {replicas}, the number of devices", settings.batch_size)
    if settings.jit_compile and replicas > 1:
        raise must_be("jit_compile", f"False with {replicas} devices", settings.jit_compile)
    options = ("seed", "precision", "steps_per_execution", "jit_compile")
    with strategy.scope():
        model = settings.recipe.build(
            data.image_shape, settings.overrides, **{name: getattr(settings, name) for name in options}
        )
    if settings.learning_rate_decay == "linear":
        optimizers.decay_linearly(model, settings.epochs * steps_per_epoch(settings, data, model))
    if model.num_classes not in (0, data.num_classes):
        count = data.num_classes
        allowed, why = (f"0 or {count}" if count > 1 else "0", "" if count else ", which has no labels")
        raise must_be("num_classes", f"{allowed} for data set {data.name}{why}", model.num_classes)
    return model


def steps_per_epoch(settings: RunSettings, data: ImageData, model: ImageModel) -> int:
    """Return the number of train steps in an epoch."""
    return -(-len(data.train) // (settings.batch_size * model.batches_per_step))


def _statement(settings: RunSettings, data: ImageData, start: TrainingPosition) -> dict[str, object]:
    """Return what all workers must agree on to compute the same, by its name in messages."""
    # The location of the data may differ between machines; their fingerprint may not.
    locations = ("dataset", "extractor", *PLACES)
    chosen = {name: value for name, value in settings.to_json().items() if name not in locations}
    versions = provenance.versions()
    return {
        **{f"version of {name}": versions[name] for name in ("keras_gen", "tensorflow", "keras")},
        "file of the recipe": (provenance.recipe_file(settings.recipe) or {}).get("sha256"),
        **{f"source in keras_gen/{name}": digest for name, digest in provenance.sources().items()},
        **chosen,
        "data set": data.fingerprint,
        "last checkpoint": str(start),
    }


def _read_sampler(path: Path) -> samplers.GaussianMixture | None:
    """Return the sampler that was fitted at the end of a run; None if that failed."""
    file = safe_files.inside(path, run_directory.SAMPLER_FILE)
    if not file.exists():
        return None
    try:
        return samplers.GaussianMixture.from_arrays(archives.read(file))
    except (KeyError, ValueError) as error:
        raise UsageError(f"{file} is damaged: {error}") from error


def write_sampler(path: Path, model: ImageModel) -> None:
    """Write the sampler that was fitted to a trained model's codes into a run directory."""
    file = safe_files.inside(path, run_directory.SAMPLER_FILE)
    with files.atomic_path(file) as temporary:
        np.savez(temporary, **model.sampler.to_arrays())


def write_model_config(path: Path, model: ImageModel) -> None:
    """Write the configuration of the model and digests of keras_gen's source into a run directory."""
    content = {"configuration": model_config.of(model), "sources": provenance.sources()}
    files.write_json(path / run_directory.MODEL_FILE, content)


def changes_since(path: Path, record: dict, model: ImageModel) -> list[str]:
    """Return what else a run's numerical results depend on and that changed since it was started, as texts."""
    modules = provenance.changed_sources(_built(path).get("sources"))
    more = f" and {len(modules) - 3} more" if len(modules) > 3 else ""
    return [
        *provenance.changes(record.get("versions"), provenance.versions()),
        *provenance.changes(record.get("machine"), provenance.machine(model.distribute_strategy)),
        *([f"keras_gen's own source, in {', '.join(modules[:3])}{more}"] if modules else []),
        *provenance.changed_recipe_file(record.get("recipes"), zoo.get(record["settings"]["model"])),
    ]


def _check_recipe(path, record, settings, model):
    versions = record.get("versions")
    same_keras = not isinstance(versions, dict) or versions.get("keras") == provenance.versions()["keras"]
    then, now = _built(path).get("configuration"), model_config.of(model)
    changed = model_config.changes(then, now, same_keras=same_keras)
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise UsageError(
            f"recipe {settings.model} no longer builds the model of {path}: {'; '.join(changed[:3])}{more}"
        )


def _built(path):
    """Return the content of `model.json`; empty for a run of an older version."""
    file = path / run_directory.MODEL_FILE
    return run_directory.read_json(file) if file.exists() else {}
