"""Devices: which tf.distribute strategy to train under, and what N replicas must do to equal one device."""

from __future__ import annotations

import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import tensorflow as tf

from keras_gen import checks
from keras_gen.errors import UsageError


def strategy(name: str = "auto") -> tf.distribute.Strategy:
    """The strategy to build, compile and fit a model under: `with strategy("auto").scope(): …`.

    Args:
        name: `none` is TensorFlow's default, one device. `mirrored` is a `MirroredStrategy` over all GPUs, or over
            all logical CPU devices where there is no GPU. `auto` is `mirrored` with two or more GPUs, else `none`.

    Raises:
        UsageError: another name, or devices that TensorFlow can't set up.

    Example:
        >>> strategy("none").num_replicas_in_sync
        1
    """
    checks.one_of("strategy", name, checks.STRATEGIES)
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


def mean_over_global_batch(values: tf.Tensor) -> tf.Tensor:
    """This replica's part of the mean of `values` over all replicas' examples.

    Gradients of a custom train step are summed over replicas, so each must contribute its mean divided by their number
    (replicas have equally many examples).
    """
    return tf.reduce_mean(values) / tf.distribute.get_strategy().num_replicas_in_sync


def mean_of_global_batch(values: tf.Tensor) -> tf.Tensor:
    """Mean over all replicas' examples, `(n, …)` to `(…)`, as a constant that no gradient flows through."""
    mean = tf.stop_gradient(tf.reduce_mean(values, axis=0))
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return mean
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, mean)


def normal(shape: tuple[int | tf.Tensor, ...], seed: tf.Tensor) -> tf.Tensor:
    """Standard normal float32 noise; the replicas' draws joined are what one device would draw for the whole batch.

    Args:
        shape: this replica's shape, examples first.
        seed: two integers; the same on every replica.
    """
    return _part_of_global_batch(tf.random.stateless_normal, shape, seed)


def uniform(shape: tuple[int | tf.Tensor, ...], seed: tf.Tensor) -> tf.Tensor:
    """Uniform float32 noise in [0, 1), otherwise as `normal`."""
    return _part_of_global_batch(tf.random.stateless_uniform, shape, seed)


def _part_of_global_batch(draw, shape, seed):
    # A named algorithm, since the default may choose another one on another device.
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return draw(shape, seed, alg="philox")
    count, rest = shape[0], shape[1:]
    everyones = draw((count * context.num_replicas_in_sync, *rest), seed, alg="philox")
    first = context.replica_id_in_sync_group * count
    return everyones[first : first + count]
