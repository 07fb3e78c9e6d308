"""Encoders: images `(n, height, width, channels)` to the posterior's mean and log-variance, each `(n, latent_dim)`."""

from __future__ import annotations

from collections.abc import Sequence

import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
from keras import layers

from keras_gen import checks
from keras_gen.networks import blocks


def mlp_encoder(
    image_shape: tuple[int, int, int], *, latent_dim: int = 16, hidden: Sequence[int] = (300,)
) -> keras.Model:
    """Dense layers with ReLU on the flattened image.

    Args:
        image_shape: `(height, width, channels)`.
        latent_dim: size of a latent.
        hidden: units of the hidden layers, first to last.

    Example:
        >>> [output.shape for output in mlp_encoder((28, 28, 1), latent_dim=2).outputs]
        [(None, 2), (None, 2)]
    """
    image_shape = blocks.check_image_shape(image_shape)
    images = keras.Input(image_shape, name="images")
    x = layers.Flatten()(images)
    for units in blocks.check_widths("hidden", hidden):
        x = blocks.dense(x, units, image_shape, activation="relu")
    return keras.Model(images, blocks.posterior_heads(x, latent_dim, image_shape), name="encoder")


def lstm_encoder(image_shape: tuple[int, int, int], *, latent_dim: int = 64, units: int = 64) -> keras.Model:
    """One LSTM over the image's rows; its whole output sequence, flattened, gives mean and log-variance.

    Args:
        image_shape: `(height, width, channels)`; a row is `width · channels` values.
        latent_dim: size of a latent.
        units: of the LSTM.

    Example:
        >>> lstm_encoder((28, 28, 1)).get_layer("flatten").output.shape
        (None, 1792)
    """
    height, width, channels = blocks.check_image_shape(image_shape)
    images = keras.Input((height, width, channels), name="images")
    x = layers.Reshape((height, width * channels), name="rows")(images)
    x = layers.LSTM(checks.positive_int("units", units), return_sequences=True, name="lstm")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(images, blocks.posterior_heads(x, latent_dim, image_shape), name="encoder")
