"""Layers shared by the network builders, and checks of their arguments."""

from __future__ import annotations

import itertools

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import keras
from keras import KerasTensor, layers

from keras_gen.networks.layers import Conv2DTranspose, Dense
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be

MAX_WEIGHTS = 1_000_000_000
"""Maximum weights of a dense layer: 10⁹ float32 weights take 4 GB, and training takes four times that."""

SMALL_SIDE = 4
"""Convolutional stacks halve height and width while they exceed this."""


def check_image_shape(image_shape: object, *, divisible_by: int = 1) -> tuple[int, int, int]:
    """Check that `image_shape` is `(height, width, channels)`, three positive integers, and return it as a tuple.

    `divisible_by` is a divisor of height and width, for a network that doubles the size several times.
    """
    try:
        height, width, channels = (checks.positive_int("image_shape", size) for size in image_shape)
    except (TypeError, ValueError):
        raise must_be("image_shape", "(height, width, channels), three positive integers", image_shape) from None
    if height % divisible_by or width % divisible_by:
        raise must_be("image_shape", f"of height and width that are multiples of {divisible_by}", image_shape)
    return height, width, channels


def image_inputs(
    image_shape: tuple[int, int, int], num_classes: int
) -> tuple[KerasTensor | list[KerasTensor], KerasTensor]:
    """Return the inputs of a network on images, and the tensor for its first layer.

    Without classes both are the input `images`. With classes the inputs are `images` and `labels`, one-hot
    `(n, num_classes)`; the tensor is the images with an additional channel, a learned plane for each class.

    Example:
        >>> inputs, x = image_inputs((28, 28, 1), num_classes=10)
        >>> [tensor.shape for tensor in inputs], x.shape
        ([(None, 28, 28, 1), (None, 10)], (None, 28, 28, 2))
    """
    height, width, _ = image_shape
    num_classes = _check_classes(num_classes)
    images = keras.Input(image_shape, name="images")
    if not num_classes:
        return images, images
    labels = keras.Input((num_classes,), name="labels")
    plane = dense(labels, height * width, image_shape, use_bias=False, name="label_plane")
    plane = layers.Reshape((height, width, 1))(plane)
    return [images, labels], layers.Concatenate()([images, plane])


def _check_classes(num_classes: int) -> int:
    if checks.non_negative_int("num_classes", num_classes) == 1:
        raise must_be("num_classes", "0, or at least 2", num_classes)
    return int(num_classes)


def latent_inputs(latent_dim: int, num_classes: int) -> tuple[KerasTensor | list[KerasTensor], KerasTensor]:
    """Return the inputs of a network on latents, and the tensor for its first layer.

    Without classes both are the input `latents`. With classes the inputs are `latents` and `labels`, one-hot
    `(n, num_classes)`; the tensor is their concatenation.

    Example:
        >>> inputs, x = latent_inputs(16, num_classes=10)
        >>> [tensor.shape for tensor in inputs], x.shape
        ([(None, 16), (None, 10)], (None, 26))
    """
    num_classes = _check_classes(num_classes)
    latents = keras.Input((checks.positive_int("latent_dim", latent_dim),), name="latents")
    if not num_classes:
        return latents, latents
    labels = keras.Input((num_classes,), name="labels")
    return [latents, labels], layers.Concatenate()([latents, labels])


def dense(
    inputs: KerasTensor, units: int, image_shape: tuple[int, int, int], *, normalization: str = "none", **options
) -> KerasTensor:
    """Apply a dense layer to `inputs`, `(n, features)`, after `check_weights`: nothing is allocated if it is too large.

    `image_shape` is the network's, for the error message; `normalization` is as in `of_weights`, and `options` are
    those of `keras.layers.Dense`.
    """
    check_weights(inputs.shape[-1], units, image_shape)
    return of_weights(normalization, Dense(units, **options))(inputs)


def of_weights(normalization: str, layer: keras.layers.Layer) -> keras.layers.Layer:
    """Return the layer, with its weights normalized if `normalization` is `"spectral"` (Miyato et al. 2018)."""
    # In float32 with any precision of the layer: the normalized weights are written back to the layer's variables.
    return layers.SpectralNormalization(layer, dtype="float32") if normalization == "spectral" else layer


def check_weights(features: int, units: int, image_shape: tuple[int, int, int]) -> None:
    """Check that a dense layer from `features` to `units` has at most `MAX_WEIGHTS` weights, or raise `UsageError`."""
    if features * units > MAX_WEIGHTS:
        raise UsageError(
            "image_shape, latent_dim, num_classes and layer widths must be small enough for a dense layer of at most "
            f"{MAX_WEIGHTS:,} weights, received: {features:,} x {units:,} weights for images {image_shape}"
        )


def check_widths(argument: str, widths: object) -> tuple[int, ...]:
    """Check that `widths`, units or filters, is a non-empty sequence of positive integers; return it as a tuple."""
    if not isinstance(widths, list | tuple) or not widths:
        raise must_be(argument, "a sequence of positive integers", widths)
    return tuple(checks.positive_int(argument, width) for width in widths)


def check_activation(activation: object) -> None:
    """Check that `activation` is the name of an activation of hidden layers, or raise `UsageError`."""
    checks.one_of("activation", activation, ("relu", "tanh"))


def check_odd(argument: str, size: object) -> int:
    """Check that `size`, a kernel size, is an odd positive integer, as transposed convolutions to odd sizes need it."""
    if checks.positive_int(argument, size) % 2 == 0:
        raise must_be(argument, "an odd integer", size)
    return int(size)


def sizes_down(image_shape: tuple[int, int, int], steps: int, *, small_side: int = SMALL_SIDE) -> list[tuple[int, int]]:
    """Return `(height, width)` of the image and after each step, which halves sides over `small_side`, rounding up.

    Example:
        >>> sizes_down((28, 20, 1), 4)
        [(28, 20), (14, 10), (7, 5), (4, 3), (4, 3)]
    """
    sizes = [image_shape[:2]]
    for _ in range(steps):
        sizes.append(tuple((side + 1) // 2 if side > small_side else side for side in sizes[-1]))
    return sizes


def check_strides(
    strides: object, filters: tuple[int, ...], image_shape: tuple[int, int, int]
) -> list[tuple[int, int]]:
    """Return the vertical and horizontal strides of each convolution.

    `strides` is a sequence of int, one per convolution, or None: 2 while the side exceeds `SMALL_SIDE`, else 1.

    Example:
        >>> check_strides(None, (32, 64, 128, 128), (28, 28, 1))
        [(2, 2), (2, 2), (2, 2), (1, 1)]
    """
    if strides is None:
        sizes = sizes_down(image_shape, len(filters))
        return [_strides_between(larger, smaller) for larger, smaller in itertools.pairwise(sizes)]
    strides = check_widths("strides", strides)
    if len(strides) != len(filters):
        raise must_be("strides", f"as long as filters, {len(filters)}", strides)
    return [(stride, stride) for stride in strides]


def transposed_conv(x: KerasTensor, filters: int, kernel_size: int, size: tuple[int, int]) -> KerasTensor:
    """Apply a transposed convolution that maps the size of `x` to `size`, the inverse of halving with rounding up.

    Each of `size`, `(height, width)`, equals that of `x`, twice it, or twice it minus 1. The kernel size is odd.
    """
    strides = _strides_between(size, x.shape[1:3])
    # Without output padding, stride 2 maps n to 2n - 1; the inverse of 28 -> 14 -> 7 -> 4 needs 2n and 2n - 1.
    output_padding = tuple(
        new - ((old - 1) * stride + 1) for new, old, stride in zip(size, x.shape[1:3], strides, strict=True)
    )
    options = {"strides": strides, "padding": "same", "output_padding": output_padding}
    return Conv2DTranspose(filters, kernel_size, **options)(x)


def batch_norm(x: KerasTensor) -> KerasTensor:
    """Apply batch normalization with the statistics of the global batch, so that N replicas compute the same as one."""
    # The activations of a critic with weights clipped at 0.01 have variances below 1e-3, Keras' default epsilon, which
    # would leave them unnormalized and the generator's gradient at 1e-9.
    return layers.BatchNormalization(synchronized=True, epsilon=1e-5)(x)


def layer_norm(x: KerasTensor) -> KerasTensor:
    """Apply layer normalization: normalize each image over height, width and channels."""
    return layers.GroupNormalization(groups=1)(x)


def posterior_heads(features: KerasTensor, latent_dim: int, image_shape: tuple[int, int, int]) -> list[KerasTensor]:
    """Apply two dense layers that return the posterior's mean and log-variance."""
    latent_dim = checks.positive_int("latent_dim", latent_dim)
    return [dense(features, latent_dim, image_shape, name=name) for name in ("mean", "log_variance")]


def _strides_between(larger, smaller):
    return tuple(1 if new == old else 2 for new, old in zip(larger, smaller, strict=True))
