"""Check the images, labels and targets passed to `fit`, `evaluate` and other methods, and the batches of datasets."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import re
import types
from collections.abc import Iterator

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from keras_gen import distribution
from keras_gen.data.pipeline import Batches
from keras_gen.distribution import sharding
from keras_gen.metrics.arrays import as_array
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.progress import print_line
from keras_gen.utils.tf_data import without_autograph, without_tuner

RANGE_TOLERANCE = 1e-4
"""How far float images may exceed the value range, because of resizing and rounding."""

PIXEL_RANGE, LEAST_BRIGHTEST_PIXEL = (0.0, 255.0), 127.0
"""Range of a dataset's float images if a value of its first batch is above the second number, which is well above what
augmentation makes of images in [0, 1], and above digits with 16 gray levels."""

IMAGE_KEYS, LABEL_KEYS = ("image", "images", "x"), ("label", "labels", "y")
"""Keys of a dictionary's images and labels, as in the data sets of `tensorflow_datasets`."""


def check_pair(
    argument,
    images,
    y,
    image_shape,
    value_range,
    num_classes=0,
    takes_targets=False,
    *,
    training=False,
    or_dataset=False,
):
    """Return checked images, and their labels if there are classes, their target images, or None.

    Args:
        argument, images, image_shape, value_range, training, or_dataset: as in `check_images`.
        y: labels, or target images if the model `takes_targets` and has no classes, or None.
        num_classes: int, classes of the model. Defaults to 0.

    Raises:
        UsageError: as in `check_images` and `check_labels`; or there are targets, but not `takes_targets`.
    """
    images = check_images(argument, images, image_shape, value_range, training=training, or_dataset=or_dataset)
    if takes_targets and not num_classes and y is not None:
        y = as_array(f"targets of {argument}", y, "images")
        size = math.prod(image_shape)
        if y.shape[1:] == (size,) and not _are_one_hot(y, size):
            raise must_be(f"targets of {argument}", f"of shape {images.shape}, like the images", y.shape)
    if num_classes or not _are_images(y):
        return images, check_labels(f"labels of {argument}", y, len(images), num_classes)
    if not takes_targets:
        requirement = "left out (only an Autoencoder without classes can have targets other than its input)"
        raise must_be(f"targets of {argument}", requirement, f"an array of shape {tuple(np.shape(y))}")
    targets = check_images(f"targets of {argument}", y, image_shape, value_range, training=training)
    if len(targets) != len(images):
        raise must_be(f"targets of {argument}", f"{len(images)} images", f"{len(targets)} images")
    return images, targets


def check_images(argument, images, image_shape, value_range, *, training=False, or_dataset=False) -> np.ndarray:
    """Return an array or a tensor of images, or of latents if `value_range` is None, as a NumPy array.

    Args:
        argument: str, name of the argument in error messages.
        images: uint8, or floats in `value_range`; latents are any finite floats. Gray images may lack the channel axis.
        image_shape: tuple, the model's `(height, width, channels)`, or the shape of a latent.
        value_range: tuple, range of floats, or None.
        training: bool, whether floats without a value below 0 are an error if the range is (-1, 1), since they are
            probably in [0, 1], or print a line; None for neither. Defaults to `False`.
        or_dataset: bool, whether error messages also name datasets, which the caller takes. Defaults to `False`.

    Returns:
        uint8 or float32, `(n, *image_shape)`.

    Raises:
        UsageError: `images` is anything else.
    """
    name = "images" if value_range else "latents"
    if not isinstance(images, np.ndarray | tf.Tensor | tf.Variable):
        kinds = "a NumPy array, a tensor or a tf.data.Dataset" if or_dataset else "a NumPy array or a tensor"
        raise must_be(argument, f"{kinds} of {name}", type(images).__name__)
    images = np.asarray(images)
    shape, expected = images.shape, ", ".join(map(str, image_shape))
    if len(shape) == len(image_shape) == 3 and image_shape[-1] == 1:
        images = images[..., np.newaxis]
    if images.shape[1:] != tuple(image_shape):
        raise must_be(argument, f"{name} of shape (n, {expected})", shape)
    if len(images) == 0:
        raise must_be(argument, "at least one image", images.shape)
    _check_values(argument, images, value_range, training)
    return images if images.dtype == np.uint8 else images.astype(np.float32, copy=False)


def check_labels(argument: str, labels: object, count: int, num_classes: int) -> np.ndarray | None:
    """Return the labels of `count` images, integers or one-hot rows, as int32 `(count,)`.

    If `num_classes` is 0, labels are ignored and the result is None.

    Raises:
        UsageError: the labels are missing, or not `count` labels in [0, `num_classes`).
    """
    if num_classes == 0:
        requirement = f"one label for each of the {count} images"
        shape = None if labels is None else as_array(argument, labels, requirement).shape
        if shape is not None and (len(shape) not in (1, 2) or shape[0] != count):
            raise must_be(argument, requirement, getattr(labels, "shape", type(labels).__name__))
        return None
    requirement = f"{count} integers from 0 to {num_classes - 1}"
    if labels is None:
        raise must_be(argument, f"{requirement}, since the model is conditional", None)
    labels = as_array(argument, labels, requirement)
    if _are_one_hot(labels, num_classes):
        labels = labels.argmax(axis=1)
    elif labels.shape == (count, 1):  # as in `keras.datasets.cifar10`, or as floats from label_mode="binary"
        labels = labels[:, 0]
        if num_classes == 2 and np.isin(labels, (0, 1)).all():
            labels = labels.astype(np.int32)
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise must_be(argument, requirement, f"{labels.dtype} of shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= num_classes:
        raise must_be(argument, requirement, f"{labels.min()} to {labels.max()}")
    return labels.astype(np.int32)


def labels_to_generate(labels: object, n: int, num_classes: int) -> np.ndarray:
    """Check `labels`, n integers or one for all, and return them as int32 `(n,)`."""
    if num_classes == 0:
        raise UsageError("labels must be left out: the model was built without classes (num_classes 0)")
    if labels is not None:
        labels = as_array("labels", labels, f"{n} integers from 0 to {num_classes - 1}")
        labels = np.repeat(labels, n) if labels.ndim == 0 else labels
    return check_labels("labels", labels, n, num_classes)


def images_and_labels(argument: str, data: object) -> tuple[object, object]:
    """Split `images`, `(images,)`, `(images, labels)` or a dictionary into images and labels (or targets) or None."""
    if isinstance(data, dict):
        images, labels = (next((key for key in keys if key in data), None) for keys in (IMAGE_KEYS, LABEL_KEYS))
        if images is None:
            raise must_be(argument, 'images, or a dictionary with the keys "image" and "label"', sorted(map(str, data)))
        return data[images], data.get(labels)
    if not isinstance(data, tuple | list):
        return data, None
    if len(data) not in (1, 2):
        raise must_be(argument, "images, or (images, labels), without weights", f"{len(data)} parts")
    return tuple(data) if len(data) == 2 else images_and_labels(argument, data[0])


def split(images: np.ndarray, labels: np.ndarray | None, validation_split: float):
    """Return checked images and labels to train on, and `validation_data`, the last ones."""
    first = int(len(images) * (1 - checks.fraction("validation_split", validation_split)))
    if first == 0 or first == len(images):
        raise must_be("validation_split", "a fraction that leaves images for both parts", validation_split)
    rest = images[first:] if labels is None else (images[first:], labels[first:])
    return images[:first], None if labels is None else labels[:first], rest


class CheckedSequence(keras.utils.PyDataset):
    """A `keras.utils.PyDataset` of the checked batches of another, each `size` of them joined to one."""

    def __init__(self, source, check, size):
        super().__init__(source.workers, source.use_multiprocessing, source.max_queue_size)
        self.source, self.check, self.size = source, check, size
        self.on_epoch_begin, self.on_epoch_end = source.on_epoch_begin, source.on_epoch_end

    @property
    def num_batches(self):
        """Number of batches; None for an endless dataset."""
        count = self.source.num_batches
        return None if count is None else -(-count // self.size)

    def __getitem__(self, index):
        start, end = index * self.size, (index + 1) * self.size
        return _joined([self.check(self.source[i]) for i in range(start, min(end, self.source.num_batches or end))])


def check_dataset(argument, data, *rules, training=False, size=1):
    """Check the first batch of a dataset, and each other one when it is used.

    A batch is what `images_and_labels` takes. Float images are pixel values from 0 to 255, as
    `keras.utils.image_dataset_from_directory` yields them, if a value of the first batch is above 127; they are scaled.

    Args:
        argument, *rules, training: arguments of `check_pair`.
        data: `tf.data.Dataset`, `keras.utils.PyDataset` or generator of batches.
        size: int, batches to join to one. Defaults to 1.

    Returns:
        A dataset of the same kind of `(images,)`, `(images, labels)` or `(images, targets)`, as from `check_pair`.

    Raises:
        UsageError: as in `check_pair`, or there is no batch.
    """
    first = next(iter(data), None)
    if first is None:
        raise must_be(argument, "a dataset with at least one batch", "an empty dataset")
    are_pixels = [rules[1] is not None and _are_pixels(part) for part in images_and_labels(argument, first)]
    check = functools.partial(_check_batch, argument, rules, are_pixels)
    checked = check(first, training=training)
    if isinstance(data, tf.data.Dataset):

        @without_autograph
        def check_in_graph(*element):
            parts = [part for part in images_and_labels(argument, element) if part is not None]
            tensors = tf.numpy_function(lambda *parts: check(parts), parts, [part.dtype for part in checked])
            for tensor, example in zip(tensors, checked, strict=True):
                tensor.set_shape((None, *example.shape[1:]))
            return tuple(tensors)

        dataset = data.map(check_in_graph)
        return dataset if size == 1 else group_batches(dataset, size)
    if isinstance(data, keras.utils.PyDataset):
        return CheckedSequence(data, check, size)
    batches = map(check, itertools.chain([first], data))
    return (_joined(group) for group in iter(lambda: list(itertools.islice(batches, size)), []))


@contextlib.contextmanager
def errors_of_batches() -> Iterator[None]:
    """Raise the error of a batch that does not fit as a `UsageError`; TensorFlow wraps it in an error of its own."""
    try:
        yield
    except tf.errors.OpError as error:
        found = re.search("UsageError: (.*)", error.message)
        if found is None:
            raise
        raise UsageError(found[1]) from None


def check_batches(batches: Batches, image_shape: tuple[int, ...], num_classes: int, batches_per_step: int) -> None:
    """Check that a model of these images, classes and batches per train step can be trained on `batches`."""
    if batches.image_shape != tuple(image_shape):
        raise must_be("x", f"batches of images of shape {tuple(image_shape)}", batches.image_shape)
    if num_classes and not 1 <= batches.num_classes <= num_classes:
        received = f"labels up to {batches.num_classes - 1}" if batches.num_classes else "no labels"
        raise must_be("x", f"batches with labels from 0 to {num_classes - 1}", received)
    if batches.batches_per_step != batches_per_step:
        requirement = f"batches from data.batches with batches_per_step={batches_per_step}"
        raise must_be("x", requirement, batches.batches_per_step)


def group_batches(dataset: tf.data.Dataset, size: int) -> tf.data.Dataset:
    """Concatenate every `size` batches of a dataset of tuples to one batch, and the rest at the end.

    The result has a known length if the dataset does.
    """

    @without_autograph
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

    `seed` is that of the shuffling, which differs in each pass; None for no shuffling.
    """
    arrays = [tf.constant(array) for array in (images, labels) if array is not None]
    indices = tf.data.Dataset.range(len(images))
    if seed is not None:
        indices = indices.shuffle(len(images), seed=seed)
    gather = without_autograph(lambda chosen: tuple(tf.gather(array, chosen) for array in arrays))
    batches = indices.batch(batch_size).map(gather)
    return without_tuner(batches.prefetch(2))


def sharded(argument, data, labels, batch_size, seed, strategy, **options):
    """Return checked images and labels as a `sharding.ShardedDataset` for a strategy's replicas. All workers call this.

    The options are those of `sharding.shard`; other arguments are as in `batches_of_arrays`, or `data` is a dataset.

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
    """Return whether `data` yields batches rather than being an array."""
    return isinstance(data, tf.data.Dataset | keras.utils.PyDataset | types.GeneratorType) or is_sharded(data)


def is_sharded(data: object) -> bool:
    """Return whether `data` is a distributed dataset."""
    return isinstance(data, tf.distribute.DistributedDataset)


def _check_batch(argument, rules, are_pixels, batch, training=None):
    """Return the checked parts of a batch; `are_pixels` says which ones have values from 0 to 255."""
    low, high = rules[1] or PIXEL_RANGE
    parts = [
        low + np.asarray(part) * np.float32((high - low) / 255) if pixels else part
        for part, pixels in zip(images_and_labels(argument, batch), are_pixels, strict=True)
    ]
    # The range of pixel values is known.
    images, y = check_pair(argument, *parts, *rules, training=None if any(are_pixels) else training)
    return (images,) if y is None else (images, y)


def _are_pixels(images):
    """Return whether these are float images with values from 0 to 255."""
    if not _are_images(images) or not np.issubdtype(np.asarray(images).dtype, np.floating):
        return False
    return np.min(images, initial=0) >= 0 and LEAST_BRIGHTEST_PIXEL < np.max(images, initial=0) <= PIXEL_RANGE[1]


def _joined(batches):
    return batches[0] if len(batches) == 1 else tuple(map(np.concatenate, zip(*batches, strict=True)))


def _are_images(y):
    return len(getattr(y, "shape", ())) > 2


def _are_one_hot(labels, num_classes):
    """Return whether labels are rows of zeros with a single 1."""
    if labels.ndim != 2 or labels.shape[1] != num_classes or labels.dtype.kind not in "iufb":
        return False
    return bool(np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all())


def _check_values(argument, images, value_range, training):
    if images.dtype == np.uint8 and value_range:
        return
    low, high = value_range or (np.finfo(np.float32).min, np.finfo(np.float32).max)
    requirement = f"uint8 images, or floats from {low:g} to {high:g}" if value_range else "finite floats"
    if not np.issubdtype(images.dtype, np.floating):
        raise must_be(argument, requirement, f"{images.dtype} {'images' if value_range else 'latents'}")
    smallest, largest = images.min(), images.max()
    received = f"{argument} must be {requirement}, received: {images.dtype} from {smallest} to {largest}"
    # In this form NaN fails the check.
    if not (smallest >= low - RANGE_TOLERANCE and largest <= high + RANGE_TOLERANCE):
        is_hinted = value_range and 0 <= smallest and largest <= PIXEL_RANGE[1]
        raise UsageError(received + (" (convert pixel values to uint8, or scale them)" if is_hinted else ""))
    if training is not None and value_range and low < 0 <= smallest and largest > 0:
        hint = f"none below 0: rescale images from [0, 1] to [{low:g}, {high:g}]"
        if training:
            raise UsageError(f"{received}, {hint}")
        print_line(f"NOTE: {argument} has floats from {smallest} to {largest}, {hint}")
