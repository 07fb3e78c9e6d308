"""Means and noise of the global batch, which N replicas share as one device would have it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import tensorflow as tf

from keras_gen.distribution import sharding


def scaled_loss(values: tf.Tensor) -> tf.Tensor:
    """This replica's part of the mean of `values` over all replicas' examples.

    Gradients of a custom train step are summed over replicas, so each must contribute its sum divided by the number of
    all examples.
    """
    share = sharding.shard_of_batch(tf.shape(values)[0])
    return tf.reduce_mean(values) if share is None else _part_of_mean(values, share)


def global_mean(values: tf.Tensor) -> tf.Tensor:
    """Mean over all replicas' examples, `(n, …)` to `(…)`, as a constant that no gradient flows through."""
    values = tf.stop_gradient(values)
    share = sharding.shard_of_batch(tf.shape(values)[0])
    if share is None:
        return tf.reduce_mean(values, axis=0)
    mine = _part_of_mean(values, share)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, mine)


def _part_of_mean(values, share):
    weights = share.weights(tf.shape(values)[0], values.dtype)
    return tf.einsum("n,n...->...", weights, values) / tf.cast(share.counted, values.dtype)


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


def _part_of_global_batch(
    draw: Callable[..., tf.Tensor], shape: tuple[int | tf.Tensor, ...], seed: tf.Tensor
) -> tf.Tensor:
    """Of what `draw(shape, seed, alg)` gives for the whole batch, this replica's examples."""
    # A named algorithm, since the default may choose another one on another device.
    share = sharding.shard_of_batch(shape[0])
    if share is None:
        return draw(shape, seed, alg="philox")
    count, rest = shape[0], shape[1:]
    return draw((share.total, *rest), seed, alg="philox")[share.first : share.first + count]


def dropout(
    inputs: tf.Tensor, rate: float, seed: tf.Tensor, noise_shape: Sequence[int | None] | None = None
) -> tf.Tensor:
    """`inputs`, examples first, with a share `rate` of them set to 0, and the others divided by 1 − rate.

    The replicas' masks joined are what one device would draw for the whole batch.

    Args:
        inputs: floats.
        rate: from 0 to below 1.
        seed: as of `normal`.
        noise_shape: of the mask, by default that of `inputs`; None in it is the length there.
    """

    def mask(shape, seed, alg):
        return tf.nn.experimental.stateless_dropout(tf.ones(shape, inputs.dtype), rate, seed, rng_alg=alg)

    shape = tf.unstack(tf.shape(inputs))
    if noise_shape is None:
        return inputs * _part_of_global_batch(mask, shape, seed)
    chosen = [own if given is None else given for own, given in zip(shape, noise_shape, strict=True)]
    is_of_all = noise_shape[0] is not None  # one mask for all examples
    return inputs * (mask(chosen, seed, "philox") if is_of_all else _part_of_global_batch(mask, chosen, seed))
