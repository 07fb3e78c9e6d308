"""Dropout that N replicas compute as one device does."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import tensorflow as tf

from keras_gen import distribution


@keras.saving.register_keras_serializable("keras_gen")
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout`; under a strategy, the replicas' masks joined are that of one device for the whole batch.

    Keras' own layer draws the same mask on every replica (Keras 3.15): examples of different replicas would be dropped
    out alike, and N replicas would not compute what one does.

    Example:
        >>> float(keras.ops.max(Dropout(0.5)(keras.ops.ones((2, 8)), training=True)))
        2.0
    """

    def call(self, inputs, training=False):
        """As `keras.layers.Dropout`."""
        context = tf.distribute.get_replica_context()
        alone = context is None or context.num_replicas_in_sync == 1
        if alone or not training or self.rate == 0:
            return super().call(inputs, training=training)
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        return distribution.dropout(inputs, self.rate, seed, self.noise_shape)
