"""Decoders, which are generators: latents `(n, latent_dim)` to logits of images `(n, height, width, channels)`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
from keras import layers

from keras_gen import checks
from keras_gen.networks import blocks


def mlp_decoder(
    image_shape: tuple[int, int, int], *, latent_dim: int = 16, hidden: Sequence[int] = (300,)
) -> keras.Model:
    """Dense layers with ReLU, then one for the pixels.

    Args:
        image_shape: `(height, width, channels)`.
        latent_dim: size of a latent.
        hidden: units of the hidden layers, first to last.

    Example:
        >>> mlp_decoder((28, 28, 1), latent_dim=2).output_shape
        (None, 28, 28, 1)
    """
    image_shape = blocks.check_image_shape(image_shape)
    latents = _latents(latent_dim)
    x = latents
    for units in blocks.check_widths("hidden", hidden):
        x = blocks.dense(x, units, image_shape, activation="relu")
    x = blocks.dense(x, math.prod(image_shape), image_shape)
    return keras.Model(latents, layers.Reshape(image_shape)(x), name="decoder")


def lstm_vae_decoder(image_shape: tuple[int, int, int], *, latent_dim: int = 64, dropout: float = 0.2) -> keras.Model:
    """Two dense layers, three 3×3 transposed convolutions at half the size and then the whole, and a dense layer.

    For 28×28×1: z → Dense 98 → Dense 196 → 14×14×1 → 32 → 64 → 64 filters (the last with stride 2) → 50,176 → Dense
    784. ReLU after every layer but the last, dropout after the first two convolutions.

    Args:
        image_shape: `(height, width, channels)`, height and width even.
        latent_dim: size of a latent.
        dropout: rate.

    Raises:
        UsageError: also where the last layer, which has 64 · (height · width)² · channels weights, is out of reach.

    Example:
        >>> lstm_vae_decoder((28, 28, 1)).count_params()
        39420286
    """
    height, width, channels = blocks.check_image_shape(image_shape, divisible_by=2)
    dropout = checks.fraction("dropout", dropout)
    pixels, half = height * width, height * width // 4
    latents = _latents(latent_dim)
    x = blocks.dense(latents, max(half // 2, 1), image_shape, activation="relu")
    x = blocks.dense(x, half, image_shape, activation="relu")
    x = layers.Reshape((height // 2, width // 2, 1))(x)
    for filters in (32, 64):
        x = layers.Conv2DTranspose(filters, 3, padding="same", activation="relu")(x)
        x = layers.Dropout(dropout)(x)
    x = layers.Conv2DTranspose(64, 3, strides=2, padding="same", activation="relu")(x)
    x = blocks.dense(layers.Flatten()(x), pixels * channels, image_shape)
    return keras.Model(latents, layers.Reshape((height, width, channels))(x), name="decoder")


def transposed_conv_generator(
    image_shape: tuple[int, int, int], *, latent_dim: int = 100, filters: int = 128, slope: float = 0.2
) -> keras.Model:
    """A dense layer to a quarter of the size, two 4×4 transposed convolutions with stride 2, a 7×7 convolution.

    For 28×28×1 and 128 filters: z → Dense 6272 → 7×7×128 → 14×14×128 → 28×28×128 → 28×28×1. LeakyReLU after every
    layer but the last.

    Args:
        image_shape: `(height, width, channels)`, height and width multiples of 4.
        latent_dim: size of a latent.
        filters: of every layer but the last.
        slope: of the LeakyReLU.

    Example:
        >>> transposed_conv_generator((28, 28, 1)).count_params()
        1164289
    """
    height, width, channels = blocks.check_image_shape(image_shape, divisible_by=4)
    filters, slope = checks.positive_int("filters", filters), checks.non_negative("slope", slope)
    latents = _latents(latent_dim)
    x = blocks.dense(latents, height // 4 * (width // 4) * filters, image_shape)
    x = layers.LeakyReLU(slope)(x)
    x = layers.Reshape((height // 4, width // 4, filters))(x)
    for _ in range(2):
        x = layers.Conv2DTranspose(filters, 4, strides=2, padding="same")(x)
        x = layers.LeakyReLU(slope)(x)
    x = layers.Conv2D(channels, 7, padding="same")(x)
    return keras.Model(latents, x, name="generator")


def _latents(latent_dim: int):
    return keras.Input((checks.positive_int("latent_dim", latent_dim),), name="latents")
