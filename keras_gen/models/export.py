"""SavedModels to sample from without keras_gen, and loading them."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from keras_gen.models import inputs
from keras_gen.utils import checks, files, safe_files
from keras_gen.utils.errors import UsageError, must_be

if TYPE_CHECKING:
    from keras_gen.models.base import Endpoint, ImageModel

RUN_FOLDER = "saved_model"
RUN_RECORD = "recipe.json"  # as in keras_gen.runs.run_directory, which lies above this room
DESCRIPTION_FILE = "description.json"
SAVED_MODEL_FILE = "saved_model.pb"


def save(
    model: ImageModel,
    path: str | os.PathLike,
    *,
    functions: Sequence[str] | None = None,
    half_precision: bool = False,
    description: dict | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a SavedModel whose functions are the model's endpoints, each also a signature of that name.

    - `generate(n, seed)`: n images from standard normal latents; the same seed gives the same images, and they are
      those of `model.generate(n, seed)` to the bit. Of a conditional model also `generate(n, seed, labels)`, which the
      signature has not;
    - `decode(latents)`: images of latents `(n, latent_dim)`, or of an autoencoder's codes;
    - `encode(images)`, where there is an encoder: of uint8 images a VAE's `mean` and `log_variance`, an autoencoder's
      `codes`;
    - `reconstruct(images)`, likewise: images from that mean or those codes.

    All but `generate` take a conditional model's labels, int32 `(n,)`, as their last argument. An autoencoder has no
    `generate`.

    Images come as a dictionary: `images`, uint8 `(n, height, width, channels)`, and `images_float`, float32, from 0
    to 1.

    Args:
        model: a built model.
        path: folder to make, in one atomic step.
        functions: which endpoints; by default all. Only the networks they need are stored.
        half_precision: store weights as float16, in half the space. They are computed with as float32; the images then
            equal the model's but for the rounding of its weights.
        description: stored beside the model as `description.json`.
        overwrite: whether an existing folder may be replaced.

    Raises:
        UsageError: `path` exists, or `functions` names something the model has not.

    Example:
        >>> path = save(model, "saved_models/mine")
        >>> tf.saved_model.load("saved_models/mine").generate(n=100, seed=0)["images"].shape
        TensorShape([100, 28, 28, 1])
    """
    endpoints = check_functions(model, functions)
    dtype = tf.float16 if half_precision else tf.float32
    weights = {id(v): v for endpoint in endpoints.values() for network in endpoint.networks for v in network.weights}
    # Copies, which endpoints share as they share the weights in the model, and which no strategy has spread.
    stored = {key: tf.Variable(tf.cast(v.value, dtype), trainable=False) for key, v in weights.items()}
    content = {
        "functions": list(endpoints),
        "half_precision": half_precision,
        "num_classes": model.num_classes,
        **(description or {}),
    }

    def write(folder: Path) -> None:
        root = tf.Module()
        # Saving traces once more.
        with _for_any_device([network for endpoint in endpoints.values() for network in endpoint.networks]):
            for name, endpoint in endpoints.items():
                setattr(root, name, _Callable(endpoint, stored))
            signatures = {name: getattr(root, name).signature for name in endpoints}
            tf.saved_model.save(root, os.fspath(folder), signatures=signatures)
        files.write_json(folder / DESCRIPTION_FILE, content)

    return files.write_directory(path, write, overwrite=overwrite, marker=SAVED_MODEL_FILE, argument="export")


def check_functions(model: ImageModel, functions: Sequence[str] | None) -> dict[str, Endpoint]:
    """The model's endpoints of these names, by default all; `UsageError` for a name that it has not."""
    endpoints = model.endpoints()
    for name in functions or ():
        if name not in endpoints:
            raise must_be("functions", "some of " + ", ".join(endpoints), name)
    return {name: endpoint for name, endpoint in endpoints.items() if functions is None or name in functions}


class _Callable(tf.Module):
    """A function that carries its variables.

    So `tf.saved_model.load(path).generate(…)` works in one expression: the loaded root is gone by the time of the
    call, and a bare function would have lost its variables with it.
    """

    def __init__(self, endpoint, stored):
        super().__init__()
        pairs = [(v, stored[id(v)]) for network in endpoint.networks for v in network.weights]

        def call(*arguments):
            # The model's own variables give way to the stored ones while the function is traced.
            with keras.StatelessScope([(variable, tf.cast(value, tf.float32)) for variable, value in pairs]):
                return endpoint.function(*arguments)

        call.__signature__ = inspect.signature(endpoint.function)  # so that the names of its arguments survive
        self.__call__ = tf.function(call)
        # Traced here with all the arguments that it can be called with; a SavedModel holds just these traces.
        self.signature = self.__call__.get_concrete_function(*endpoint.signature)
        if endpoint.optional:
            self.__call__.get_concrete_function(*endpoint.signature, *endpoint.optional)
        self.weights = [value for _, value in pairs]


@contextlib.contextmanager
def _for_any_device(networks: Sequence[keras.Model]) -> Iterator[None]:
    """Within the block, recurrent layers are not traced as the cuDNN operations that a CPU has not."""
    found = {id(layer): layer for network in networks for layer in network._flatten_layers()}
    before = [(layer, layer.use_cudnn) for layer in found.values() if hasattr(layer, "use_cudnn")]
    for layer, _ in before:
        layer.use_cudnn = False
    try:
        yield
    finally:
        for layer, use in before:
            layer.use_cudnn = use


def find(path: str | os.PathLike) -> Path:
    """The SavedModel folder that `path` is, or that the run directory `path` holds.

    Raises:
        UsageError: it is neither, or the run is not finished.
    """
    path = Path(path)
    for folder in (path, path / RUN_FOLDER):
        if (folder / SAVED_MODEL_FILE).is_file():
            return folder
    if (path / RUN_RECORD).is_file():
        raise UsageError(f"run {path} is not finished and has no SavedModel yet: go on with --resume {path}")
    raise must_be("path", "a SavedModel or a finished run directory", str(path))


def load(path: str | os.PathLike, function: str | None = "generate"):
    """The SavedModel at `path`, or in the run directory `path`, as `tf.saved_model.load` returns it.

    A SavedModel is a program: load only ones you trust.

    Args:
        path: of a SavedModel, or of a finished run.
        function: that it must have; None demands none, for a caller that asks it what it has.

    Raises:
        UsageError: there is none, it is damaged, or it has no such function.
    """
    folder = find(path)
    try:
        loaded = tf.saved_model.load(os.fspath(folder))
    except tf.errors.ResourceExhaustedError:
        raise
    except Exception as error:  # of a damaged graph TensorFlow raises nearly anything: KeyError, IndexError, ...
        raise UsageError(f"SavedModel {folder} is damaged: {' '.join(str(error).split())[:200]}") from error
    if function is not None and not hasattr(loaded, function):
        has = ", ".join(loaded.signatures) or "none"
        raise must_be("path", f"a SavedModel with a function {function}", f"{folder} (its functions: {has})")
    return loaded


def generate(path: str | os.PathLike, n: int, seed: int = 0, labels: Sequence[int] | None = None) -> dict:
    """n images from the SavedModel at `path`, or in the run directory `path`.

    Args:
        path: as in `load`.
        n: how many, at least 1.
        seed: the same seed gives the same images.
        labels: classes of a conditional model's images, repeated in turn until there are n. If not given, they are
            drawn.

    Returns:
        What `generate` of the model returned: `images`, `images_float` and, of a conditional one, `labels`.

    Raises:
        UsageError: as `load`; labels for a model that has no classes, or out of range.
    """
    n, seed = checks.count("n", n), checks.seed("seed", seed)
    loaded = load(path)
    if labels is None:
        return loaded.generate(n=n, seed=seed)
    labels = inputs.labels_to_generate(np.resize(labels, n), n, description(path).get("num_classes", 0))
    return loaded.generate(n=n, seed=seed, labels=tf.constant(labels))


def description(path: str | os.PathLike) -> dict:
    """What `save` stored beside a SavedModel: words about it, from which nothing is loaded. Empty where none are there.

    Args:
        path: as in `load`.

    Raises:
        UsageError: as `find`; the file is damaged, or its `num_classes` is no number of classes.
    """
    file = find(path) / DESCRIPTION_FILE
    try:
        content = safe_files.read_json(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror or error}") from error
    if (classes := content.get("num_classes", 0)) != 0:
        checks.count(f"num_classes in {file}", classes)
    return content
