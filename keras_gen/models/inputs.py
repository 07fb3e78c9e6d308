"""Check the images, labels and targets passed to `fit`, `evaluate` and other methods, and the batches of datasets."""

from __future__ import annotations

import contextlib
import itertools
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
from keras_gen.distribution.sharding import without_tuner
from keras_gen.metrics.arrays import as_array
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.progress import print_line

RANGE_TOLERANCE = 1e-4
"""How far float images may exceed the value range, because of resizing and rounding."""

PIXEL_RANGE = (0.0, 255.0)
"""Range of a dataset's float images if a value of its first batch is above `LEAST_BRIGHTEST_PIXEL`."""

LEAST_BRIGHTEST_PIXEL = 127.0
"""Well above what augmentation makes of images in [0, 1], and of digits with 16 gray levels."""

IMAGE_KEYS, LABEL_KEYS = ("image", "images", "x"), ("label", "labels", "y")
"""Keys of a dictionary's images and labels, as in the data sets of `tensorflow_datasets`."""


def check_pair(
    argument: str,
    images: object,
    y: object,
    image_shape: tuple[int, ...],
    value_range: tuple[float, float] | None,
    num_classes: int = 0,
    takes_targets: bool = False,
    *,
    training: bool = False,
):
    """Check an array of images as `check_images`, and its labels as `check_labels` or its target images.

    Returns:
        The images and the labels of a conditional model, or the target images, or None.

    Raises:
        UsageError: as in these functions; or there are targets, but not `takes_targets`.
    """
    images = check_images(argument, images, image_shape, value_range, training=training)
    if num_classes or not _are_images(y):
        return images, check_labels(f"labels of {argument}", y, len(images), num_classes)
    if not takes_targets:
        requirement = "left out (only an Autoencoder without classes is trained toward other images than its input)"
        raise must_be(f"targets of {argument}", requirement, f"an array of shape {tuple(np.shape(y))}")
    targets = check_images(f"targets of {argument}", y, image_shape, value_range, training=training)
    if len(targets) != len(images):
        raise must_be(f"targets of {argument}", f"{len(images)} images", f"{len(targets)} images")
    return images, targets


def check_images(
    argument: str,
    images: object,
    image_shape: tuple[int, ...],
    value_range: tuple[float, float] | None,
    *,
    training: bool = False,
):
    """Check an array of images or latents.

    Args:
        argument: str, name of the argument in error messages.
        images: NumPy array or tensor `(n, height, width, channels)`, or `(n, height, width)` for one channel; uint8, or
            floats in `value_range`.
        image_shape: tuple, the model's `(height, width, channels)`, or the shape of a latent.
        value_range: tuple, range of floats; None for latents, any finite floats.
        training: bool, whether floats without a value below 0 are an error if the range is (-1, 1), rather than a line
            on the screen: they are probably in [0, 1]. Defaults to `False`.

    Returns:
        A NumPy array with a channel axis, uint8 or float32.

    Raises:
        UsageError: `images` is anything else.
    """
    name = "images" if value_range else "latents"
    if not isinstance(images, np.ndarray | tf.Tensor | tf.Variable):
        raise must_be(argument, f"a NumPy array, a tensor or a tf.data.Dataset of {name}", type(images).__name__)
    images = np.asarray(images)
    shape = images.shape
    if len(shape) == len(image_shape) == 3 and image_shape[-1] == 1:
        images = images[..., np.newaxis]
    if images.shape[1:] != tuple(image_shape):
        expected = ", ".join(map(str, image_shape))
        raise must_be(argument, f"{name} of shape (n, {expected})", shape)
    if len(images) == 0:
        raise must_be(argument, "at least one image", images.shape)
    _check_values(argument, images, value_range, training)
    return images if images.dtype == np.uint8 else images.astype(np.float32, copy=False)


def check_labels(argument: str, labels: object, count: int, num_classes: int) -> np.ndarray | None:
    """Check the labels of `count` images: integers, or one-hot rows of `keras.utils`' `label_mode="categorical"`.

    Returns:
        int32 `(count,)`; None if `num_classes` is 0, when labels are ignored.

    Raises:
        UsageError: the labels are missing, or not `count` labels in [0, `num_classes`).
    """
    if num_classes == 0:
        if labels is not None and (np.ndim(labels) not in (1, 2) or len(labels) != count):
            raise must_be(argument, f"one label for each of the {count} images", labels)
        return None
    requirement = f"{count} integers from 0 to {num_classes - 1}"
    if labels is None:
        raise must_be(argument, f"{requirement}, since the model is conditional", None)
    labels = as_array(argument, labels, requirement)
    if _are_one_hot(labels, num_classes):
        labels = labels.argmax(axis=1)
    elif labels.shape == (count, 1):  # as in `keras.datasets.cifar10`, or as floats from label_mode="binary"
        is_binary = num_classes == 2 and labels.dtype.kind == "f" and np.isin(labels, (0, 1)).all()
        labels = labels[:, 0].astype(np.int32 if is_binary else labels.dtype)
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
    """Split `images`, `(images,)`, `(images, labels)` or a dictionary into images and labels (or targets) or None."""
    if isinstance(data, dict):
        images, labels = (next((key for key in keys if key in data), None) for keys in (IMAGE_KEYS, LABEL_KEYS))
        if images is None:
            raise must_be(argument, 'images, or a dictionary with the keys "image" and "label"', sorted(map(str, data)))
        return data[images], data.get(labels)
    if not isinstance(data, tuple):
        return data, None
    if len(data) not in (1, 2):
        raise must_be(argument, "images, or (images, labels)", f"a tuple of {len(data)}")
    return data if len(data) == 2 else images_and_labels(argument, data[0])


def split(images: np.ndarray, labels: np.ndarray | None, validation_split: float):
    """Split checked images and labels into images and labels to train on and `validation_data`, the last part."""
    first = int(len(images) * (1 - checks.fraction("validation_split", validation_split)))
    if first == 0 or first == len(images):
        raise must_be("validation_split", "a part that leaves images on both sides", validation_split)
    if labels is None:
        return images[:first], None, images[first:]
    return images[:first], labels[:first], (images[first:], labels[first:])


class BatchCheck:
    """Check of all batches of a dataset, the first of which decides what floats and labels mean.

    Float images are pixel values from 0 to 255, as `keras.utils.image_dataset_from_directory` yields them, if a value
    of the first batch is above 127; they are scaled. A batch is images, `(images,)`, `(images, labels)`, `(images,
    targets)` or a dictionary. The arguments are those of `check_pair`.
    """

    def __init__(
        self, argument, first, image_shape, value_range, num_classes=0, takes_targets=False, *, training=False
    ):
        self.argument, self.image_shape, self.value_range = argument, image_shape, value_range
        self.options = {"num_classes": num_classes, "takes_targets": takes_targets, "training": training}
        self._first = list(map(np.asarray, _parts(argument, first)))
        self._are_pixels = [self._has_pixel_values(part) for part in self._first]
        self(first)
        self.options["training"] = False

    def __call__(self, element) -> tuple[np.ndarray, ...]:
        """Return `(images,)`, `(images, labels)` or `(images, targets)` of a batch of arrays."""
        parts = _parts(self.argument, element)
        if any(self._are_pixels):
            for part in itertools.compress(parts, self._are_pixels):
                check_images(self.argument, part, self.image_shape, PIXEL_RANGE)
            parts = self._scaled(map(np.asarray, parts))
        images, y = check_pair(
            self.argument, *parts, *[None] * (2 - len(parts)), self.image_shape, self.value_range, **self.options
        )
        return (images,) if y is None else (images, y)

    def in_graph(self, *element) -> tuple[tf.Tensor, ...]:
        """Return the same for a batch of tensors, in the graph of a `tf.data.Dataset`."""
        parts = _parts(self.argument, element if len(element) > 1 else element[0])
        num_classes = self.options["num_classes"]
        images = self._images_in_graph(0, parts[0])
        if num_classes:
            return images, self._labels_in_graph(parts[1], num_classes)
        if len(parts) == 2 and _are_images(self._first[1]):
            return images, self._images_in_graph(1, parts[1])
        return (images,)

    def _has_pixel_values(self, part):
        if not self.value_range or not _are_images(part) or not np.issubdtype(part.dtype, np.floating) or not part.size:
            return False
        return part.min() >= 0 and LEAST_BRIGHTEST_PIXEL < part.max() <= PIXEL_RANGE[1]

    def _scaled(self, parts):
        low, high = self.value_range or PIXEL_RANGE
        scales = zip(parts, self._are_pixels, strict=True)
        return [low + part * np.float32((high - low) / 255) if pixels else part for part, pixels in scales]

    def _images_in_graph(self, index, images):
        images = tf.ensure_shape(images, (None, *self._first[index].shape[1:]))
        if images.shape.rank == len(self.image_shape):
            images = images[..., tf.newaxis]
        if images.dtype == tf.uint8:
            return images
        images = tf.cast(images, tf.float32)
        value_range = PIXEL_RANGE if self._are_pixels[index] else self.value_range
        low, high = _bounds(value_range)
        inside = tf.reduce_all((images >= low) & (images <= high))
        message = f"{self.argument} must be {_requirement(value_range)} in every batch, received: float32 from"
        with _assertion(inside, message, tf.reduce_min(images), "to", tf.reduce_max(images)):
            images = tf.identity(images)
        return self._scaled([images if i == index else None for i in range(len(self._first))])[index]

    def _labels_in_graph(self, labels, num_classes):
        labels = tf.ensure_shape(labels, (None, *self._first[1].shape[1:]))
        if _are_one_hot(self._first[1], num_classes):
            result = tf.argmax(labels, axis=1, output_type=tf.int32)
            valid = tf.reduce_all(tf.equal(labels, tf.one_hot(result, num_classes, dtype=labels.dtype)))
        else:
            labels = tf.reshape(labels, [-1])
            result = tf.cast(labels, tf.int32)
            valid = tf.reduce_all((result >= 0) & (result < num_classes) & (tf.cast(result, labels.dtype) == labels))
        message = f"labels of {self.argument} must be integers from 0 to {num_classes - 1} in every batch, received:"
        with _assertion(valid, message, labels):
            return tf.identity(result)


class CheckedSequence(keras.utils.PyDataset):
    """A `keras.utils.PyDataset` of the checked batches of another, each `size` of them joined to one."""

    def __init__(self, source, check, size):
        super().__init__(source.workers, source.use_multiprocessing, source.max_queue_size)
        self.source, self.check, self.size = source, check, size
        self.on_epoch_begin, self.on_epoch_end = source.on_epoch_begin, source.on_epoch_end

    @property
    def num_batches(self):
        """Number of batches; None for an endless dataset."""
        return None if self.source.num_batches is None else -(-self.source.num_batches // self.size)

    def __getitem__(self, index):
        end = (index + 1) * self.size
        if self.source.num_batches is not None:
            end = min(end, self.source.num_batches)
        return _joined([self.check(self.source[i]) for i in range(index * self.size, end)])


def check_python_batches(
    argument: str, data: keras.utils.PyDataset | types.GeneratorType, size: int, *rules, **options
):
    """Return a `PyDataset` or a generator whose batches a `BatchCheck` checks, and each `size` joined to one."""
    is_sequence = isinstance(data, keras.utils.PyDataset)
    first = next(data, None) if not is_sequence else None if data.num_batches == 0 else data[0]
    if first is None:
        raise must_be(argument, "a generator or PyDataset with at least one batch", "an empty one")
    check = BatchCheck(argument, first, *rules, **options)
    if is_sequence:
        return CheckedSequence(data, check, size)
    batches = map(check, itertools.chain([first], data))
    return (_joined(group) for group in iter(lambda: list(itertools.islice(batches, size)), []))


def check_dataset(
    argument: str,
    dataset: tf.data.Dataset,
    image_shape: tuple[int, ...],
    value_range: tuple[float, float] | None,
    num_classes: int,
    takes_targets: bool = False,
    *,
    training: bool = False,
) -> tf.data.Dataset:
    """Check a dataset of batches as in `BatchCheck`: its element spec, its first batch, and, when used, all others.

    Returns:
        A dataset of `(images,)`; if `num_classes` is above 0 of `(images, labels)`, labels int32 `(n,)`; or of
        `(images, targets)`.

    Raises:
        UsageError: as in `check_pair`.
    """
    parts = _parts(argument, dataset.element_spec, dataset.element_spec)
    if len(parts) < (2 if num_classes else 1) or not all(isinstance(part, tf.TensorSpec) for part in parts):
        forms = "(images, labels), since the model is conditional" if num_classes else "images, or of (images, labels)"
        raise must_be(argument, f"a dataset of (batches of) {forms}", dataset.element_spec)
    shapes = [(None, *image_shape)] + [(None, *image_shape[:-1])] * (len(image_shape) == 3 and image_shape[-1] == 1)
    if not any(parts[0].shape.is_compatible_with(shape) for shape in shapes):
        expected, name = ", ".join(map(str, image_shape)), "images" if value_range else "latents"
        raise must_be(argument, f"a dataset of batches of {name} of shape (n, {expected})", tuple(parts[0].shape))
    for first in dataset.take(1):
        rules = image_shape, value_range, num_classes, takes_targets
        return dataset.map(BatchCheck(argument, first, *rules, training=training).in_graph)
    raise must_be(argument, "a dataset with at least one batch", "an empty dataset")


@contextlib.contextmanager
def errors_of_batches() -> Iterator[None]:
    """Raise the error of a batch that does not fit as a `UsageError`; TensorFlow wraps it in an error of its own."""
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.UnknownError) as error:
        found = re.search(
            r"UsageError: (.*?)(\]? ?\[\[|\]?$)|(Shape of tensor .* expected shape [^.]*)", str(error), re.M
        )
        if found is None:
            raise
        raise UsageError((found[1] or found[3]).replace("] [", " ")) from None


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
    """Return whether `data` yields batches rather than being an array."""
    return isinstance(data, tf.data.Dataset | keras.utils.PyDataset | types.GeneratorType) or is_sharded(data)


def is_sharded(data: object) -> bool:
    """Return whether `data` is a distributed dataset."""
    return isinstance(data, tf.distribute.DistributedDataset)


def _parts(argument, element, received=None):
    """Return the tensors, arrays or specs of a batch in a tuple: images, and labels or targets if there are any."""
    if isinstance(element, tuple | list) and len(element) > 2:
        raise must_be(argument, "batches of images, or of (images, labels), without weights", f"{len(element)} parts")
    images, y = images_and_labels(argument, tuple(element) if isinstance(element, list) else element)
    return (images,) if y is None else (images, y)


def _joined(batches):
    return batches[0] if len(batches) == 1 else tuple(map(np.concatenate, zip(*batches, strict=True)))


def _are_images(y):
    return len(getattr(y, "shape", ())) > 2


def _are_one_hot(labels, num_classes):
    """Return whether labels are rows of zeros with a single 1, at least one."""
    if labels.ndim != 2 or labels.shape[1] != num_classes or not len(labels) or labels.dtype.kind not in "iufb":
        return False
    return bool(np.isin(labels, (0, 1)).all() and (labels.sum(axis=1) == 1).all())


def _assertion(condition, *message):
    """Return the context in which tensors are computed only if the condition holds."""
    return tf.control_dependencies([tf.debugging.Assert(condition, [f"UsageError: {message[0]}", *message[1:]], 4)])


def _requirement(value_range):
    return "uint8 images, or floats from {:g} to {:g}".format(*value_range) if value_range else "finite floats"


def _bounds(value_range):
    """Return the least and the largest float that is accepted."""
    low, high = value_range or (np.finfo(np.float32).min, np.finfo(np.float32).max)
    return low - RANGE_TOLERANCE, high + RANGE_TOLERANCE


def _check_values(argument, images, value_range, training):
    if images.dtype == np.uint8 and value_range:
        return
    requirement = _requirement(value_range)
    if not np.issubdtype(images.dtype, np.floating):
        raise must_be(argument, requirement, f"{images.dtype} {'images' if value_range else 'latents'}")
    smallest, largest = images.min(), images.max()
    low, high = _bounds(value_range)
    received = f"{argument} must be {requirement}, received: {images.dtype} from {smallest} to {largest}"
    # In this form NaN fails the check.
    if not (smallest >= low and largest <= high):
        is_hinted = value_range and 0 <= smallest and largest <= PIXEL_RANGE[1]
        raise UsageError(received + (" (convert pixel values to uint8, or scale them)" if is_hinted else ""))
    if value_range and value_range[0] < 0 <= smallest and largest > 0:
        hint = "none below 0: rescale images in [0, 1]"
        if training:
            raise UsageError(f"{received}, {hint}")
        print_line(f"NOTE: {argument} has floats from {smallest} to {largest}, {hint}")
