"""Divide batches among replicas: each example belongs to exactly one replica, for every batch size."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import tensorflow as tf

from keras_gen.utils.keras_internals import TFDatasetAdapter
from keras_gen.utils.tf_data import without_autograph, without_tuner

_thread_state = threading.local()  # a strategy traces each replica's step in a thread of its own


class Shard(NamedTuple):
    """Position of a replica's examples in the global batch of `total` examples (int32 scalars).

    The replica's examples start at `first`. Only the first `counted` examples of the global batch are real. The rest
    pad it so that no replica is empty; their weight is 0.
    """

    first: tf.Tensor
    total: tf.Tensor
    counted: tf.Tensor

    def strided(self, index: int, step: int) -> Shard:
        """Return the shard of the batch of every `step`-th example from `index` on; `first` is a multiple of `step`.

        A global batch of fewer examples than `step` gives one example.
        """
        counted = tf.maximum(self.counted, step)
        return Shard(self.first // step, *((count - index + step - 1) // step for count in (self.total, counted)))

    def times(self, factor: int) -> Shard:
        """Return the shard of a batch in which each example is replaced by `factor` examples."""
        return Shard(*(factor * number for number in self))

    def weights(self, count: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """Return the weights of this replica's `count` examples: 1 for real ones, 0 for padding."""
        return tf.cast(self.first + tf.range(count) < self.counted, dtype)


class ShardedBatch(NamedTuple):
    """One replica's part of each tensor of a batch, and its position in the batch."""

    parts: tuple[tf.Tensor, ...]
    shard: Shard


class ShardedDataset(TFDatasetAdapter, tf.distribute.DistributedDataset):
    """Dataset whose elements are tuples with one `ShardedBatch` for each replica of this process.

    Keras passes a whole element to every replica's step, which selects its own part with `replica_part`. Being a data
    adapter and a `DistributedDataset`, it is neither wrapped nor distributed again by Keras.

    TensorFlow's own distributed datasets have an iterator for each device, whose functions are traced again in each
    pass (0.2 s for four devices), and autotuning that can't be turned off (see `without_tuner`).

    Args:
        dataset: tf.data.Dataset of such elements.
    """

    def get_tf_dataset(self) -> ShardedDataset:
        """Return the object that Keras iterates over."""
        return self

    def __iter__(self) -> Iterator[tuple[ShardedBatch, ...]]:
        return iter(self._dataset)

    @property
    def element_spec(self) -> tuple[ShardedBatch, ...]:
        """The `tf.TensorSpec`s of an element."""
        return self._dataset.element_spec


@contextlib.contextmanager
def use_shard(shard: Shard | None) -> Iterator[None]:
    """Set the shard for which noise is drawn and means are computed while a replica's step is traced."""
    before = current_shard()
    _thread_state.shard = shard
    try:
        yield
    finally:
        _thread_state.shard = before


def current_shard() -> Shard | None:
    """Return the shard set by `use_shard`, or None."""
    return getattr(_thread_state, "shard", None)


def shard_of_batch(count: int | tf.Tensor) -> Shard | None:
    """Return the current shard, else that of equal shards of `count` examples; None on one device."""
    context = tf.distribute.get_replica_context()
    replicas = 1 if context is None else context.num_replicas_in_sync
    if replicas == 1:
        return None
    if current := current_shard():
        return current
    total = tf.convert_to_tensor(count * replicas)
    return Shard(context.replica_id_in_sync_group * count, total, total)


def replica_part(data: object) -> ShardedBatch | None:
    """Return, in a replica's step, its part of an element of a `ShardedDataset`; None for any other data."""
    if not isinstance(data, tuple) or not isinstance(data[0], ShardedBatch):
        return None
    replica = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)
    return data[replica % len(data)]


def shard(
    strategy: tf.distribute.Strategy,
    batches: tf.data.Dataset,
    *,
    multiple_of: int = 1,
    then: Callable[[tf.data.Dataset], tf.data.Dataset] | None = None,
) -> ShardedDataset:
    """Divide each batch among a strategy's replicas, as evenly as possible, in order.

    In a batch of n examples, with m = `multiple_of`, the examples of replica r of N start at ⌊r ⌊n/m⌋ / N⌋ m, and the
    last replica also gets the remaining n mod m. So every example belongs to one replica, also in a last, smaller
    batch. If n < N m, each replica gets m examples: the batch is repeated, and repetitions have weight 0. (A replica
    without examples would need networks that accept empty batches, which TensorFlow's convolutions on a CPU, 2.21 at
    least, don't.)

    TensorFlow's own division has no such weights, and may give the same examples to several workers.

    Args:
        strategy: tf.distribute.Strategy with two replicas or more.
        batches: tf.data.Dataset of tuples of tensors, examples first. Each worker divides its own dataset, which must
            be the same on all of them: shuffling needs a seed.
        multiple_of: int, shards start at multiples of it. Defaults to 1.
        then: function applied to the dataset of tuples of `ShardedBatch`. By default it is prefetched, without
            autotuning.
    """
    replicas, here = strategy.num_replicas_in_sync, len(strategy.extended.worker_devices)
    first = here * strategy.cluster_resolver.task_id if replicas > here else 0

    @without_autograph
    def shards_of(*batch: tf.Tensor) -> tuple[ShardedBatch, ...]:
        counted = tf.shape(batch[0], tf.int32)[0]
        total = tf.maximum(counted, replicas * multiple_of)
        starts = [multiple_of * (replica * (total // multiple_of) // replicas) for replica in range(replicas)]
        bounds = [*starts, total][first : first + here + 1]

        def shard_between(start, end):
            indices = tf.range(start, end) % counted
            return ShardedBatch(tuple(tf.gather(part, indices) for part in batch), Shard(start, total, counted))

        return tuple(itertools.starmap(shard_between, itertools.pairwise(bounds)))

    shards = batches.map(shards_of)
    return ShardedDataset(without_tuner(shards.prefetch(1)) if then is None else then(shards))
