"""How replicas divide the batches of an epoch: each image goes to one of them, once, whatever the batch's size."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import tensorflow as tf
from keras.src.trainers.data_adapters.tf_dataset_adapter import TFDatasetAdapter  # of Keras 3.15: not in its public API


_thread_state = threading.local()  # a strategy traces each replica's step in a thread of its own


class Shard(NamedTuple):
    """Which examples of a global batch a replica has: those from `first` on, of `total` (int32 scalars).

    The first `counted` of a batch are its own. Others are there so that no replica is without any, and count for
    nothing.
    """

    first: tf.Tensor
    total: tf.Tensor
    counted: tf.Tensor

    def strided(self, index: int, step: int) -> Shard:
        """The share of the batch of every `step`-th example from `index` on, where shares begin at multiples of it.

        A global batch of fewer examples than `step` gives one of them.
        """
        counted = tf.maximum(self.counted, step)
        return Shard(self.first // step, *((count - index + step - 1) // step for count in (self.total, counted)))

    def times(self, factor: int) -> Shard:
        """The share of a batch with `factor` examples for each."""
        return Shard(*(factor * number for number in self))

    def weights(self, count: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """1 for each of this replica's `count` examples that counts, else 0."""
        return tf.cast(self.first + tf.range(count) < self.counted, dtype)


class ShardedBatch(NamedTuple):
    """What a replica gets of a batch: a part of each of its tensors, and which."""

    parts: tuple[tf.Tensor, ...]
    share: Shard


class ShardedDataset(TFDatasetAdapter, tf.distribute.DistributedDataset):
    """Batches that a strategy's replicas share: each element is a tuple of a `ShardedBatch` for each replica here.

    Keras hands the whole of an element to every replica's step, which takes its own (`replica_part`). It leaves the data
    as they are because they are an adapter of its own kind, of what is distributed already.

    TensorFlow's own distributed datasets have an iterator for each device, whose functions it traces anew in each pass
    (0.2 s for four devices), and which has a tuner that can't be turned off (see `iterators`).

    Args:
        dataset: of such elements.
    """

    def get_tf_dataset(self) -> ShardedDataset:
        """What Keras iterates over."""
        return self

    def __iter__(self) -> Iterator[tuple[ShardedBatch, ...]]:
        return iter(self._dataset)

    @property
    def element_spec(self) -> tuple[ShardedBatch, ...]:
        """Of the tensors of an element."""
        return self._dataset.element_spec


@contextlib.contextmanager
def use_shard(share: Shard | None) -> Iterator[None]:
    """While a replica's step is traced: the share that noise is drawn for, and that means are taken over."""
    before = current_shard()
    _thread_state.share = share
    try:
        yield
    finally:
        _thread_state.share = before


def current_shard() -> Shard | None:
    """The share in use, if one is."""
    return getattr(_thread_state, "share", None)


def shard_of_batch(count: int | tf.Tensor) -> Shard | None:
    """The share in use; without one, that of `count` examples if all replicas have as many; None on one device."""
    context = tf.distribute.get_replica_context()
    replicas = 1 if context is None else context.num_replicas_in_sync
    if replicas == 1:
        return None
    if share := current_shard():
        return share
    total = tf.convert_to_tensor(count * replicas)
    return Shard(context.replica_id_in_sync_group * count, total, total)


def replica_part(data: object) -> ShardedBatch | None:
    """In a replica's step: its own of an element of `ShardedDataset`; None for anything else."""
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
    """Divide each batch among a strategy's replicas, as evenly as can be, in their order.

    Of a batch of n examples, replica r of N has those from ⌊r ⌊n/m⌋ / N⌋ m on, m being `multiple_of`, and the last
    replica also the n mod m that are over. So every example is one replica's, a last, smaller batch's too. Where n is
    less than N m each has m, and the batch begins anew with those that don't count. (A replica without examples would
    need networks that can take none, which TensorFlow's convolutions on a CPU, 2.21 at least, can't.)

    TensorFlow's own division knows no such weights, and may have several workers look at the same examples.

    Args:
        strategy: of two replicas or more.
        batches: of tuples of tensors, examples first. Several workers each divide their own: it must give all of them
            the same, so that what shuffles in it needs a seed.
        multiple_of: where shares begin.
        then: what is to be made of the dataset of a worker's tuples of `ShardedBatch`; by default it is prefetched,
            without a tuner.
    """
    replicas, here = strategy.num_replicas_in_sync, len(strategy.extended.worker_devices)
    first = here * strategy.cluster_resolver.task_id if replicas > here else 0

    def shards_of(*batch: tf.Tensor) -> tuple[ShardedBatch, ...]:
        counted = tf.shape(batch[0], tf.int32)[0]
        total = tf.maximum(counted, replicas * multiple_of)
        begins = [multiple_of * (replica * (total // multiple_of) // replicas) for replica in range(replicas)]
        bounds = [*begins, total][first : first + here + 1]

        def shard_between(begin, end):
            indices = tf.range(begin, end) % counted
            return ShardedBatch(tuple(tf.gather(part, indices) for part in batch), Shard(begin, total, counted))

        return tuple(itertools.starmap(shard_between, itertools.pairwise(bounds)))

    mine = batches.map(shards_of)
    return ShardedDataset(without_tuner(mine.prefetch(1)) if then is None else then(mine))


def without_tuner(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset, of which TensorFlow is not to tune degrees of parallelism and sizes of buffers on the way.

    The tuner's thread sleeps for 10, 20, 40 … ms, up to a minute, and who lets go of an iterator waits for it: at the
    end of each validation, say. It is to be woken then, but (in TensorFlow 2.21 at least) can miss that.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
