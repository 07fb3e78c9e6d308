"""Layers of the networks: dropout alike on N replicas, and a convolution to few channels."""

from __future__ import annotations
import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
import tensorflow as tf
from keras import layers, ops
from keras_gen import distribution
from keras_gen.utils.errors import UsageError, must_be


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


_MOVEMENT = {"strides": 1, "padding": "same", "dilation_rate": 1, "groups": 1, "data_format": "channels_last"}


@keras.saving.register_keras_serializable("keras_gen")
class NarrowConv2D(layers.Conv2D):
    """`keras.layers.Conv2D` to an image's one or three channels, the same weights and results by another way.

    Processors convolve to 16 channels at a time, and most of that is wasted on one. Each of the kernel's `w` columns is
    therefore made a channel of its own of a convolution `h × 1`, whose results are shifted and added:

        out[y, x] = Σ_j column_j[y, x + j − (w − 1) / 2],  column_j = input ∗ kernel[:, j]

    Sums are in another order than `Conv2D`'s, so results differ by rounding. Weights have its shapes and names.

    Args:
        filters: channels of the result.
        kernel_size: odd, one for both sides or (height, width).
        **options: of `keras.layers.Conv2D`, but those that say how the kernel moves: it moves by 1, over an image
            padded with zeros to a result of its own size.

    Raises:
        UsageError: an even kernel size, or an option of the kernel's movement.

    Example:
        >>> NarrowConv2D(1, 7)(np.zeros((2, 28, 28, 128), "float32")).shape
        TensorShape([2, 28, 28, 1])
    """

    def __init__(self, filters, kernel_size, **options):
        for name in _MOVEMENT:
            if name in options:
                raise UsageError(f"NarrowConv2D takes no {name}: {_MOVEMENT[name]} is what it does")
        super().__init__(filters, kernel_size, **_MOVEMENT, **options)
        if any(size % 2 == 0 for size in self.kernel_size):
            raise must_be("kernel_size", "odd", kernel_size)

    def call(self, inputs):
        """`(n, height, width, channels)` to `(n, height, width, filters)`."""
        height, width = self.kernel_size
        columns = ops.reshape(ops.transpose(self.kernel, (0, 2, 1, 3)), (height, 1, -1, width * self.filters))
        outputs = ops.conv(inputs, ops.cast(columns, inputs.dtype), padding="same", data_format="channels_last")
        margin = width // 2
        outputs = ops.pad(outputs, [[0, 0], [0, 0], [margin, margin], [0, 0]])
        image_width = inputs.shape[2]
        shifted = [
            outputs[:, :, column : column + image_width, column * self.filters : (column + 1) * self.filters]
            for column in range(width)
        ]
        outputs = sum(shifted[1:], shifted[0])
        if self.use_bias:
            outputs = ops.add(outputs, ops.cast(self.bias, outputs.dtype))
        return outputs if self.activation is None else self.activation(outputs)

    def get_config(self):
        """Constructor arguments."""
        config = super().get_config()
        return {name: value for name, value in config.items() if name not in _MOVEMENT}
