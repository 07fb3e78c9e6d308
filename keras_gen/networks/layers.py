"""Keras layers: with accurate bias gradients in bfloat16, for distributed training, and for images' few channels."""

from __future__ import annotations

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
import tensorflow as tf
from keras import layers, ops

from keras_gen import distribution
from keras_gen.utils.errors import UsageError, must_be


@keras.saving.register_keras_serializable("keras_gen")
class Dropout(keras.layers.Dropout):
    """Dropout whose mask for the global batch does not depend on the number of replicas.

    `keras.layers.Dropout` (Keras 3.15) draws the same mask on every replica, so that N replicas do not compute the same
    as one.

    Example:
        >>> float(keras.ops.max(Dropout(0.5)(keras.ops.ones((2, 8)), training=True)))
        2.0
    """

    def call(self, inputs, training=False):
        """Apply dropout, as `keras.layers.Dropout`."""
        context = tf.distribute.get_replica_context()
        is_single = context is None or context.num_replicas_in_sync == 1
        if is_single or not training or self.rate == 0:
            return super().call(inputs, training=training)
        seed = tf.cast(self.seed_generator.next(), tf.int32)
        return distribution.dropout(inputs, self.rate, seed, self.noise_shape)


def _add_bias_and_activate(layer, outputs):
    """Return the layer's outputs after its bias, if it has one, and its activation.

    Keras adds a bias by the operation `BiasAdd`, whose gradient in bfloat16 on the CPU (TensorFlow 2.21) is summed in
    bfloat16 over batch and positions: where terms cancel, as a discriminator's for real and generated images do, the
    result is noise. That of `Add`, which is used in bfloat16 on all devices, is summed in float32.
    """
    if layer.use_bias:
        bias, is_first = ops.cast(layer.bias, outputs.dtype), getattr(layer, "data_format", None) == "channels_first"
        if outputs.dtype == tf.bfloat16:
            outputs += bias[:, None, None] if is_first else bias
        else:
            outputs = tf.nn.bias_add(outputs, bias, "NCHW" if is_first else "NHWC")
    return outputs if layer.activation is None else layer.activation(outputs)


@keras.saving.register_keras_serializable("keras_gen")
class Dense(layers.Dense):
    """Dense layer equal to `keras.layers.Dense`, but with an accurate gradient of the bias in bfloat16 on the CPU.

    Example:
        >>> Dense(3, dtype="mixed_bfloat16")(np.zeros((2, 4), "float32")).shape
        TensorShape([2, 3])
    """

    def call(self, inputs, training=None):
        """Map `(n, ..., features)` to `(n, ..., units)`."""
        return _add_bias_and_activate(self, ops.matmul(inputs, self.kernel))

    def quantize(self, mode=None, type_check=True, **options):
        """Quantize the layer, as `keras.layers.Dense`, which refuses subclasses unless told otherwise."""
        return super().quantize(mode, type_check=False, **options)


@keras.saving.register_keras_serializable("keras_gen")
class Conv2D(layers.Conv2D):
    """Convolution equal to `keras.layers.Conv2D`, but with an accurate gradient of the bias in bfloat16 on the CPU.

    Example:
        >>> Conv2D(3, 5, strides=2, dtype="mixed_bfloat16")(np.zeros((2, 28, 28, 1), "float32")).shape
        TensorShape([2, 12, 12, 3])
    """

    def call(self, inputs):
        """Convolve `(n, height, width, channels)` to `(n, new height, new width, filters)`."""
        return _add_bias_and_activate(self, self.convolution_op(inputs, self.kernel))


@keras.saving.register_keras_serializable("keras_gen")
class Conv2DTranspose(layers.Conv2DTranspose):
    """Transposed convolution with an accurate gradient of the bias in bfloat16 and a complete configuration.

    The configuration of `keras.layers.Conv2DTranspose` contains the output padding only since Keras 3.15; without it, a
    saved network can't be loaded.

    Example:
        >>> Conv2DTranspose(1, 3, strides=2, padding="same", output_padding=0).get_config()["output_padding"]
        (0, 0)
    """

    def call(self, inputs):
        """Convolve `(n, height, width, channels)` to `(n, new height, new width, filters)`."""
        outputs = ops.conv_transpose(
            inputs,
            self.kernel,
            strides=list(self.strides),
            padding=self.padding,
            output_padding=self.output_padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return _add_bias_and_activate(self, outputs)

    def get_config(self):
        """Return the constructor arguments."""
        return super().get_config() | {"output_padding": self.output_padding}


_FIXED_OPTIONS = {"strides": 1, "padding": "same", "dilation_rate": 1, "groups": 1, "data_format": "channels_last"}


@keras.saving.register_keras_serializable("keras_gen")
class NarrowConv2D(layers.Conv2D):
    """Convolution equal to `keras.layers.Conv2D`, but faster for few output channels, such as an image's one or three.

    Processors compute 16 output channels at a time, most of which a single channel wastes. Therefore each of the
    kernel's `w` columns becomes an output channel of an `h × 1` convolution, and the results are shifted and added:

        out[y, x] = Σ_j column_j[y, x + j − (w − 1) / 2],  column_j = input ∗ kernel[:, j]

    The order of summation differs from `Conv2D`'s, so results differ by rounding. The weights have the same shapes and
    names.

    Args:
        filters: int, channels of the output.
        kernel_size: odd int, or tuple of two, (height, width).
        **options: options of `keras.layers.Conv2D` except strides, padding, dilation, groups and data format, which are
            fixed: stride 1, zero padding to the size of the input.

    Raises:
        UsageError: the kernel size is even, or a fixed option is given.

    Example:
        >>> NarrowConv2D(1, 7)(np.zeros((2, 28, 28, 128), "float32")).shape
        TensorShape([2, 28, 28, 1])
    """

    def __init__(self, filters, kernel_size, **options):
        for name, value in _FIXED_OPTIONS.items():
            if name in options:
                raise UsageError(f"NarrowConv2D takes no {name}: it is always {value}")
        super().__init__(filters, kernel_size, **_FIXED_OPTIONS, **options)
        if any(size % 2 == 0 for size in self.kernel_size):
            raise must_be("kernel_size", "odd", kernel_size)

    def call(self, inputs):
        """Convolve `(n, height, width, channels)` to `(n, height, width, filters)`."""
        height, width = self.kernel_size
        columns = ops.reshape(ops.transpose(self.kernel, (0, 2, 1, 3)), (height, 1, -1, width * self.filters))
        outputs = ops.conv(inputs, ops.cast(columns, inputs.dtype), padding="same", data_format="channels_last")
        margin = width // 2
        outputs = ops.pad(outputs, [[0, 0], [0, 0], [margin, margin], [0, 0]])
        image_width = ops.shape(inputs)[2]
        shifted = [
            outputs[:, :, column : column + image_width, column * self.filters : (column + 1) * self.filters]
            for column in range(width)
        ]
        return _add_bias_and_activate(self, sum(shifted[1:], shifted[0]))

    def get_config(self):
        """Return the constructor arguments."""
        config = super().get_config()
        return {name: value for name, value in config.items() if name not in _FIXED_OPTIONS}
