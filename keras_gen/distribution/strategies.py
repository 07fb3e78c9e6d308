"""Devices: which tf.distribute strategy to train under, and what N replicas must do to equal one device."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from keras_gen.distribution.cluster import VARIABLE, Cluster, from_environment
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be


def strategy(name: str = "auto", cluster: Cluster | None = None) -> tf.distribute.Strategy:
    """The strategy to build, compile and fit a model under: `with strategy("auto").scope(): …`.

    Args:
        name: `none` is TensorFlow's default, one device. `mirrored` is a `MirroredStrategy` over all GPUs, or over
            all logical CPU devices where there is no GPU. `multiworker` is a `MultiWorkerMirroredStrategy` over the
            devices of all processes of the cluster; TensorFlow wants it made before anything else of it is used.
            `auto` is `multiworker` with a cluster, else `mirrored` with two or more GPUs, else `none`.
        cluster: of `multiworker`; by default what `TF_CONFIG` tells of.

    Raises:
        UsageError: another name, devices that TensorFlow can't set up, or a cluster that is missing or not wanted.

    Example:
        >>> strategy("none").num_replicas_in_sync
        1
    """
    checks.one_of("strategy", name, checks.STRATEGIES)
    let_memory_grow()
    cluster = cluster_of(name, cluster)
    if cluster is not None:
        return _multi_worker(cluster)
    gpus = tf.config.list_logical_devices("GPU")
    if name == "none" or (name == "auto" and len(gpus) < 2):
        return tf.distribute.get_strategy()
    devices = [device.name for device in gpus or tf.config.list_logical_devices("CPU")]
    # Named, because the default (collective ops) fails with two optimizers in one train step: on TensorFlow 2.21 one
    # replica offers the discriminator's gradients where the other offers the generator's ("Shape mismatch").
    reduction = tf.distribute.NcclAllReduce() if gpus else tf.distribute.ReductionToOneDevice()
    try:
        return tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction)
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"strategy mirrored can't be set up on {', '.join(devices)}: {error}") from error


def cluster_of(name: str, cluster: Cluster | None = None) -> Cluster | None:
    """The cluster that a strategy of that name would be of: the one given, else that of `TF_CONFIG`, else None.

    Raises:
        UsageError: `multiworker` without a cluster, or `none` or `mirrored` with one given.
    """
    can_have_one = name in ("auto", "multiworker")
    if cluster is not None and not can_have_one:
        raise must_be("strategy", "auto or multiworker with a cluster of workers", name)
    if cluster is None and can_have_one:
        cluster = from_environment()
    if cluster is None and name == "multiworker":
        raise UsageError(f"strategy multiworker needs a cluster: {VARIABLE}, or --workers and --worker-index")
    return cluster


def let_memory_grow() -> None:
    """Have TensorFlow take a GPU's memory as it needs it, not all at once; where it runs already, nothing."""
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError, ValueError):  # the latter of one that is divided into several
            tf.config.experimental.set_memory_growth(gpu, True)


def _multi_worker(cluster: Cluster) -> tf.distribute.Strategy:
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.workers)}),
        task_type="worker",
        task_id=cluster.index,
        # Of a resolver that is not TF_CONFIG's own, TensorFlow takes it from here alone. Every worker has as many.
        num_accelerators={"GPU": len(tf.config.get_visible_devices("GPU"))},
        rpc_layer="grpc",
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except RuntimeError as error:
        raise UsageError(
            f"strategy multiworker can't be set up: {error}; it must be made before TensorFlow computes anything"
        ) from error


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Whether other processes take part, which must do whatever needs all of them in the same order."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one that writes and draws: the first worker, or the only process there is."""
    return not is_multi_worker(strategy) or strategy.cluster_resolver.task_id == 0


def value(variable: keras.Variable) -> np.ndarray:
    """A variable's value. With several workers all of them must ask for it, in the same order."""
    # A tensor first: what several workers hold together has no array by itself.
    return np.asarray(tf.convert_to_tensor(variable.value))


def sum_over_workers(strategy: tf.distribute.Strategy, values: Sequence[float]) -> np.ndarray:
    """Sums of several workers' values, float32 of the same length, which all of them must ask for. Not in a step."""
    devices = len(strategy.extended.worker_devices)  # of a worker: the first of them speaks for it

    def said_by(context):
        return tf.constant(values, tf.float32) * float(context.replica_id_in_sync_group % devices == 0)

    said = strategy.experimental_distribute_values_from_function(said_by)
    return strategy.reduce(tf.distribute.ReduceOp.SUM, said, axis=None).numpy()


def is_same_on_all_workers(strategy: tf.distribute.Strategy, content: bytes) -> bool:
    """Whether all workers of a cluster, all of which must ask, do it with the same bytes. They get the same answer."""
    # Of numbers that are all the same, and only of these, n times the sum of squares is the square of the sum; those of
    # a byte are exact in float32.
    numbers = [float(byte) for byte in hashlib.sha256(content).digest()]
    workers, *sums = sum_over_workers(strategy, [1.0, *numbers, *(number**2 for number in numbers)])
    of_numbers, of_squares = np.split(np.array(sums, np.float64), 2)
    return bool(np.array_equal(of_numbers**2, workers * of_squares))
