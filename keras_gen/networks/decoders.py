"""Decoders and generators: latents `(n, latent_dim)` to logits of images `(n, height, width, channels)`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from keras_gen.utils.backend import channels_last  # first: Keras must run on TensorFlow
import keras
from keras import layers

from keras_gen.networks import blocks
from keras_gen.networks.layers import Conv2D, Conv2DTranspose, Dropout, NarrowConv2D
from keras_gen.utils import checks


@channels_last()
def mlp_decoder(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 16,
    hidden: Sequence[int] = (300,),
    activation: str = "relu",
    output_bias: float = 0.0,
    num_classes: int = 0,
) -> keras.Model:
    """Build a decoder of dense layers with an activation and a last dense layer for the pixels.

    Args:
        image_shape: tuple, `(height, width, channels)`.
        latent_dim: int, size of a latent vector. Defaults to 16.
        hidden: sequence of int, units of the hidden layers. Defaults to `(300,)`.
        activation: str, `"relu"`, the default, or `"tanh"`.
        output_bias: float, initial bias of the pixels' layer; for logits of mostly black images a negative one, so that
            the first updates are not spent on the background. Defaults to 0.
        num_classes: int, number of classes of a conditional network. Defaults to 0, unconditional.

    Example:
        >>> mlp_decoder((28, 28, 1), latent_dim=2).output_shape
        (None, 28, 28, 1)
    """
    image_shape = blocks.check_image_shape(image_shape)
    inputs, x = blocks.latent_inputs(latent_dim, num_classes)
    blocks.check_activation(activation)
    for units in blocks.check_widths("hidden", hidden):
        x = blocks.dense(x, units, image_shape, activation=activation)
    # "zeros" where a constant isn't needed: runs compare their recorded configuration.
    bias = keras.initializers.Constant(output_bias) if checks.number("output_bias", output_bias) else "zeros"
    x = blocks.dense(x, math.prod(image_shape), image_shape, bias_initializer=bias)
    return keras.Model(inputs, layers.Reshape(image_shape)(x), name="decoder")


@channels_last()
def lstm_vae_decoder(
    image_shape: tuple[int, int, int], *, latent_dim: int = 64, dropout: float = 0.2, num_classes: int = 0
) -> keras.Model:
    """Build a decoder of two dense layers, three 3×3 transposed convolutions and a dense layer.

    For 28×28×1: z → Dense 98 → Dense 196 → 14×14×1 → 32 → 64 → 64 filters (the last with stride 2) → 50,176 → Dense
    784. ReLU follows every layer but the last, dropout the first two convolutions.

    Args:
        image_shape: tuple, `(height, width, channels)`, height and width even.
        latent_dim: int, size of a latent vector. Defaults to 64.
        dropout: float, dropout rate. Defaults to 0.2.
        num_classes: int, number of classes of a conditional network. Defaults to 0, unconditional.

    Raises:
        UsageError: an argument is out of range, or the last layer, which has 64 · (height · width)² · channels weights,
            is too large.

    Example:
        >>> lstm_vae_decoder((28, 28, 1)).count_params()
        39420286
    """
    height, width, channels = blocks.check_image_shape(image_shape, divisible_by=2)
    dropout = checks.fraction("dropout", dropout)
    pixels, half = height * width, height * width // 4
    inputs, x = blocks.latent_inputs(latent_dim, num_classes)
    x = blocks.dense(x, max(half // 2, 1), image_shape, activation="relu")
    x = blocks.dense(x, half, image_shape, activation="relu")
    x = layers.Reshape((height // 2, width // 2, 1))(x)
    for filters in (32, 64):
        x = Conv2DTranspose(filters, 3, padding="same", activation="relu")(x)
        x = Dropout(dropout)(x)
    x = Conv2DTranspose(64, 3, strides=2, padding="same", activation="relu")(x)
    x = blocks.dense(layers.Flatten()(x), pixels * channels, image_shape)
    return keras.Model(inputs, layers.Reshape((height, width, channels))(x), name="decoder")


@channels_last()
def conv_decoder(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 100,
    filters: Sequence[int] = (128, 128, 128, 64, 32),
    kernel_size: int = 3,
    batch_norm: bool = True,
    num_classes: int = 0,
) -> keras.Model:
    """Build a decoder of a dense layer with ReLU, transposed convolutions to the image's size, and a convolution.

    Batch normalization and ReLU follow each transposed convolution, batch normalization also the last convolution.
    For 28×28 and four transposed convolutions the sizes are 4 → 4 → 7 → 14 → 28, for two 7 → 14 → 28.

    Args:
        image_shape: tuple, `(height, width, channels)`.
        latent_dim: int, size of a latent vector. Defaults to 100.
        filters: sequence of int, channels after the dense layer, then filters of each transposed convolution. Defaults
            to `(128, 128, 128, 64, 32)`.
        kernel_size: int, kernel size of all convolutions, odd. Defaults to 3.
        batch_norm: bool, whether to use batch normalization. Defaults to `True`.
        num_classes: int, number of classes of a conditional network. Defaults to 0, unconditional.

    Example:
        >>> conv_decoder((28, 28, 1), latent_dim=2, filters=(64, 32), batch_norm=False).count_params()
        56385
    """
    image_shape = blocks.check_image_shape(image_shape)
    filters, kernel_size = blocks.check_widths("filters", filters), blocks.check_odd("kernel_size", kernel_size)
    start, *sizes = reversed(blocks.sizes_down(image_shape, len(filters) - 1))
    inputs, x = blocks.latent_inputs(latent_dim, num_classes)
    x = blocks.dense(x, math.prod(start) * filters[0], image_shape, activation="relu")
    x = layers.Reshape((*start, filters[0]))(x)
    for count, size in zip(filters[1:], sizes, strict=True):
        x = blocks.transposed_conv(x, count, kernel_size, size)
        if batch_norm:
            x = blocks.batch_norm(x)
        x = layers.ReLU()(x)
    x = Conv2D(image_shape[-1], kernel_size, padding="same")(x)
    if batch_norm:
        x = blocks.batch_norm(x)
    return keras.Model(inputs, x, name="decoder")


@channels_last()
def transposed_conv_generator(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 100,
    filters: int = 128,
    slope: float = 0.2,
    num_classes: int = 0,
) -> keras.Model:
    """Build a generator of a dense layer, two 4×4 transposed convolutions with stride 2 and a 7×7 convolution.

    For 28×28×1 and 128 filters: z → Dense 6272 → 7×7×128 → 14×14×128 → 28×28×128 → 28×28×1. LeakyReLU follows every
    layer but the last.

    Args:
        image_shape: tuple, `(height, width, channels)`, height and width multiples of 4.
        latent_dim: int, size of a latent vector. Defaults to 100.
        filters: int, filters of every layer but the last. Defaults to 128.
        slope: float, negative slope of the LeakyReLU. Defaults to 0.2.
        num_classes: int, number of classes of a conditional network. Defaults to 0, unconditional.

    Example:
        >>> transposed_conv_generator((28, 28, 1)).count_params()
        1164289
    """
    height, width, channels = blocks.check_image_shape(image_shape, divisible_by=4)
    filters, slope = checks.positive_int("filters", filters), checks.non_negative("slope", slope)
    inputs, x = blocks.latent_inputs(latent_dim, num_classes)
    x = blocks.dense(x, height // 4 * (width // 4) * filters, image_shape)
    x = layers.LeakyReLU(slope)(x)
    x = layers.Reshape((height // 4, width // 4, filters))(x)
    for _ in range(2):
        x = Conv2DTranspose(filters, 4, strides=2, padding="same")(x)
        x = layers.LeakyReLU(slope)(x)
    x = NarrowConv2D(channels, 7)(x)
    return keras.Model(inputs, x, name="generator")


@channels_last()
def deep_conv_generator(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 100,
    filters: Sequence[int] = (256, 128, 64),
    kernel_size: int = 5,
    num_classes: int = 0,
) -> keras.Model:
    """Build a generator of transposed convolutions from 1×1 to the image, with batch normalization and ReLU.

    Batch normalization and ReLU follow all but the last. The kernel of the first has the size of its output. For 28×28
    and three filters the sizes are 1 → 4 → 7 → 14 → 28, for five 1 → 4 → 4 → 4 → 7 → 14 → 28.

    Args:
        image_shape: tuple, `(height, width, channels)`.
        latent_dim: int, size of a latent vector. Defaults to 100.
        filters: sequence of int, filters of all transposed convolutions but the last. Defaults to `(256, 128, 64)`.
        kernel_size: int, kernel size of all transposed convolutions but the first, odd. Defaults to 5.
        num_classes: int, number of classes of a conditional network. Defaults to 0, unconditional.

    Example:
        >>> deep_conv_generator((32, 32, 3), filters=(64,)).output_shape
        (None, 32, 32, 3)
    """
    image_shape = blocks.check_image_shape(image_shape)
    filters, kernel_size = blocks.check_widths("filters", filters), blocks.check_odd("kernel_size", kernel_size)
    start, *sizes = reversed(blocks.sizes_down(image_shape, len(filters)))
    inputs, x = blocks.latent_inputs(latent_dim, num_classes)
    # A transposed convolution of a 1×1 input is a dense layer.
    blocks.check_weights(x.shape[-1], math.prod(start) * filters[0], image_shape)
    x = layers.Reshape((1, 1, x.shape[-1]))(x)
    x = Conv2DTranspose(filters[0], start)(x)
    for count, size in zip((*filters[1:], image_shape[-1]), sizes, strict=True):
        x = layers.ReLU()(blocks.batch_norm(x))
        x = blocks.transposed_conv(x, count, kernel_size, size)
    return keras.Model(inputs, x, name="generator")


@channels_last()
def dcgan_generator(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 100,
    dropout: float = 0.1,
    slope: float = 0.2,
    num_classes: int = 0,
) -> keras.Model:
    """Build a generator of a dense layer to 4×4×512 and three 5×5 transposed convolutions with stride 2.

    The filters are 256, 128 and the image's channels. Batch normalization, LeakyReLU and dropout follow every layer but
    the last. Between the first transposed convolution and its batch normalization, nearest-neighbor interpolation
    resizes to a quarter of the image's size: for 28×28 the sizes are 4 → 8 → 7 → 14 → 28.

    XLA has no gradient of that resize: a model with this network can't be compiled with `jit_compile=True`.

    Args:
        image_shape: tuple, `(height, width, channels)`, height and width multiples of 4.
        latent_dim: int, size of a latent vector. Defaults to 100.
        dropout: float, dropout rate; 0 for no dropout layers. Defaults to 0.1.
        slope: float, negative slope of the LeakyReLU. Defaults to 0.2.
        num_classes: int, number of classes of a conditional network. Defaults to 0, unconditional.

    Example:
        >>> dcgan_generator((28, 28, 1)).output_shape
        (None, 28, 28, 1)
    """
    height, width, channels = blocks.check_image_shape(image_shape, divisible_by=4)
    dropout, slope = checks.fraction("dropout", dropout), checks.non_negative("slope", slope)

    def activate(x):
        x = layers.LeakyReLU(slope)(blocks.batch_norm(x))
        return Dropout(dropout)(x) if dropout else x

    inputs, x = blocks.latent_inputs(latent_dim, num_classes)
    x = blocks.dense(x, 4 * 4 * 512, (height, width, channels))
    x = activate(layers.Reshape((4, 4, 512))(x))
    x = Conv2DTranspose(256, 5, strides=2, padding="same")(x)
    x = activate(layers.Resizing(height // 4, width // 4, interpolation="nearest")(x))
    x = activate(Conv2DTranspose(128, 5, strides=2, padding="same")(x))
    x = Conv2DTranspose(channels, 5, strides=2, padding="same")(x)
    return keras.Model(inputs, x, name="generator")


@channels_last()
def upsampling_generator(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 128,
    filters: Sequence[int] = (512, 256, 128, 64),
    num_classes: int = 0,
) -> keras.Model:
    """Build a generator of a dense layer, 4×4 transposed convolutions with stride 2 and a 3×3 convolution.

    Batch normalization and ReLU follow every layer but the last. The sides are doubled for every entry of `filters` but
    the first: 4 → 8 → 16 → 32 for four. It is the standard CNN of Miyato et al. 2018, "Spectral normalization for
    generative adversarial networks", table 3.

    Args:
        image_shape: tuple, `(height, width, channels)`, height and width multiples of 2 for every doubling.
        latent_dim: int, size of a latent vector. Defaults to 128.
        filters: sequence of int, filters of the dense layer's output and of the transposed convolutions. Defaults to
            `(512, 256, 128, 64)`.
        num_classes: int, number of classes of a conditional network. Defaults to 0, unconditional.

    Example:
        >>> upsampling_generator((32, 32, 3)).output_shape
        (None, 32, 32, 3)
    """
    filters = blocks.check_widths("filters", filters)
    divisor = 2 ** (len(filters) - 1)
    height, width, channels = blocks.check_image_shape(image_shape, divisible_by=divisor)
    start = (height // divisor, width // divisor, filters[0])
    inputs, x = blocks.latent_inputs(latent_dim, num_classes)
    x = layers.Reshape(start)(blocks.dense(x, math.prod(start), image_shape))
    for count in filters[1:]:
        x = layers.ReLU()(blocks.batch_norm(x))
        x = Conv2DTranspose(count, 4, strides=2, padding="same")(x)
    x = layers.ReLU()(blocks.batch_norm(x))
    return keras.Model(inputs, NarrowConv2D(channels, 3)(x), name="generator")
