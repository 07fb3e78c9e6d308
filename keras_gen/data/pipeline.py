"""Batch arrays of images. The order of epoch e depends on (seed, e) only, so a resumed run sees the same batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from keras_gen.data import storage
from keras_gen.utils import checks
from keras_gen.utils.errors import must_be

if TYPE_CHECKING:
    import tensorflow as tf

    from keras_gen.distribution import sharding

EVALUATION_BATCH_SIZE = 256
"""Batch size of validation and evaluation."""

MAX_COPIED = 2**28
"""Largest array, in bytes, that a dataset copies."""

MAX_GROUP = 2**21
"""Bytes of images, of one or more train steps, that are gathered at once. A call costs as much as a small step."""

_READERS = 8  # batches gathered in parallel from a mapped file: a disk needs several readers to be fully used


@dataclass(frozen=True)
class Batches:
    """An infinite dataset of the batches of train steps, epoch after epoch, which `fit` of keras_gen's models takes.

    Args:
        dataset: elements `images` uint8 `(B, H, W, C)`, or `(images, labels)` with labels int64 `(B,)`; with a
            strategy of several replicas, a `sharding.ShardedDataset`.
        steps_per_epoch: int, number of elements in an epoch.
        image_shape: tuple of int, `(height, width, channels)`.
        num_classes: int, 1 + the largest label; 0 without labels.
        batches_per_step: int, number of batches that an element consists of.
        initial_step: int, number of elements of the first epoch that are left out.
    """

    dataset: tf.data.Dataset | tf.distribute.DistributedDataset
    steps_per_epoch: int
    image_shape: tuple[int, int, int]
    num_classes: int
    batches_per_step: int
    initial_step: int = 0


def batches(
    images: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    batch_size: int,
    seed: int,
    initial_epoch: int = 0,
    initial_step: int = 0,
    shuffle: bool = True,
    drop_remainder: bool = False,
    strategy: tf.distribute.Strategy | None = None,
    batches_per_step: int = 1,
    binarize: bool = False,
) -> Batches:
    """Return batches to train on, shuffled anew each epoch.

    Every image occurs exactly once per epoch, unless `drop_remainder` drops some. The order of an epoch depends only
    on `seed` and on the epoch's number: a dataset that starts at epoch 3 equals one that has reached epoch 3. An array
    of more than `MAX_COPIED` bytes and a `numpy.memmap` are used without a copy, if TensorFlow can: don't change them
    while the dataset is in use.

    Args:
        images: uint8, shape `(N, H, W, C)`, N at least 1.
        labels: integers, shape `(N,)`, or `None`.
        batch_size: int, images in a batch, over all replicas together.
        seed: int, 0 to 2**31 - 1.
        initial_epoch: int, number of the first epoch, as in `fit`. Defaults to 0.
        initial_step: int, steps of the first epoch to skip, less than an epoch has. Defaults to 0.
        shuffle: bool, whether to shuffle; else every epoch is in the order of `images`. Defaults to True.
        drop_remainder: bool, whether to drop the last, smaller step of an epoch. Defaults to False.
        strategy: `tf.distribute.Strategy` to train with. If it has several replicas, each gets its shard of every
            batch, and a worker reads only the images of its own replicas; all workers must have the same arrays. `fit`
            also shards batches that are not sharded yet, but then each worker reads all of them.
        batches_per_step: int, batches in a train step, `model.batches_per_step`. Defaults to 1.
        binarize: bool, whether to draw each value anew in each epoch, 255 with probability value / 255, else 0: the
            dynamic binarization of Burda et al. 2016. The draws depend on `seed`, `batch_size`,
            `batches_per_step`, the epoch and the image's place in it only. Defaults to False.

    Raises:
        UsageError: an argument is wrong, or `drop_remainder` would leave no batch.

    Example:
        >>> train = batches(data.train.images, batch_size=64, seed=0)
        >>> history = model.fit(train, epochs=10, verbose=0)
    """
    _check_arrays(images, labels)
    batch_size = checks.positive_int("batch_size", batch_size)
    batches_per_step = checks.positive_int("batches_per_step", batches_per_step)
    size = batch_size * batches_per_step
    seed = checks.seed("seed", seed)
    initial_epoch = checks.non_negative_int("initial_epoch", initial_epoch)
    initial_step = checks.non_negative_int("initial_step", initial_step)
    count = len(images)
    if drop_remainder and count < size:
        raise must_be("batch_size", f"at most {count // batches_per_step} with drop_remainder", batch_size)
    import tensorflow as tf

    from keras_gen.distribution import sharding
    from keras_gen.utils.tf_data import without_autograph

    is_sharded = strategy is not None and strategy.num_replicas_in_sync > 1
    group = 1 if is_sharded or binarize else max(1, MAX_GROUP // (size * images[0].nbytes))

    @without_autograph
    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.range(count, dtype=tf.int64)
        if shuffle:
            # A fixed algorithm, since the default depends on the device.
            order = tf.random.experimental.stateless_shuffle(order, [seed, epoch], alg="philox")
        first = tf.where(epoch == initial_epoch, tf.constant(initial_step, tf.int64), 0)
        order = order[first * size :]
        full = tf.size(order) // size
        grouped = full // group * group
        groups = tf.data.Dataset.from_tensor_slices(tf.reshape(order[: grouped * size], (-1, group, size)))
        last_groups = [tf.reshape(order[grouped * size : full * size], (-1, size))]
        if count % size and not drop_remainder:
            last_groups.append(order[tf.newaxis, full * size :])
        for each in last_groups:
            groups = groups.concatenate(tf.data.Dataset.from_tensors(each))
        if group == 1:
            groups = groups.unbatch()
        if not binarize:
            return tf.data.Dataset.zip((groups,))
        return groups.enumerate(first).map(without_autograph(lambda step, index: (index, epoch, step)))

    @without_autograph
    def with_draws(index: tf.Tensor, epoch: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        key = tf.random.fold_in(tf.cast(tf.stack([seed, epoch]), tf.int32), tf.cast(step, tf.int32))
        shape = tf.concat([tf.shape(index), images.shape[1:]], 0)
        # Below a pixel with probability pixel / 255 exactly.
        draws = tf.random.stateless_uniform(shape, key, 0, 255, tf.int32, alg="philox")
        return index, tf.cast(draws, tf.uint8)

    epochs = tf.data.Dataset.range(initial_epoch, np.iinfo(np.int64).max)
    indices = epochs.flat_map(epoch_batches)
    steps = count // size if drop_remainder else -(-count // size)
    if initial_step >= steps:
        raise must_be("initial_step", f"less than {steps}, the steps per epoch", initial_step)
    always_full = drop_remainder or count % size == 0
    num_classes = 0 if labels is None else 1 + int(np.max(labels))
    description = (steps, images.shape[1:], num_classes, batches_per_step, initial_step)
    if shuffle:
        storage.disable_read_ahead(images)
    infinite = tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY)
    if binarize:
        indices = indices.map(with_draws)
    if not is_sharded:
        gather = _make_gather(images, labels, size if always_full else None, in_groups=group > 1)
        return Batches(gather(indices).apply(infinite), *description)
    gather = _make_gather(images, labels, None)
    indices = indices.apply(infinite)
    return Batches(sharding.shard(strategy, indices, multiple_of=batches_per_step, then=gather), *description)


def evaluation_batches(
    images: np.ndarray, labels: np.ndarray | None = None, *, batch_size: int = EVALUATION_BATCH_SIZE
) -> tf.data.Dataset:
    """Return a `tf.data.Dataset` of every image once, in order, as in `Batches`; the last batch may be smaller.

    Args:
        images: uint8, shape `(N, H, W, C)`, N at least 1.
        labels: integers, shape `(N,)`, or `None`.
        batch_size: int, images in a batch, over all replicas together. It affects the results, since each batch has its
            own noise. Defaults to 256.

    Raises:
        UsageError: an argument is wrong.

    Example:
        >>> results = model.evaluate(evaluation_batches(data.test.images, batch_size=256), verbose=0)
    """
    _check_arrays(images, labels)
    batch_size = checks.positive_int("batch_size", batch_size)
    import tensorflow as tf

    indices = tf.data.Dataset.range(len(images)).batch(batch_size)
    indices = tf.data.Dataset.zip((indices,))
    return _make_gather(images, labels, batch_size if len(images) % batch_size == 0 else None)(indices)


def _make_gather(
    images: np.ndarray, labels: np.ndarray | None, static_batch: int | None, *, in_groups: bool = False
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """Return a function from a dataset of index batches, of a constant size or any, or shards, to one of images.

    An index batch is a tuple of indices, or of those of several steps if they are `in_groups`, and, for images to
    binarize, draws.
    """
    import tensorflow as tf

    from keras_gen.utils.tf_data import without_autograph, without_tuner

    # In main memory, where tf.data runs.
    with tf.device("CPU:0"):
        all_images = _getter(_tensor(images))
        label_tensor = None if labels is None else tf.constant(labels, tf.int64)

    @without_autograph
    def take(index: tf.Tensor, draws: tf.Tensor | None = None):
        index = tf.ensure_shape(index, (None, static_batch) if in_groups else (static_batch,))
        batch = tf.gather(all_images(), index)
        if draws is not None:
            batch = tf.where(draws < batch, tf.constant(255, tf.uint8), tf.constant(0, tf.uint8))
        return batch if label_tensor is None else (batch, tf.gather(label_tensor, index))

    @without_autograph
    def take_shards(*shards: sharding.ShardedBatch):
        taken = [take(*each.parts) for each in shards]
        parts = [each if isinstance(each, tuple) else (each,) for each in taken]
        return tuple(each._replace(parts=part) for each, part in zip(shards, parts, strict=True))

    options = tf.data.Options()
    options.deterministic = True
    # For callers that distribute the dataset with a strategy in their own loop: with DATA, each worker keeps its own
    # parts of the batches; with OFF and with the default policy, all workers would train on the same parts.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    readers = None
    if storage.is_mapped(images):
        readers = options.threading.private_threadpool_size = _READERS

    def gather(indices: tf.data.Dataset) -> tf.data.Dataset:
        is_sharded = not isinstance(indices.element_spec[0], tf.TensorSpec)
        gathered = indices.map(take_shards if is_sharded else take, num_parallel_calls=readers)
        if in_groups:
            gathered = gathered.unbatch()
        return without_tuner(gathered.prefetch(2).with_options(options))

    return gather


def _getter(tensor: tf.Tensor) -> Callable[[], tf.Tensor]:
    """Return a function that gives a dataset's function access to `tensor` without a copy."""
    import tensorflow as tf

    # A constant would be serialized with the function's graph, which is limited to 2 GB. A captured tensor is copied
    # whenever the graph is rewritten, by each iterator and by strategies. A variable is not.
    if tf.distribute.has_strategy():  # in its scope, each device would get a variable
        return lambda: tensor
    return tf.Variable(tensor, trainable=False).value


def _tensor(images: np.ndarray) -> tf.Tensor:
    import tensorflow as tf

    if images.nbytes <= MAX_COPIED and not storage.is_mapped(images):
        return tf.constant(images)
    tf.config.list_logical_devices()  # the first operation of a process would copy
    # tf.constant copies, but an operation uses a contiguous input array in place if it begins at a multiple of 64
    # bytes. Pages of a mapped file are then read when they are gathered, by TensorFlow's threads, without Python.
    return tf.raw_ops.Identity(input=images)


def _check_arrays(images: np.ndarray, labels: np.ndarray | None) -> None:
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        received = f"{images.dtype} {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise must_be("images", "a uint8 array of shape (N, H, W, C), N at least 1", received)
    if labels is not None and (np.shape(labels) != (len(images),) or np.asarray(labels).dtype.kind not in "iu"):
        received = f"{np.asarray(labels).dtype} of shape {np.shape(labels)}"
        raise must_be("labels", f"{len(images)} integers, one for each image", received)
    if labels is not None and np.min(labels) < 0:
        raise must_be("labels", "integers of at least 0", int(np.min(labels)))
