"""Write and load SavedModels, which generate images without keras_gen."""

from __future__ import annotations

import contextlib
import functools
import inspect
import itertools
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from keras_gen.models import inputs, sampling
from keras_gen.utils import checks, files, safe_files, trained_models
from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.keras_internals import flatten_layers

if TYPE_CHECKING:
    from keras_gen.models.base import Endpoint, ImageModel

RUN_FOLDER = trained_models.RUN_FOLDER
DESCRIPTION_FILE = trained_models.DESCRIPTION_FILE
SAVED_MODEL_FILE = trained_models.SAVED_MODEL_FILE
NUMPY_TYPES = {tf.int32: (tf.int32, tf.int64), tf.float32: (tf.float32, tf.float64)}
"""Types that a SavedModel's functions take for one: its own, and that of NumPy's integers and floats."""

LARGE = 10_000_000
"""Minimum number of entries of a matrix that `rank` compresses."""

find = trained_models.find_saved_model


def save(
    model: ImageModel,
    path: str | os.PathLike,
    *,
    functions: Sequence[str] | None = None,
    half_precision: bool = False,
    rank: int | None = None,
    description: dict | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a SavedModel with the model's endpoints as functions and as signatures of the same names.

    - `generate(n, seed)`, which an autoencoder without a sampler lacks: images that equal those of
      `model.generate(n, seed)` bit for bit, if the model computes in float32. A conditional model also takes `labels`,
      which are not in the signature;
    - `decode(latents)`: images of latents `(n, latent_dim)`, or of an autoencoder's codes;
    - `encode(images)`, if there is an encoder: a VAE's `mean` and `log_variance`, or `codes`, of uint8 images;
    - `reconstruct(images)`, likewise: images of that mean or those codes.

    For a conditional model the last argument of all functions but `generate` is `labels`, int32 `(n,)`. Images are
    returned as `images`, uint8 `(n, height, width, channels)`, and `images_float`, float32 in [0, 1]. All functions
    compute in float32, also for a model in bfloat16; only quantized layers keep their types.

    Args:
        model: a built model.
        path: str or path, the folder to write, atomically.
        functions: sequence of str, the endpoints to save. Only the networks they need are stored. Defaults to all.
        half_precision: bool, whether to store weights as float16, in half the space. Images equal the
            model's but for the rounding of its weights. Defaults to `False`.
        rank: int or None, rank of the two factors as which each matrix of at least `LARGE` entries is stored: the best
            approximation in the sense of least squares, by singular value decomposition. The functions multiply the
            factors once per call. Defaults to None, exact matrices.
        description: dict, stored beside the model as `description.json`.
        overwrite: bool, whether to replace an existing folder. Defaults to `False`.

    Returns:
        The path.

    Raises:
        UsageError: `path` exists, the model lacks one of `functions`, or `rank` compresses none of its matrices.

    Example:
        >>> path = save(model, "saved_models/mine")
        >>> tf.saved_model.load("saved_models/mine").generate(n=100, seed=0)["images"].shape
        TensorShape([100, 28, 28, 1])
    """
    if rank is not None:
        checks.positive_int("rank", rank)
    endpoints = check_functions(model, functions)
    dtype = tf.float16 if half_precision else tf.float32
    weights = {id(v): v for endpoint in endpoints.values() for network in endpoint.networks for v in network.weights}
    # Copies are not distributed by a strategy. Endpoints share them as they share the model's weights.
    stored = {
        key: [tf.Variable(tf.cast(factor, dtype), trainable=False) for factor in _factors(v.value, rank)]
        for key, v in weights.items()
    }
    if rank is not None and all(len(factors) == 1 for factors in stored.values()):
        raise must_be(
            "rank",
            f"small enough to compress a matrix, and the model must have one with {LARGE:,} weights or more",
            rank,
        )
    content = {"functions": list(endpoints), "half_precision": half_precision, "num_classes": model.num_classes}
    content |= {} if rank is None else {"rank": rank}
    content |= ({"sampler": model.sampler.name} if getattr(model, "sampler", None) else {}) | (description or {})

    def write(folder: Path) -> None:
        root = tf.Module()
        # Saving traces the functions once more.
        with _portable([network for endpoint in endpoints.values() for network in endpoint.networks]):
            for name, endpoint in endpoints.items():
                setattr(root, name, _Callable(endpoint, stored))
            signatures = {name: getattr(root, name).signature for name in endpoints}
            with _without_lines_of_tensorflow():
                tf.saved_model.save(root, os.fspath(folder), signatures=signatures)
        files.write_json(folder / DESCRIPTION_FILE, content)

    return files.write_directory(path, write, overwrite=overwrite, marker=SAVED_MODEL_FILE, argument="export")


def check_functions(model: ImageModel, functions: Sequence[str] | None) -> dict[str, Endpoint]:
    """Return the model's endpoints of these names, by default all; raise `UsageError` for an unknown name."""
    endpoints = model.endpoints()
    if isinstance(functions, str):
        raise must_be("functions", "a list of names", functions)
    for name in functions or ():
        if name not in endpoints:
            raise must_be("functions", "some of " + ", ".join(endpoints), name)
    return {name: endpoint for name, endpoint in endpoints.items() if functions is None or name in functions}


def _factors(weight: tf.Tensor, rank: int | None) -> list[tf.Tensor | np.ndarray]:
    """Return the factors of the best approximation of a large matrix, or the weight itself where that is smaller."""
    size = math.prod(weight.shape)
    if rank is None or len(weight.shape) != 2 or size < LARGE or rank * sum(weight.shape) >= size:
        return [weight]
    left, scales, right = np.linalg.svd(weight, full_matrices=False)
    root = np.sqrt(scales[:rank])  # in both, so that neither is beyond the range of float16
    return [left[:, :rank] * root, root[:, np.newaxis] * right[:rank]]


class _Callable(tf.Module):
    """A function that holds references to its variables.

    This makes `tf.saved_model.load(path).generate(…)` work in one expression: the loaded root is deleted before the
    call, and with it the variables of a bare function.
    """

    def __init__(self, endpoint, stored):
        super().__init__()
        pairs = [(v, stored[id(v)]) for network in endpoint.networks for v in network.weights]
        specs = [*endpoint.signature, *endpoint.optional]

        def compute(*arguments):
            # Trace the function with the stored variables instead of the model's.
            values = [
                (variable, functools.reduce(tf.matmul, [tf.cast(factor, tf.float32) for factor in factors]))
                for variable, factors in pairs
            ]
            with keras.StatelessScope(values):
                return endpoint.function(*arguments)

        compute = tf.function(compute, autograph=False)

        def call(*arguments):
            given = zip(arguments, specs, strict=False)
            return compute(*[None if value is None else tf.cast(value, spec.dtype) for value, spec in given])

        call.__signature__ = inspect.signature(endpoint.function)  # keeps the argument names and defaults
        self.__call__ = tf.function(call, autograph=False)
        # A SavedModel contains only the traces made here, one for each combination of arguments and types.
        for count in {len(endpoint.signature), len(specs)}:
            for types in itertools.product(*[NUMPY_TYPES.get(spec.dtype, [spec.dtype]) for spec in specs[:count]]):
                typed = [tf.TensorSpec(s.shape, dtype, s.name) for s, dtype in zip(specs, types, strict=False)]
                self.__call__.get_concrete_function(*typed)
        self.signature = self.__call__.get_concrete_function(*endpoint.signature)
        self.concrete_functions = [self.signature]  # what keras.layers.TFSMLayer looks for
        self.weights = [factor for _, factors in pairs for factor in factors]


class Prediction(keras.Model):
    """The function of a model's `predict`, for the formats of `keras.Model.export`."""

    def __init__(self, model):
        super().__init__(name=model.name, dtype="float32")  # whatever the global policy is
        self.model, self.built = model, True

    def call(self, *inputs):
        """Return images of `value_range`."""
        return self.model.predict_step((inputs if len(inputs) > 1 else inputs[0],))


@contextlib.contextmanager
def _portable(networks: Sequence[keras.Model]) -> Iterator[None]:
    """Let layers compute in float32 and without cuDNN while the block runs, so that the traces are fast on any device.

    Without oneDNN, a stand-in for processors without bfloat16 instructions, three generators took 9 to 22 times as long
    in bfloat16 as in float32. Quantized layers are left as they are: their weights are integers.
    """
    layers = {id(layer): layer for network in networks for layer in (network, *flatten_layers(network))}.values()
    before: list[tuple[keras.Layer, str, object]] = []
    for layer in layers:
        if layer.compute_dtype != "float32" and layer.quantization_mode is None:
            before.append((layer, "dtype_policy", _own_policy(layer)))
        if hasattr(layer, "use_cudnn"):
            before.append((layer, "use_cudnn", layer.use_cudnn))
    for layer, name, _ in before:
        setattr(layer, name, {"dtype_policy": "float32", "use_cudnn": False}[name])
    try:
        yield
    finally:
        for layer, name, value in before:
            setattr(layer, name, value)


def _own_policy(layer: keras.Layer) -> keras.DTypePolicy:
    """Return the policy of a layer alone: to set it changes the layer's entry of a `DTypePolicyMap`."""
    policy = layer.dtype_policy
    return policy[layer.path] if isinstance(policy, keras.dtype_policies.DTypePolicyMap) else policy


@contextlib.contextmanager
def _without_lines_of_tensorflow() -> Iterator[None]:
    """Leave out lines on the progress of saving, which name a temporary folder, while the block runs."""
    logger = tf.get_logger()
    before = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(before)


def load(path: str | os.PathLike, function: str | None = "generate"):
    """Load the SavedModel at `path`, or in the run directory `path`, with `tf.saved_model.load`.

    A SavedModel is a program: load only those you trust.

    Args:
        path: str or path of a SavedModel or a finished run, or the name of a trained model: one that comes with
            keras_gen, or one in `$KERAS_GEN_MODELS`.
        function: str, a function that it must have, or None. Defaults to `"generate"`.

    Raises:
        UsageError: there is no SavedModel, it is damaged, or it lacks `function`.
    """
    folder = find(path)
    try:
        loaded = tf.saved_model.load(os.fspath(folder))
    except tf.errors.ResourceExhaustedError:
        raise
    except Exception as error:  # a damaged graph raises almost any exception: KeyError, IndexError, ...
        raise UsageError(f"SavedModel {folder} is damaged: {' '.join(str(error).split())[:200]}") from error
    if function is not None and not hasattr(loaded, function):
        has = ", ".join(loaded.signatures) or "none"
        raise must_be("path", f"a SavedModel with a function {function}", f"{folder} (its functions: {has})")
    return loaded


def generate(
    path: str | os.PathLike,
    n: int,
    seed: int = 0,
    labels: Sequence[int] | None = None,
    truncation: float | None = None,
) -> dict:
    """Generate n images with the SavedModel at `path` or in the run directory `path`.

    Args:
        path: as in `load`.
        n: int, number of images, at least 1.
        seed: int; the same seed gives the same images. Defaults to 0.
        labels: sequence of int, classes of a conditional model's images, cycled to length n. Drawn at random by
            default.
        truncation: float or None, as in `GenerativeModel.generate`. Defaults to None.

    Returns:
        A dictionary of `images`, `images_float` and, for a conditional model, `labels`.

    Raises:
        UsageError: as in `load`; labels for an unconditional model, or out of range.
    """
    n = checks.count("n", n)
    labels = None if labels is None else np.resize(labels, n)
    return generate_with(load(path), description(path), n, seed, labels, truncation)


def generate_with(
    loaded,
    content: dict,
    n: int,
    seed: int,
    labels: Sequence[int] | int | None,
    truncation: float | None,
) -> dict:
    """Generate n images with a SavedModel that is loaded, and its `description`; otherwise as `generate`.

    `labels` are n, or one for all images, as in `GenerativeModel.generate`.
    """
    n, seed, num_classes = checks.count("n", n), checks.seed("seed", seed), content.get("num_classes", 0)
    if labels is not None:
        labels = tf.constant(inputs.labels_to_generate(labels, n, num_classes))
    if truncation is None:
        options = {} if labels is None else {"labels": labels}
        return loaded.generate(n=tf.constant(n), seed=tf.constant(seed), **options)
    if "sampler" in content or not hasattr(loaded, "decode"):
        raise must_be("truncation", "None for this SavedModel: it has a sampler, or no function decode", truncation)
    latent_dim = loaded.signatures["decode"].structured_input_signature[1]["latents"].shape[1]
    latents = tf.constant(sampling.truncated_latents(n, latent_dim, seed, truncation))
    if not num_classes:
        return loaded.decode(latents)
    labels = sampling.labels(tf.constant(n), num_classes, seed) if labels is None else labels
    return loaded.decode(latents, labels) | {"labels": labels}


def description(path: str | os.PathLike) -> dict:
    """Read the description that `save` stored beside a SavedModel, without loading the model.

    Args:
        path: as in `load`.

    Returns:
        The description; empty if there is none.

    Raises:
        UsageError: as in `find`; the file is damaged, or its `num_classes` is invalid.
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
