"""Decoders of VAEs, generators too: latents `(n, latent_dim)` to logits of images `(n, height, width, channels)`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
from keras import layers

from keras_gen.networks import blocks
from keras_gen.networks.layers import Dropout, NarrowConv2D
from keras_gen.utils import checks


def mlp_decoder(
    image_shape: tuple[int, int, int], *, latent_dim: int = 16, hidden: Sequence[int] = (300,), num_classes: int = 0
) -> keras.Model:
    """Dense layers with ReLU, then one for the pixels.

    Args:
        image_shape: `(height, width, channels)`.
        latent_dim: size of a latent.
        hidden: units of the hidden layers, first to last.
        num_classes: of a conditional network, which takes latents and one-hot labels `(n, num_classes)`; 0 for none.

    Example:
        >>> mlp_decoder((28, 28, 1), latent_dim=2).output_shape
        (None, 28, 28, 1)
    """
    image_shape = blocks.check_image_shape(image_shape)
    inputs, x = blocks.latent_inputs(latent_dim, num_classes)
    for units in blocks.check_widths("hidden", hidden):
        x = blocks.dense(x, units, image_shape, activation="relu")
    x = blocks.dense(x, math.prod(image_shape), image_shape)
    return keras.Model(inputs, layers.Reshape(image_shape)(x), name="decoder")


def lstm_vae_decoder(
    image_shape: tuple[int, int, int], *, latent_dim: int = 64, dropout: float = 0.2, num_classes: int = 0
) -> keras.Model:
    """Two dense layers, three 3×3 transposed convolutions at half the size and then the whole, and a dense layer.

    For 28×28×1: z → Dense 98 → Dense 196 → 14×14×1 → 32 → 64 → 64 filters (the last with stride 2) → 50,176 → Dense
    784. ReLU after every layer but the last, dropout after the first two convolutions.

    Args:
        image_shape: `(height, width, channels)`, height and width even.
        latent_dim: size of a latent.
        dropout: rate.
        num_classes: of a conditional network, which takes latents and one-hot labels `(n, num_classes)`; 0 for none.

    Raises:
        UsageError: also where the last layer, which has 64 · (height · width)² · channels weights, is out of reach.

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
        x = layers.Conv2DTranspose(filters, 3, padding="same", activation="relu")(x)
        x = Dropout(dropout)(x)
    x = layers.Conv2DTranspose(64, 3, strides=2, padding="same", activation="relu")(x)
    x = blocks.dense(layers.Flatten()(x), pixels * channels, image_shape)
    return keras.Model(inputs, layers.Reshape((height, width, channels))(x), name="decoder")


def conv_decoder(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 100,
    filters: Sequence[int] = (128, 128, 128, 64, 32),
    kernel_size: int = 3,
    batch_norm: bool = True,
    num_classes: int = 0,
) -> keras.Model:
    """A dense layer with ReLU to a small volume, transposed convolutions up to the image's size, and a convolution.

    Batch normalization and ReLU after each transposed convolution, batch normalization after the last convolution too.
    With four transposed convolutions 28×28 is reached as 4 → 4 → 7 → 14 → 28, with two as 7 → 14 → 28.

    Args:
        image_shape: `(height, width, channels)`.
        latent_dim: size of a latent.
        filters: of the small volume, then of each transposed convolution.
        kernel_size: of all convolutions, odd.
        batch_norm: whether there is batch normalization.
        num_classes: of a conditional network, which takes latents and one-hot labels `(n, num_classes)`; 0 for none.

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
    x = layers.Conv2D(image_shape[-1], kernel_size, padding="same")(x)
    if batch_norm:
        x = blocks.batch_norm(x)
    return keras.Model(inputs, x, name="decoder")


def transposed_conv_generator(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 100,
    filters: int = 128,
    slope: float = 0.2,
    num_classes: int = 0,
) -> keras.Model:
    """A dense layer to a quarter of the size, two 4×4 transposed convolutions with stride 2, a 7×7 convolution.

    For 28×28×1 and 128 filters: z → Dense 6272 → 7×7×128 → 14×14×128 → 28×28×128 → 28×28×1. LeakyReLU after every
    layer but the last.

    Args:
        image_shape: `(height, width, channels)`, height and width multiples of 4.
        latent_dim: size of a latent.
        filters: of every layer but the last.
        slope: of the LeakyReLU.
        num_classes: of a conditional network, which takes latents and one-hot labels `(n, num_classes)`; 0 for none.

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
        x = layers.Conv2DTranspose(filters, 4, strides=2, padding="same")(x)
        x = layers.LeakyReLU(slope)(x)
    x = NarrowConv2D(channels, 7)(x)
    return keras.Model(inputs, x, name="generator")


def deep_conv_generator(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 100,
    filters: Sequence[int] = (256, 128, 64),
    kernel_size: int = 5,
    num_classes: int = 0,
) -> keras.Model:
    """Transposed convolutions from 1×1 to the image, all but the last with batch normalization and ReLU.

    The first one's kernel is the size it makes. For 28×28 and three filters: 1 → 4 → 7 → 14 → 28; with five,
    1 → 4 → 4 → 4 → 7 → 14 → 28.

    Args:
        image_shape: `(height, width, channels)`.
        latent_dim: size of a latent.
        filters: of all transposed convolutions but the last, first to last.
        kernel_size: of all transposed convolutions but the first, odd.
        num_classes: of a conditional network, which takes latents and one-hot labels `(n, num_classes)`; 0 for none.

    Example:
        >>> deep_conv_generator((32, 32, 3), filters=(64,)).output_shape
        (None, 32, 32, 3)
    """
    image_shape = blocks.check_image_shape(image_shape)
    filters, kernel_size = blocks.check_widths("filters", filters), blocks.check_odd("kernel_size", kernel_size)
    start, *sizes = reversed(blocks.sizes_down(image_shape, len(filters)))
    inputs, x = blocks.latent_inputs(latent_dim, num_classes)
    # On 1×1 a transposed convolution is a dense layer, and as large.
    blocks.check_weights(x.shape[-1], math.prod(start) * filters[0], image_shape)
    x = layers.Reshape((1, 1, x.shape[-1]))(x)
    x = layers.Conv2DTranspose(filters[0], start)(x)
    for count, size in zip((*filters[1:], image_shape[-1]), sizes, strict=True):
        x = layers.ReLU()(blocks.batch_norm(x))
        x = blocks.transposed_conv(x, count, kernel_size, size)
    return keras.Model(inputs, x, name="generator")


def dcgan_generator(
    image_shape: tuple[int, int, int],
    *,
    latent_dim: int = 100,
    dropout: float = 0.1,
    slope: float = 0.2,
    num_classes: int = 0,
) -> keras.Model:
    """A dense layer to 4×4×512, then 5×5 transposed convolutions with stride 2 to 256 and 128 filters and the image.

    Batch normalization, LeakyReLU and dropout after every layer but the last. After the first transposed convolution,
    before its batch normalization, nearest neighbors resize to a quarter of the image: 28×28 is reached as
    4 → 8 → 7 → 14 → 28.

    XLA has no gradient of that resize: a model of this network can't be compiled with `jit_compile=True`.

    Args:
        image_shape: `(height, width, channels)`, height and width multiples of 4.
        latent_dim: size of a latent.
        dropout: rate; with 0 there are no dropout layers.
        slope: of the LeakyReLU.
        num_classes: of a conditional network, which takes latents and one-hot labels `(n, num_classes)`; 0 for none.

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
    x = layers.Conv2DTranspose(256, 5, strides=2, padding="same")(x)
    x = activate(layers.Resizing(height // 4, width // 4, interpolation="nearest")(x))
    x = activate(layers.Conv2DTranspose(128, 5, strides=2, padding="same")(x))
    x = layers.Conv2DTranspose(channels, 5, strides=2, padding="same")(x)
    return keras.Model(inputs, x, name="generator")
