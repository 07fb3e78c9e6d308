"""What `fit`, `evaluate` and the other methods accept as images, checked before the first step."""

from __future__ import annotations

import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import numpy as np
import tensorflow as tf

from keras_gen.errors import UsageError, must_be

RANGE_TOLERANCE = 1e-4
"""How far float images may lie outside the declared range: what resizing and rounding leave."""


def check_images(argument: str, images: object, image_shape: tuple[int, ...], value_range: tuple[float, float]):
    """Check an array of images.

    Args:
        argument: its name in error messages.
        images: NumPy array or tensor `(n, height, width, channels)`, or `(n, height, width)` for one channel;
            uint8, or floats in `value_range`.
        image_shape: `(height, width, channels)` of the model.
        value_range: what floats must lie in.

    Returns:
        The images, NumPy, with their channel axis: uint8 as it was, floats as float32.

    Raises:
        UsageError: anything else, naming the argument, what it must be and what it was.
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


def check_dataset(
    argument: str, dataset: tf.data.Dataset, image_shape: tuple[int, ...], value_range: tuple[float, float]
) -> int:
    """Check a dataset of batches, `images`, `(images,)` or `(images, labels)`, by its specification and first batch.

    Returns:
        The number of images in the first batch.

    Raises:
        UsageError: as `check_images`.
    """
    spec = _first_component(dataset.element_spec)
    if not isinstance(spec, tf.TensorSpec):
        raise must_be(argument, "a dataset of (batches of) images, or of (images, labels)", dataset.element_spec)
    if not spec.shape.is_compatible_with((None, *image_shape)):
        expected = ", ".join(map(str, image_shape))
        raise must_be(argument, f"a dataset of batches of images of shape (n, {expected})", tuple(spec.shape))
    for element in dataset.take(1):
        return len(check_images(argument, _first_component(element), image_shape, value_range))
    raise must_be(argument, "a dataset with at least one batch", "an empty dataset")


def group_batches(dataset: tf.data.Dataset, size: int) -> tf.data.Dataset:
    """The images of every `size` batches of a dataset joined to one batch; of fewer at the end.

    The result knows its length if the dataset does.
    """
    images = dataset.map(lambda *element: _first_component(element))
    # A batch size without limit joins whatever is in the window.
    groups = images.window(size).flat_map(lambda window: window.rebatch(2**31 - 1))
    batches = dataset.cardinality()
    if batches == tf.data.UNKNOWN_CARDINALITY:
        return groups
    known = batches if batches == tf.data.INFINITE_CARDINALITY else -(-batches // size)
    return groups.apply(tf.data.experimental.assert_cardinality(known))


def shared_equally(argument: str, data, batch_size: int, replicas: int):
    """Data whose batches, the last one too, several replicas can share equally.

    An unequal share would weigh images differently. So what is over a multiple of `replicas` is left out: of an array
    at its end, of a dataset at the end of each batch. A dataset's batch with fewer images than replicas repeats them
    instead.

    Args:
        argument: its name in error messages.
        data: array of images, or a dataset of batches of them.
        batch_size: of an array's batches.
        replicas: with 1, data are returned as they are.

    Raises:
        UsageError: `batch_size`, or the size of a dataset's batches as far as it says so, is no such multiple, or an
            array has too few images.
    """
    if replicas == 1:
        return data
    is_dataset = isinstance(data, tf.data.Dataset)
    size = _first_component(data.element_spec).shape[0] if is_dataset else batch_size
    if size is not None and size % replicas:
        raise must_be("batch_size", f"a multiple of {replicas}, the number of devices", size)
    if is_dataset:
        return data.map(lambda *element: tf.nest.map_structure(lambda part: _multiple_of(replicas, part), element))
    if len(data) < replicas:
        raise must_be(argument, f"at least {replicas} images, one for each device", len(data))
    return data[: len(data) // replicas * replicas]


def _multiple_of(replicas, batch):
    count = tf.shape(batch)[0]
    kept = tf.maximum(count // replicas, 1) * replicas
    return tf.gather(batch, tf.range(kept) % count)


def _first_component(element: object) -> object:
    return element[0] if isinstance(element, tuple) else element


def _check_values(argument: str, images: np.ndarray, value_range: tuple[float, float]) -> None:
    low, high = value_range
    requirement = f"uint8 images, or floats from {low:g} to {high:g}"
    if images.dtype == np.uint8:
        return
    if not np.issubdtype(images.dtype, np.floating):
        raise must_be(argument, requirement, f"{images.dtype} images")
    smallest, largest = images.min(), images.max()
    # Written so that NaN fails.
    if not (smallest >= low - RANGE_TOLERANCE and largest <= high + RANGE_TOLERANCE):
        raise UsageError(f"{argument} must be {requirement}, received: {images.dtype} from {smallest} to {largest}")
