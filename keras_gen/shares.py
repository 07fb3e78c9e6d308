"""How replicas divide the batches of an epoch: each image goes to one of them, once, whatever the batch's size."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import tensorflow as tf

_of_thread = threading.local()  # a strategy traces each replica's step in a thread of its own


class Share(NamedTuple):
    """Which examples of a global batch a replica has: those from `first` on, of `total` (int32 scalars).

    The first `counted` of a batch are its own. Others are there so that no replica is without any, and count for
    nothing.
    """

    first: tf.Tensor
    total: tf.Tensor
    counted: tf.Tensor

    def strided(self, index: int, step: int) -> Share:
        """The share of the batch of every `step`-th example from `index` on, where shares begin at multiples of it.

        A global batch of fewer examples than `step` gives one of them.
        """
        counted = tf.maximum(self.counted, step)
        return Share(self.first // step, *((count - index + step - 1) // step for count in (self.total, counted)))

    def times(self, factor: int) -> Share:
        """The share of a batch with `factor` examples for each."""
        return Share(*(factor * number for number in self))

    def weights(self, count: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        """1 for each of this replica's `count` examples that counts, else 0."""
        return tf.cast(self.first + tf.range(count) < self.counted, dtype)


class SharedBatch(NamedTuple):
    """What a replica gets of a batch: a part of each of its tensors, and which."""

    parts: tuple[tf.Tensor, ...]
    share: Share


class SharedBatches(NamedTuple):
    """Batches that a strategy's replicas share.

    Args:
        dataset: of `SharedBatch`, one for each replica at a time.
        steps: batches of one pass, where they begin anew after it; None where they end, or never do.
    """

    dataset: tf.distribute.DistributedDataset
    steps: int | None


@contextlib.contextmanager
def in_use(share: Share | None) -> Iterator[None]:
    """While a replica's step is traced: the share that noise is drawn for, and that means are taken over."""
    before = current()
    _of_thread.share = share
    try:
        yield
    finally:
        _of_thread.share = before


def current() -> Share | None:
    """The share in use, if one is."""
    return getattr(_of_thread, "share", None)


def of_batch(count: int | tf.Tensor) -> Share | None:
    """The share in use; without one, that of `count` examples if all replicas have as many; None on one device."""
    context = tf.distribute.get_replica_context()
    replicas = 1 if context is None else context.num_replicas_in_sync
    if replicas == 1:
        return None
    if share := current():
        return share
    total = tf.convert_to_tensor(count * replicas)
    return Share(context.replica_id_in_sync_group * count, total, total)


def share(
    strategy: tf.distribute.Strategy,
    batches: tf.data.Dataset,
    *,
    multiple_of: int = 1,
    endless: bool = False,
    then: Callable[[tf.data.Dataset], tf.data.Dataset] | None = None,
) -> SharedBatches:
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
        endless: whether to begin anew after the last batch, if how many there are is known. TensorFlow then asks all
            workers before each batch whether they have one no more; but a call that makes several steps does not end
            with the last batch.
        then: what is to be made of the dataset of a worker's `SharedBatch` elements, before they leave main memory.
    """
    replicas = strategy.num_replicas_in_sync
    cardinality = int(batches.cardinality())
    steps = cardinality if endless and cardinality >= 0 else None
    if steps is not None:
        batches = batches.repeat()

    def of_worker(context: tf.distribute.InputContext) -> tf.data.Dataset:
        here = replicas // context.num_input_pipelines
        first = here * context.input_pipeline_id

        def parts_of(*batch: tf.Tensor) -> tf.data.Dataset:
            counted = tf.shape(batch[0], tf.int32)[0]
            total = tf.maximum(counted, replicas * multiple_of)

            def begin(replica):
                cut = multiple_of * (replica * (total // multiple_of) // replicas)
                return tf.where(replica == replicas, total, cut)

            def part_of(replica):
                chosen = tf.range(begin(replica), begin(replica + 1))
                parts = tuple(tf.gather(tensor, chosen % counted) for tensor in batch)
                return SharedBatch(parts, Share(chosen[0], total, counted))

            return tf.data.Dataset.from_tensor_slices(tf.range(first, first + here)).map(part_of)

        mine = batches.flat_map(parts_of)
        if steps is not None or cardinality == tf.data.INFINITE_CARDINALITY:
            mine = mine.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        return mine if then is None else then(mine)

    return SharedBatches(strategy.distribute_datasets_from_function(of_worker), steps)
