"""Check the images and labels passed to `fit`, `evaluate` and the other methods, before the first step."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import numpy as np
import tensorflow as tf

from keras_gen import distribution
from keras_gen.data.pipeline import Batches
from keras_gen.distribution import sharding
from keras_gen.distribution.sharding import without_tuner
from keras_gen.metrics.arrays import as_array
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be

RANGE_TOLERANCE = 1e-4
"""How far float images may exceed the value range, because of resizing and rounding."""


def check_images(argument: str, images: object, image_shape: tuple[int, ...], value_range: tuple[float, float]):
    """Check an array of images.

    Args:
        argument: str, name of the argument in error messages.
        images: NumPy array or tensor `(n, height, width, channels)`, or `(n, height, width)` for one channel; uint8, or
            floats in `value_range`.
        image_shape: tuple, the model's `(height, width, channels)`.
        value_range: tuple, range of floats.

    Returns:
        A NumPy array with a channel axis, uint8 or float32.

    Raises:
        UsageError: `images` is anything else.
    """
    if not isinstance(images, np.ndarray | tf.Tensor | tf.Variable):
        raise must_be(argument, "a NumPy array, a tensor or a tf.data.Dataset of images", type(images).__name__)
    images = np.asarray(images)
    shape = images.shape
    if len(shape) == 3 and image_shape[-1] == 1:
        images = images[..., np.newaxis]
    if images.shape[1:] != tuple(image_shape):
        expected = ", ".join(map(str, image_shape))
        raise must_be(argument, f"images of shape (n, {expected})", shape)
    if len(images) == 0:
        raise must_be(argument, "at least one image", images.shape)
    _check_values(argument, images, value_range)
    return images if images.dtype == np.uint8 else images.astype(np.float32, copy=False)


def check_labels(argument: str, labels: object, count: int, num_classes: int) -> np.ndarray | None:
    """Check the labels of `count` images.

    Returns:
        int32 `(count,)`; None if `num_classes` is 0, when labels are ignored.

    Raises:
        UsageError: the labels are missing, or not `count` integers in [0, `num_classes`).
    """
    if num_classes == 0:
        return None
    requirement = f"{count} integers from 0 to {num_classes - 1}"
    if labels is None:
        raise must_be(argument, f"{requirement}, since the model is conditional", None)
    labels = as_array(argument, labels, requirement)
    if labels.shape == (count, 1):  # as in `keras.datasets.cifar10`
        labels = labels[:, 0]
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise must_be(argument, requirement, f"{labels.dtype} of shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise must_be(argument, requirement, f"{labels.min()} to {labels.max()}")
    return labels.astype(np.int32)


def labels_to_generate(labels: object, n: int, num_classes: int) -> np.ndarray:
    """Check `labels`, n integers or one for all, and return them as int32 `(n,)`."""
    if num_classes == 0:
        raise UsageError("labels must be left out: the model was built without classes (num_classes 0)")
    labels = as_array("labels", labels, f"{n} integers from 0 to {num_classes - 1}")
    return check_labels("labels", np.repeat(labels, n) if labels.ndim == 0 else labels, n, num_classes)


def images_and_labels(argument: str, data: object) -> tuple[object, object]:
    """Split `images`, `(images,)` or `(images, labels)` into images and labels or None."""
    if not isinstance(data, tuple):
        return data, None
    if len(data) not in (1, 2):
        raise must_be(argument, "images, or (images, labels)", f"a tuple of {len(data)}")
    return data if len(data) == 2 else (data[0], None)


def split(images: np.ndarray, labels: np.ndarray | None, validation_split: float):
    """Split checked images and labels into images and labels to train on and `validation_data`, the last part."""
    first = int(len(images) * (1 - checks.fraction("validation_split", validation_split)))
    if first == 0 or first == len(images):
        raise must_be("validation_split", "a part that leaves images on both sides", validation_split)
    if labels is None:
        return images[:first], None, images[first:]
    return images[:first], labels[:first], (images[first:], labels[first:])


def check_dataset(
    argument: str,
    dataset: tf.data.Dataset,
    image_shape: tuple[int, ...],
    value_range: tuple[float, float],
    num_classes: int,
) -> tf.data.Dataset:
    """Check a dataset of batches `images`, `(images,)` or `(images, labels)`: its element spec and its first batch.

    Returns:
        A dataset of `(images,)`, or if `num_classes` is above 0 of `(images, labels)`, labels int32 `(n,)`.

    Raises:
        UsageError: as in `check_images` and `check_labels`.
    """
    spec = dataset.element_spec
    parts = spec if isinstance(spec, tuple) else (spec,)
    needed = 2 if num_classes else 1
    if len(parts) < needed or not all(isinstance(part, tf.TensorSpec) for part in parts[:needed]):
        forms = "(images, labels), since the model is conditional" if num_classes else "images, or of (images, labels)"
        raise must_be(argument, f"a dataset of (batches of) {forms}", spec)
    if not parts[0].shape.is_compatible_with((None, *image_shape)):
        expected = ", ".join(map(str, image_shape))
        raise must_be(argument, f"a dataset of batches of images of shape (n, {expected})", tuple(parts[0].shape))
    dataset = dataset.map(lambda *element: element[:needed])
    for images, *labels in dataset.take(1):
        count = len(check_images(argument, images, image_shape, value_range))
        check_labels(f"labels of {argument}", labels[0] if labels else None, count, num_classes)
        return dataset.map(_with_int32_labels) if num_classes else dataset
    raise must_be(argument, "a dataset with at least one batch", "an empty dataset")


def check_batches(batches: Batches, image_shape: tuple[int, ...], num_classes: int, batches_per_step: int) -> None:
    """Check that a model of these images, classes and batches per train step can be trained on `batches`."""
    if batches.image_shape != tuple(image_shape):
        raise must_be("x", f"batches of images of shape {tuple(image_shape)}", batches.image_shape)
    if num_classes and not 1 <= batches.num_classes <= num_classes:
        received = f"labels up to {batches.num_classes - 1}" if batches.num_classes else "no labels"
        raise must_be("x", f"batches with labels from 0 to {num_classes - 1}", received)
    if batches.batches_per_step != batches_per_step:
        raise must_be(
            "x", f"batches of data.batches with batches_per_step={batches_per_step}", batches.batches_per_step
        )


def group_batches(dataset: tf.data.Dataset, size: int) -> tf.data.Dataset:
    """Concatenate every `size` batches of a dataset of tuples to one batch, and the rest at the end.

    The result has a known length if the dataset does.
    """

    def join(*windows):
        # The batch size is larger than any window.
        return tf.data.Dataset.zip(tuple(window.rebatch(2**31 - 1) for window in windows))

    groups = dataset.window(size).flat_map(join)
    batches = dataset.cardinality()
    if batches == tf.data.UNKNOWN_CARDINALITY:
        return groups
    known = batches if batches == tf.data.INFINITE_CARDINALITY else -(-batches // size)
    return groups.apply(tf.data.experimental.assert_cardinality(known))


def batches_of_arrays(images: np.ndarray, labels: np.ndarray | None, batch_size: int, seed: int | None):
    """Return a dataset of batches of checked arrays, `(images,)` or `(images, labels)`; the last may be smaller.

    Args:
        images: `(n, height, width, channels)`.
        labels: `(n,)`, or None.
        batch_size: int, images per batch.
        seed: int, seed of the shuffling, which differs in each pass; None for no shuffling.
    """
    arrays = [tf.constant(array) for array in (images, labels) if array is not None]
    indices = tf.data.Dataset.range(len(images))
    if seed is not None:
        indices = indices.shuffle(len(images), seed=seed)
    batches = indices.batch(batch_size).map(lambda chosen: tuple(tf.gather(array, chosen) for array in arrays))
    return without_tuner(batches.prefetch(2))


def sharded(
    argument: str, data, labels, batch_size: int, seed: int | None, strategy: tf.distribute.Strategy, **options
):
    """Return checked images and labels as a `sharding.ShardedDataset` for a strategy's replicas. All workers call this.

    Args:
        argument: str, name of the argument in error messages.
        data: array, dataset or `ShardedDataset` of images.
        labels: labels of an array of images, or None.
        batch_size, seed: as in `batches_of_arrays`.
        strategy: `tf.distribute.Strategy` with several replicas.
        **options: options of `sharding.shard`.

    Raises:
        UsageError: the first batch or the number of batches differs between workers.
    """
    if is_sharded(data):
        return data
    if not is_dataset(data):
        data = batches_of_arrays(data, labels, batch_size, seed)
    if distribution.is_multi_worker(strategy):
        first = b"".join(part.tobytes() for part in next(data.take(1).as_numpy_iterator()))
        if not distribution.is_same_on_all_workers(strategy, first + str(int(data.cardinality())).encode()):
            requirement = "the same on all workers, in the same order (a dataset that shuffles needs a seed)"
            raise must_be(argument, requirement, "different images on this worker")
    return sharding.shard(strategy, data, **options)


def check_sharded(argument: str, dataset: tf.distribute.DistributedDataset, strategy: tf.distribute.Strategy):
    """Return `dataset` if `data.batches` sharded it for this strategy; else raise `UsageError`."""
    if strategy.num_replicas_in_sync == 1 or not isinstance(dataset, sharding.ShardedDataset):
        raise must_be(argument, "a tf.data.Dataset, which fit distributes to the devices", type(dataset).__name__)
    devices, shards = len(strategy.extended.worker_devices), len(dataset.element_spec)
    if shards != devices:
        raise must_be(argument, f"a dataset for the {devices} devices of the model's strategy", f"{shards} shards")
    return dataset


def is_dataset(data: object) -> bool:
    """Return whether `data` is a dataset of batches rather than an array."""
    return isinstance(data, tf.data.Dataset) or is_sharded(data)


def is_sharded(data: object) -> bool:
    """Return whether `data` is a distributed dataset."""
    return isinstance(data, tf.distribute.DistributedDataset)


def _with_int32_labels(images, labels):
    # As for arrays, labels may have any integer type and the shape `(n, 1)`.
    return images, tf.reshape(tf.cast(labels, tf.int32), [-1])


def _check_values(argument: str, images: np.ndarray, value_range: tuple[float, float]) -> None:
    low, high = value_range
    requirement = f"uint8 images, or floats from {low:g} to {high:g}"
    if images.dtype == np.uint8:
        return
    if not np.issubdtype(images.dtype, np.floating):
        raise must_be(argument, requirement, f"{images.dtype} images")
    smallest, largest = images.min(), images.max()
    # In this form NaN fails the check.
    if not (smallest >= low - RANGE_TOLERANCE and largest <= high + RANGE_TOLERANCE):
        raise UsageError(f"{argument} must be {requirement}, received: {images.dtype} from {smallest} to {largest}")
