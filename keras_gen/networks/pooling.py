"""Networks of plain autoencoders: images to codes, which are small images, and codes to the logits of images."""

from __future__ import annotations

from collections.abc import Sequence

from keras_gen.utils.backend import channels_last  # first: Keras must run on TensorFlow
import keras
from keras import layers

from keras_gen.networks import blocks
from keras_gen.networks.layers import Conv2D


@channels_last()
def pooling_encoder(image_shape: tuple[int, int, int], *, filters: Sequence[int] = (16, 8, 8)) -> keras.Model:
    """Build an encoder of 3×3 convolutions with ReLU and 2×2 max-pooling, which halves the size, rounding up.

    For 28×28 and three filters the sizes are 28 → 14 → 7 → 4; a code is 4×4 with `filters[-1]` channels.

    Args:
        image_shape: tuple, `(height, width, channels)`.
        filters: sequence of int, filters of the convolutions. Defaults to `(16, 8, 8)`.

    Example:
        >>> pooling_encoder((28, 28, 1)).output_shape
        (None, 4, 4, 8)
    """
    image_shape = blocks.check_image_shape(image_shape)
    images = keras.Input(image_shape, name="images")
    x = images
    for count in blocks.check_widths("filters", filters):
        x = Conv2D(count, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D(2, padding="same")(x)
    return keras.Model(images, x, name="encoder")


@channels_last()
def resizing_decoder(image_shape: tuple[int, int, int], *, filters: Sequence[int] = (8, 8, 16)) -> keras.Model:
    """Build a decoder of 3×3 convolutions with ReLU, each after a nearest-neighbor resize, and a last convolution.

    The sizes are those of `pooling_encoder` in reverse order: for 28×28 and three filters 4 → 7 → 14 → 28. A code has
    `filters[0]` channels.

    XLA has no gradient of that resize: a model with this network can't be compiled with `jit_compile=True`.

    Args:
        image_shape: tuple, `(height, width, channels)`.
        filters: sequence of int, filters of the convolutions, those of the `pooling_encoder` in reverse order. Defaults
            to `(8, 8, 16)`.

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
        x = Conv2D(count, 3, padding="same", activation="relu")(x)
    x = Conv2D(image_shape[-1], 3, padding="same")(x)
    return keras.Model(codes, x, name="decoder")
