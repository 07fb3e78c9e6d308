"""Discriminators and critics: images `(n, height, width, channels)` to one logit or score, `(n, 1)`."""

from __future__ import annotations

from collections.abc import Sequence

import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
from keras import layers

from keras_gen import checks
from keras_gen.networks import blocks


def conv_discriminator(
    image_shape: tuple[int, int, int],
    *,
    filters: Sequence[int] = (64, 64),
    dropout: float = 0.4,
    slope: float = 0.2,
) -> keras.Model:
    """3×3 convolutions with stride 2, each with LeakyReLU and dropout, then one dense unit.

    Args:
        image_shape: `(height, width, channels)`.
        filters: of the convolutions, first to last.
        dropout: rate; with 0 there are no dropout layers.
        slope: of the LeakyReLU.

    Example:
        >>> conv_discriminator((28, 28, 1)).count_params()
        40705
    """
    dropout, slope = checks.fraction("dropout", dropout), checks.non_negative("slope", slope)
    image_shape = blocks.check_image_shape(image_shape)
    images = keras.Input(image_shape, name="images")
    x = images
    for count in blocks.check_widths("filters", filters):
        x = layers.Conv2D(count, 3, strides=2, padding="same")(x)
        x = layers.LeakyReLU(slope)(x)
        if dropout:
            x = layers.Dropout(dropout)(x)
    x = blocks.dense(layers.Flatten()(x), 1, image_shape)
    return keras.Model(images, x, name="discriminator")
