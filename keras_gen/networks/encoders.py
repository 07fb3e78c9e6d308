"""Encoders: images `(n, height, width, channels)` to the posterior's mean and log-variance, each `(n, latent_dim)`."""

from __future__ import annotations

from collections.abc import Sequence

from keras_gen.utils.backend import channels_last  # first: Keras must run on TensorFlow
import keras
from keras import layers

from keras_gen.networks import blocks
from keras_gen.networks.layers import Conv2D
from keras_gen.utils import checks


@channels_last()
def mlp_encoder(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 16,
    hidden: Sequence[int] = (300,),
    activation: str = "relu",
    num_classes: int = 0,
) -> keras.Model:
    """Build an encoder of dense layers with an activation.

    Args:
        image_shape: tuple, `(height, width, channels)`.
        latent_dim: int, size of a latent vector. Defaults to 16.
        hidden: sequence of int, units of the hidden layers. Defaults to `(300,)`.
        activation: str, `"relu"`, the default, or `"tanh"`.
        num_classes: int, number of classes of a conditional network. Defaults to 0, unconditional.

    Example:
        >>> [output.shape for output in mlp_encoder((28, 28, 1), latent_dim=2).outputs]
        [(None, 2), (None, 2)]
    """
    image_shape = blocks.check_image_shape(image_shape)
    inputs, x = blocks.image_inputs(image_shape, num_classes)
    x = layers.Flatten()(x)
    blocks.check_activation(activation)
    for units in blocks.check_widths("hidden", hidden):
        x = blocks.dense(x, units, image_shape, activation=activation)
    return keras.Model(inputs, blocks.posterior_heads(x, latent_dim, image_shape), name="encoder")


@channels_last()
def lstm_encoder(
    image_shape: tuple[int, int, int], *, latent_dim: int = 64, units: int = 64, num_classes: int = 0
) -> keras.Model:
    """Build an encoder of an LSTM over the image's rows, whose whole output sequence is flattened.

    Args:
        image_shape: tuple, `(height, width, channels)`. A row has `width · channels` values.
        latent_dim: int, size of a latent vector. Defaults to 64.
        units: int, units of the LSTM. Defaults to 64.
        num_classes: int, number of classes of a conditional network. Defaults to 0, unconditional.

    Example:
        >>> lstm_encoder((28, 28, 1)).get_layer("flatten").output.shape
        (None, 1792)
    """
    height, width, channels = blocks.check_image_shape(image_shape)
    inputs, x = blocks.image_inputs((height, width, channels), num_classes)
    x = layers.Reshape((height, width * x.shape[-1]), name="rows")(x)
    x = layers.LSTM(checks.positive_int("units", units), return_sequences=True, name="lstm")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(inputs, blocks.posterior_heads(x, latent_dim, image_shape), name="encoder")


@channels_last()
def conv_encoder(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 100,
    filters: Sequence[int] = (32, 64, 128, 128, 128),
    hidden: int = 256,
    kernel_size: int = 3,
    strides: Sequence[int] | None = None,
    batch_norm: bool = True,
    num_classes: int = 0,
) -> keras.Model:
    """Build an encoder of convolutions with batch normalization and ReLU, and a dense layer with ReLU.

    For 28×28 and five filters the sizes are 28 → 14 → 7 → 4 → 4 → 4. The number of filters sets the depth.

    Args:
        image_shape: tuple, `(height, width, channels)`.
        latent_dim: int, size of a latent vector. Defaults to 100.
        filters: sequence of int, filters of the convolutions. Defaults to `(32, 64, 128, 128, 128)`.
        hidden: int, units of the dense layer. Defaults to 256.
        kernel_size: int, kernel size of the convolutions. Defaults to 3.
        strides: sequence of int, strides of the convolutions. Defaults to 2 while the side exceeds 4, else 1.
        batch_norm: bool, whether to use batch normalization. Defaults to `True`.
        num_classes: int, number of classes of a conditional network. Defaults to 0, unconditional.

    Example:
        >>> encoder = conv_encoder((28, 28, 1), latent_dim=2, filters=(32, 64, 64, 64), strides=(1, 2, 1, 1), hidden=32)
        >>> [output.shape for output in encoder.outputs]
        [(None, 2), (None, 2)]
    """
    image_shape = blocks.check_image_shape(image_shape)
    filters, hidden = blocks.check_widths("filters", filters), checks.positive_int("hidden", hidden)
    kernel_size = checks.positive_int("kernel_size", kernel_size)
    inputs, x = blocks.image_inputs(image_shape, num_classes)
    for count, stride in zip(filters, blocks.check_strides(strides, filters, image_shape), strict=True):
        x = Conv2D(count, kernel_size, strides=stride, padding="same")(x)
        if batch_norm:
            x = blocks.batch_norm(x)
        x = layers.ReLU()(x)
    x = blocks.dense(layers.Flatten()(x), hidden, image_shape, activation="relu")
    return keras.Model(inputs, blocks.posterior_heads(x, latent_dim, image_shape), name="encoder")
