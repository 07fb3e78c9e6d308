"""Means and random numbers of the global batch: N replicas together compute what one device would."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import tensorflow as tf

from keras_gen.distribution import sharding


def scaled_loss(values: tf.Tensor) -> tf.Tensor:
    """Return this replica's share of the mean of `values` over the examples of all replicas.

    Gradients of a custom train step are summed over replicas, so each replica must contribute the sum of its values
    divided by the number of examples of the global batch.

    Args:
        values: float tensor `(n,)`, one value for each example of this replica.
    """
    shard = sharding.shard_of_batch(tf.shape(values)[0])
    return tf.reduce_mean(values) if shard is None else _part_of_mean(values, shard)


def global_mean(values: tf.Tensor) -> tf.Tensor:
    """Return the mean over the examples of all replicas, `(n, …)` to `(…)`, as a constant without gradient."""
    values = tf.stop_gradient(values)
    shard = sharding.shard_of_batch(tf.shape(values)[0])
    if shard is None:
        return tf.reduce_mean(values, axis=0)
    part = _part_of_mean(values, shard)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, part)


def _part_of_mean(values, shard):
    weights = shard.weights(tf.shape(values)[0], values.dtype)
    return tf.einsum("n,n...->...", weights, values) / tf.cast(shard.counted, values.dtype)


def normal(shape: tuple[int | tf.Tensor, ...], seed: tf.Tensor) -> tf.Tensor:
    """Return standard normal float32 noise. The noise of all replicas, concatenated, is that of one device.

    Args:
        shape: tuple, shape of this replica's noise, examples first.
        seed: two integers, the same on every replica.
    """
    return _part_of_global_batch(tf.random.stateless_normal, shape, seed)


def uniform(shape: tuple[int | tf.Tensor, ...], seed: tf.Tensor) -> tf.Tensor:
    """Return uniform float32 noise in [0, 1), otherwise as `normal`."""
    return _part_of_global_batch(tf.random.stateless_uniform, shape, seed)


def _part_of_global_batch(
    draw: Callable[..., tf.Tensor], shape: tuple[int | tf.Tensor, ...], seed: tf.Tensor
) -> tf.Tensor:
    """Call `draw(shape, seed, alg)` for the global batch, and return the part of this replica's examples."""
    # A named algorithm, since the default may differ between devices.
    shard = sharding.shard_of_batch(shape[0])
    if shard is None:
        return draw(shape, seed, alg="philox")
    count, rest = shape[0], shape[1:]
    return draw((shard.total, *rest), seed, alg="philox")[shard.first : shard.first + count]


def dropout(
    inputs: tf.Tensor, rate: float, seed: tf.Tensor, noise_shape: Sequence[int | None] | None = None
) -> tf.Tensor:
    """Set a fraction `rate` of `inputs` to 0, and divide the others by 1 − rate.

    The masks of all replicas, concatenated, are the mask of one device.

    Args:
        inputs: float tensor, examples first.
        rate: float, from 0 to below 1.
        seed: as in `normal`.
        noise_shape: shape of the mask, where None is the length of `inputs` along that axis. Defaults to the shape of
            `inputs`.
    """

    def mask(shape, seed, alg):
        return tf.nn.experimental.stateless_dropout(tf.ones(shape, inputs.dtype), rate, seed, rng_alg=alg)

    shape = tf.unstack(tf.shape(inputs))
    if noise_shape is None:
        return inputs * _part_of_global_batch(mask, shape, seed)
    mask_shape = [own if given is None else given for own, given in zip(shape, noise_shape, strict=True)]
    if noise_shape[0] is not None:  # one mask for all examples
        return inputs * mask(mask_shape, seed, "philox")
    return inputs * _part_of_global_batch(mask, mask_shape, seed)
