"""Networks of plain autoencoders: images to a code, itself a small image, and a code to the logits of images."""

from __future__ import annotations

from collections.abc import Sequence

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
from keras import layers

from keras_gen.networks import blocks


def pooling_encoder(image_shape: tuple[int, int, int], *, filters: Sequence[int] = (16, 8, 8)) -> keras.Model:
    """3×3 convolutions with ReLU, each before a 2×2 max-pooling, which halves the size, rounding up.

    For 28×28 and three filters: 28 → 14 → 7 → 4, and the code is 4×4 of the last filters.

    Args:
        image_shape: `(height, width, channels)`.
        filters: of the convolutions, first to last.

    Example:
        >>> pooling_encoder((28, 28, 1)).output_shape
        (None, 4, 4, 8)
    """
    image_shape = blocks.check_image_shape(image_shape)
    images = keras.Input(image_shape, name="images")
    x = images
    for count in blocks.check_widths("filters", filters):
        x = layers.Conv2D(count, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2, padding="same")(x)
    return keras.Model(images, x, name="encoder")


def resizing_decoder(image_shape: tuple[int, int, int], *, filters: Sequence[int] = (8, 8, 16)) -> keras.Model:
    """3×3 convolutions with ReLU, each after a resize by nearest neighbors, and a convolution to the channels.

    The sizes are those of `pooling_encoder`, backwards: for 28×28 and three filters 4 → 7 → 14 → 28. A code has as many
    channels as the first filters.

    XLA has no gradient of that resize: a model of this network can't be compiled with `jit_compile=True`.

    Args:
        image_shape: `(height, width, channels)`.
        filters: of the convolutions, first to last; a `pooling_encoder`'s, reversed.

    Example:
        >>> resizing_decoder((28, 28, 1)).input_shape
        (None, 4, 4, 8)
    """
    image_shape = blocks.check_image_shape(image_shape)
    filters = blocks.check_widths("filters", filters)
    start, *sizes = reversed(blocks.sizes_down(image_shape, len(filters), small_side=1))
    codes = keras.Input((*start, filters[0]), name="codes")
    x = codes
    for count, size in zip(filters, sizes, strict=True):
        x = layers.Resizing(*size, interpolation="nearest")(x)
        x = layers.Conv2D(count, 3, padding="same", activation="relu")(x)
    x = layers.Conv2D(image_shape[-1], 3, padding="same")(x)
    return keras.Model(codes, x, name="decoder")
