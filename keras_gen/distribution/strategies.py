"""Create tf.distribute strategies, and communicate between the workers of a cluster."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from keras_gen.distribution.cluster import VARIABLE, Cluster, from_environment, wait_for_workers
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be


def strategy(name: str = "auto", cluster: Cluster | None = None) -> tf.distribute.Strategy:
    """Return the strategy to build, compile and fit a model under: `with strategy("auto").scope(): …`.

    Args:
        name: str. `none` is TensorFlow's default strategy, on one device. `mirrored` is a `MirroredStrategy` over all
            GPUs, or over all logical CPU devices if there is no GPU. `multiworker` is a `MultiWorkerMirroredStrategy`
            over the devices of all processes of the cluster, which this waits for; it must be created before TensorFlow
            is used otherwise.
            `auto`, the default, is `multiworker` with a cluster, else `mirrored` with two or more GPUs, else `none`.
        cluster: Cluster for `multiworker`. Defaults to the cluster described by `TF_CONFIG`.

    Raises:
        UsageError: the name is unknown, TensorFlow can't set up the devices, a cluster is missing or not allowed, or a
            worker can't be reached.

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
    # The default (collective ops) fails with two optimizers in one train step: on TensorFlow 2.21 one replica reduces
    # the discriminator's gradients while another reduces the generator's ("Shape mismatch").
    reduction = tf.distribute.NcclAllReduce() if gpus else tf.distribute.ReductionToOneDevice()
    try:
        return tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction)
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"strategy mirrored can't be set up on {', '.join(devices)}: {error}") from error


def cluster_of(name: str, cluster: Cluster | None = None) -> Cluster | None:
    """Return the cluster for a strategy name: `cluster`, else that of `TF_CONFIG`; None if the strategy has none.

    Args:
        name: str, as in `strategy`.
        cluster: Cluster, or None for that of `TF_CONFIG`.

    Raises:
        UsageError: `multiworker` without a cluster, or `none` or `mirrored` with one.
    """
    allows_cluster = name in ("auto", "multiworker")
    if cluster is not None and not allows_cluster:
        raise must_be("strategy", "auto or multiworker with a cluster of workers", name)
    if cluster is None and allows_cluster:
        cluster = from_environment()
    if cluster is None and name == "multiworker":
        raise UsageError(f"strategy multiworker needs a cluster: {VARIABLE}, or --workers and --worker-index")
    return cluster


def let_memory_grow() -> None:
    """Make TensorFlow allocate GPU memory on demand; no effect on GPUs that are already initialized."""
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError, ValueError):  # ValueError: a GPU with logical devices
            tf.config.experimental.set_memory_growth(gpu, True)


def _multi_worker(cluster: Cluster) -> tf.distribute.Strategy:
    wait_for_workers(cluster)
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.workers)}),
        task_type="worker",
        task_id=cluster.index,
        # TensorFlow reads the number of GPUs only from here, unless the resolver is TF_CONFIG's. It is the same on all
        # workers.
        num_accelerators={"GPU": len(tf.config.get_visible_devices("GPU"))},
        rpc_layer="grpc",
    )
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except RuntimeError as error:
        raise UsageError(
            f"strategy multiworker can't be set up: {error}; create it before TensorFlow computes anything"
        ) from error


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Return whether the strategy has several processes, which must call collective functions in the same order."""
    return isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process writes files: the first worker, or a single process."""
    return not is_multi_worker(strategy) or strategy.cluster_resolver.task_id == 0


def value(variable: keras.Variable) -> np.ndarray:
    """Return a variable's value. With several workers, all of them must call this, in the same order."""
    # Convert to a tensor first: a variable of several workers can't be converted to an array.
    return np.asarray(tf.convert_to_tensor(variable.value))


def sum_over_workers(strategy: tf.distribute.Strategy, values: Sequence[float]) -> np.ndarray:
    """Return the elementwise sums of all workers' values as float32. All workers must call this, outside of a step.

    Args:
        strategy: a multi-worker strategy.
        values: sequence of float, of the same length on all workers.
    """
    devices = len(strategy.extended.worker_devices)  # per worker: only its first device contributes

    def contribution(context):
        return tf.constant(values, tf.float32) * float(context.replica_id_in_sync_group % devices == 0)

    contributions = strategy.experimental_distribute_values_from_function(contribution)
    return strategy.reduce(tf.distribute.ReduceOp.SUM, contributions, axis=None).numpy()


def gather_from_workers(strategy: tf.distribute.Strategy, text: str) -> list[str]:
    """Return the texts of all workers, in their order. All workers must call this, outside of a step.

    Args:
        strategy: a multi-worker strategy.
        text: str, without `"\\0"`.
    """
    devices = len(strategy.extended.worker_devices)  # per worker: each sends the text
    content = tf.constant(list(f"{text}\0".encode()), tf.int32)  # TensorFlow does not gather uint8
    contents = strategy.experimental_distribute_values_from_function(lambda context: content)
    gathered = strategy.gather(contents, axis=0).numpy().astype(np.uint8).tobytes().decode()
    return gathered.split("\0")[:-1:devices]


def is_same_on_all_workers(strategy: tf.distribute.Strategy, content: bytes) -> bool:
    """Return whether `content` is equal on all workers. All workers must call this, and get the same answer."""
    return len(set(gather_from_workers(strategy, hashlib.sha256(content).hexdigest()))) == 1


def check_same_on_all_workers(strategy: tf.distribute.Strategy, values: Mapping[str, object]) -> None:
    """Check that the values are equal on all workers. All workers must call this; a single process passes.

    Args:
        strategy: a tf.distribute strategy.
        values: mapping from names to values that JSON can represent.

    Raises:
        UsageError: a value differs. All workers raise the same error, which names the value.
    """
    if not is_multi_worker(strategy):
        return
    chief, *others = map(json.loads, gather_from_workers(strategy, json.dumps(values)))
    for index, other in enumerate(others, start=1):
        for name in sorted(chief.keys() | other.keys()):
            if chief.get(name) != other.get(name):
                received = f"{chief.get(name)} on worker 0, {other.get(name)} on worker {index}"
                raise UsageError(f"{name} must be the same on all workers, received: {received}")
