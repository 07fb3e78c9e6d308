"""Discriminators and critics: images `(n, height, width, channels)` to one logit or score, `(n, 1)`."""

from __future__ import annotations

from collections.abc import Sequence

from keras_gen.utils.backend import channels_last  # first: Keras must run on TensorFlow
import keras
from keras import layers

from keras_gen.networks import blocks
from keras_gen.networks.layers import Conv2D, Dropout
from keras_gen.utils import checks
from keras_gen.utils.errors import must_be

NORMALIZATIONS = {"batch": blocks.batch_norm, "layer": blocks.layer_norm, "spectral": None, "none": None}
"""Functions that normalize the outputs of layers; `"spectral"` normalizes their weights instead."""


@channels_last()
def mlp_discriminator(
    image_shape: tuple[int, int, int],
    *,
    hidden: Sequence[int] = (300,),
    normalization: str = "none",
    num_classes: int = 0,
) -> keras.Model:
    """Build a discriminator of dense layers with ReLU and a dense layer with one unit.

    Args:
        image_shape: tuple, `(height, width, channels)`.
        hidden: sequence of int, units of the hidden layers. Defaults to `(300,)`.
        normalization: str, `"none"`, the default, or `"spectral"`, as in `deep_conv_discriminator`.
        num_classes: int, number of classes of a conditional network. Defaults to 0, unconditional.

    Example:
        >>> mlp_discriminator((28, 28, 1)).count_params()
        235801
    """
    image_shape = blocks.check_image_shape(image_shape)
    inputs, x = blocks.image_inputs(image_shape, num_classes)
    x = layers.Flatten()(x)
    checks.one_of("normalization", normalization, ("none", "spectral"))
    for units in blocks.check_widths("hidden", hidden):
        x = blocks.dense(x, units, image_shape, normalization=normalization, activation="relu")
    return keras.Model(inputs, _score(x, image_shape, normalization), name="discriminator")


@channels_last()
def conv_discriminator(
    image_shape: tuple[int, int, int],
    *,
    filters: Sequence[int] = (64, 64),
    dropout: float = 0.4,
    slope: float = 0.2,
    normalization: str = "none",
    num_classes: int = 0,
) -> keras.Model:
    """Build a discriminator of 3×3 convolutions with stride 2, LeakyReLU and dropout, and one dense unit.

    Args:
        image_shape: tuple, `(height, width, channels)`.
        filters: sequence of int, filters of the convolutions. Defaults to `(64, 64)`.
        dropout: float, dropout rate; 0 for no dropout layers. Defaults to 0.4.
        slope: float, negative slope of the LeakyReLU. Defaults to 0.2.
        normalization: str, as in `deep_conv_discriminator`. Defaults to `"none"`.
        num_classes: int, number of classes of a conditional network. Defaults to 0, unconditional.

    Example:
        >>> conv_discriminator((28, 28, 1)).count_params()
        40705
    """
    filters = blocks.check_widths("filters", filters)
    return deep_conv_discriminator(
        image_shape,
        filters=filters,
        normalization=normalization,
        kernel_size=3,
        strides=(2,) * len(filters),
        dropout=dropout,
        slope=slope,
        num_classes=num_classes,
    )


@channels_last()
def deep_conv_discriminator(
    image_shape: tuple[int, int, int],
    *,
    filters: Sequence[int] = (64, 128),
    normalized: Sequence[bool] | None = None,
    normalization: str = "batch",
    kernel_size: int | Sequence[int] = 5,
    strides: Sequence[int] | None = None,
    dropout: float = 0.0,
    slope: float = 0.2,
    num_classes: int = 0,
) -> keras.Model:
    """Build a discriminator of convolutions with normalization, LeakyReLU and dropout, and one dense unit.

    The dense unit is equivalent to a last convolution to one filter with a kernel of the size of its input.

    Args:
        image_shape: tuple, `(height, width, channels)`.
        filters: sequence of int, filters of the convolutions. Defaults to `(64, 128)`.
        normalized: sequence of bool, which convolutions have the batch or layer normalization, if there is one.
            Defaults to all but the first.
        normalization: str, `"batch"`, the default; `"layer"`, which normalizes each image by itself, as a gradient
            penalty requires; `"spectral"`, `keras.layers.SpectralNormalization` of all layers' weights, the dense
            unit's too, except those of the layer that embeds labels, which bounds the slope with respect to images
            (Miyato et al. 2018); or `"none"`.
        kernel_size: int or sequence of int, kernel sizes of the convolutions. Defaults to 5.
        strides: sequence of int, strides of the convolutions. Defaults to 2 while the side exceeds 4, else 1.
        dropout: float, dropout rate; 0 for no dropout layers. Defaults to 0.0.
        slope: float, negative slope of the LeakyReLU. Defaults to 0.2.
        num_classes: int, number of classes of a conditional network. Defaults to 0, unconditional.

    Example:
        >>> critic = deep_conv_discriminator((32, 32, 3), filters=(64, 128, 256), normalization="layer")
        >>> critic.output_shape
        (None, 1)
    """
    image_shape = blocks.check_image_shape(image_shape)
    filters = blocks.check_widths("filters", filters)
    normalize = NORMALIZATIONS[checks.one_of("normalization", normalization, NORMALIZATIONS)]
    if normalized is not None and normalization == "spectral":
        raise must_be("normalized", "left out with normalization 'spectral', which is for all layers", normalized)
    normalized = _check_normalized(normalized, len(filters))
    sizes = kernel_size if isinstance(kernel_size, list | tuple) else [kernel_size] * len(filters)
    if len(blocks.check_widths("kernel_size", sizes)) != len(filters):
        raise must_be("kernel_size", f"an integer or {len(filters)} integers", kernel_size)
    strides = blocks.check_strides(strides, filters, image_shape)
    dropout, slope = checks.fraction("dropout", dropout), checks.non_negative("slope", slope)
    inputs, x = blocks.image_inputs(image_shape, num_classes)
    for count, size, stride, is_normalized in zip(filters, sizes, strides, normalized, strict=True):
        x = blocks.of_weights(normalization, Conv2D(count, size, strides=stride, padding="same"))(x)
        if is_normalized and normalize:
            x = normalize(x)
        x = layers.LeakyReLU(slope)(x)
        if dropout:
            x = Dropout(dropout)(x)
    return keras.Model(inputs, _score(layers.Flatten()(x), image_shape, normalization), name="discriminator")


def _score(inputs, image_shape, normalization):
    """Return one score an image, computed in the precision of the weights: float32 if the other layers use bfloat16.

    Near the equilibrium of a GAN all scores are near 0 and their loss's gradients near ±0.5, whose small differences
    bfloat16 rounds away.
    """
    dtype = keras.config.dtype_policy().variable_dtype
    return blocks.dense(inputs, 1, image_shape, normalization=normalization, dtype=dtype)


def _check_normalized(normalized, count):
    if normalized is None:
        return [index > 0 for index in range(count)]
    is_sequence = isinstance(normalized, list | tuple)
    if not is_sequence or len(normalized) != count or not all(isinstance(value, bool) for value in normalized):
        raise must_be("normalized", f"a sequence of booleans as long as filters, {count}", normalized)
    return normalized
