"""From arrays to batches: the order of epoch e is a function of (seed, e) alone, so a resumed run sees the same one."""

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
"""Images in a batch of validation and evaluation."""

MAX_COPIED = 2**28
"""Bytes of images, at most, that a dataset has a copy of."""

READERS = 8
"""Batches that are gathered at a time from a mapped file: it takes several readers to keep a disk busy."""


@dataclass(frozen=True)
class Batches:
    """Batches of epoch after epoch, without end.

    Args:
        dataset: elements `images` uint8 `(B, H, W, C)`, or `(images, labels)` with labels int64 `(B,)`; with a
            strategy of several replicas `shares.ShardedDataset`, for `fit` of keras_gen's models.
        steps_per_epoch: how many of them make one epoch.
    """

    dataset: tf.data.Dataset | tf.distribute.DistributedDataset
    steps_per_epoch: int


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
    multiple_of: int = 1,
) -> Batches:
    """Batches to train on, shuffled anew each epoch.

    Every image comes exactly once an epoch, unless `drop_remainder` leaves some out. The order of an epoch depends
    on `seed` and on the epoch's number, on nothing that happened before it: what starts at epoch 3 equals what
    comes to epoch 3. The images stay as they are, uint8, and a batch is gathered in one piece. More than `MAX_COPIED`
    bytes of them, and those in a `numpy.memmap`, are used where they lie, if TensorFlow can: change nothing there while
    the dataset is in use.

    Args:
        images: uint8, shape `(N, H, W, C)`, N at least 1.
        labels: integers, shape `(N,)`, or `None`.
        batch_size: images in a batch, over all replicas together.
        seed: 0 to 2**31 - 1.
        initial_epoch: number of the first epoch, as in `fit`.
        initial_step: batches of the first epoch to leave out, since they were seen before.
        shuffle: whether to shuffle; if not, every epoch is in the order of `images`.
        drop_remainder: leave out the last, smaller batch of an epoch (other images each epoch).
        strategy: under which to train. If it has several replicas, each gets its share of every batch, and a worker
            reads only the images of its own replicas; all of them must have the same arrays. `fit` also shares batches
            that are not shared yet, but then each worker reads all of them.
        multiple_of: where the shares of several replicas begin, as in `shares.share`: where a train step makes several
            updates, each on every so many-th image of its batch. (`fit` makes such steps of batches by itself, and
            takes none that are shared already.)

    Raises:
        UsageError: an argument is wrong, or `drop_remainder` would leave no batch.

    Example:
        >>> train = batches(data.train.images, batch_size=64, seed=0)
        >>> options = {"steps_per_epoch": train.steps_per_epoch, "shuffle": False, "verbose": 0}
        >>> history = model.fit(train.dataset, epochs=10, **options)
    """
    _check_arrays(images, labels)
    batch_size = checks.positive_int("batch_size", batch_size)
    seed = checks.seed("seed", seed)
    initial_epoch = checks.non_negative_int("initial_epoch", initial_epoch)
    initial_step = checks.non_negative_int("initial_step", initial_step)
    count = len(images)
    if drop_remainder and count < batch_size:
        raise must_be("batch_size", f"at most {count}, the number of images, with drop_remainder", batch_size)
    import tensorflow as tf

    def epoch_batches(epoch: tf.Tensor) -> tf.data.Dataset:
        order = tf.range(count, dtype=tf.int64)
        if shuffle:
            # A named algorithm, since the default may choose another one on another device.
            order = tf.random.experimental.stateless_shuffle(order, [seed, epoch], alg="philox")
        return tf.data.Dataset.from_tensor_slices(order).batch(batch_size, drop_remainder=drop_remainder)

    epochs = tf.data.Dataset.range(initial_epoch, np.iinfo(np.int64).max)
    indices = epochs.flat_map(epoch_batches).skip(initial_step)
    indices = indices.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    steps = count // batch_size if drop_remainder else -(-count // batch_size)
    always_full = drop_remainder or count % batch_size == 0
    if shuffle:
        storage.read_in_any_order(images)
    if strategy is None or strategy.num_replicas_in_sync == 1:
        return Batches(_gatherer(images, labels, batch_size if always_full else None)(indices), steps)
    from keras_gen.distribution import sharding

    gather = _gatherer(images, labels, None)
    indices = indices.map(lambda index: (index,))
    return Batches(sharding.shard(strategy, indices, multiple_of=multiple_of, then=gather), steps)


def evaluation_batches(
    images: np.ndarray, labels: np.ndarray | None = None, *, batch_size: int = EVALUATION_BATCH_SIZE
) -> tf.data.Dataset:
    """Every image once, in order; the last batch may be smaller.

    Args:
        images: uint8, shape `(N, H, W, C)`, N at least 1.
        labels: integers, shape `(N,)`, or `None`.
        batch_size: images in a batch, over all replicas together; 256 by default. It is part of what is computed, since
            each batch has noise of its own.

    Returns:
        A finite `tf.data.Dataset` of `images`, or `(images, labels)`, as in `Batches`.

    Raises:
        UsageError: an argument is wrong.

    Example:
        >>> results = model.evaluate(evaluation_batches(data.test.images, batch_size=256), verbose=0)
    """
    _check_arrays(images, labels)
    batch_size = checks.positive_int("batch_size", batch_size)
    import tensorflow as tf

    indices = tf.data.Dataset.range(len(images)).batch(batch_size)
    return _gatherer(images, labels, batch_size if len(images) % batch_size == 0 else None)(indices)


def _gatherer(
    images: np.ndarray, labels: np.ndarray | None, static_batch: int | None
) -> Callable[[tf.data.Dataset], tf.data.Dataset]:
    """What makes images of batches of indices or shares of them; `static_batch` is their size if it never varies."""
    import tensorflow as tf

    from keras_gen.distribution.sharding import without_tuner

    # In main memory, where tf.data works.
    with tf.device("CPU:0"):
        all_images = _held(_tensor(images))
        label_tensor = None if labels is None else tf.constant(labels, tf.int64)

    def take(index: tf.Tensor):
        index = tf.ensure_shape(index, (static_batch,))
        batch = tf.gather(all_images(), index)
        return batch if label_tensor is None else (batch, tf.gather(label_tensor, index))

    def take_shares(*shared: sharding.ShardedBatch):
        taken = [take(*each.parts) for each in shared]
        parts = [each if isinstance(each, tuple) else (each,) for each in taken]
        return tuple(each._replace(parts=part) for each, part in zip(shared, parts, strict=True))

    options = tf.data.Options()
    options.deterministic = True
    # Who has a strategy distribute the dataset in a loop of their own: it splits each batch over all replicas. By DATA
    # each worker then keeps its own pieces; the default policy, which finds no files to deal out here, and OFF let
    # every worker train on the same ones.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    readers = None
    if storage.is_mapped(images):
        readers = options.threading.private_threadpool_size = READERS

    def gather(indices: tf.data.Dataset) -> tf.data.Dataset:
        is_sharded = isinstance(indices.element_spec, tuple)
        gathered = indices.map(take_shares if is_sharded else take, num_parallel_calls=readers)
        return without_tuner(gathered.prefetch(2).with_options(options))  # there is nothing to tune

    return gather


def _held(tensor: tf.Tensor) -> Callable[[], tf.Tensor]:
    """What gives a function of a dataset that tensor.

    A constant of the function's graph would be in every serialized form of it, where 2 GB is the most there can be. A
    tensor that it captures is copied by whoever rewrites the graph: each iterator, to optimize it, and strategies, to
    share its elements. A variable is neither, and has no copy of its own.
    """
    import tensorflow as tf

    if tf.distribute.has_strategy():  # in its scope a variable is one of each device
        return lambda: tensor
    return tf.Variable(tensor, trainable=False).value


def _tensor(images: np.ndarray) -> tf.Tensor:
    import tensorflow as tf

    if images.nbytes <= MAX_COPIED and not storage.is_mapped(images):
        return tf.constant(images)
    tf.config.list_logical_devices()  # what is TensorFlow's first operation in a process does copy
    # tf.constant copies, so that nobody changes a tensor by changing the array. What an operation is given it takes as
    # it lies there, if that is in one piece from a multiple of 64 bytes on. Pages of a mapped file are read when they
    # are gathered, by TensorFlow's threads: Python has no part in it.
    return tf.raw_ops.Identity(input=images)


def _check_arrays(images: np.ndarray, labels: np.ndarray | None) -> None:
    shape = getattr(images, "shape", None)
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        received = f"{images.dtype} {shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise must_be("images", "a uint8 array of shape (N, H, W, C), N at least 1", received)
    if labels is not None and (np.shape(labels) != (len(images),) or np.asarray(labels).dtype.kind not in "iu"):
        raise must_be("labels", f"{len(images)} integers, one for each image", np.shape(labels))
