"""Pieces that several builders share, and the checks of their arguments."""

from __future__ import annotations

import itertools

import keras_gen.utils.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
import keras
from keras import KerasTensor, layers

from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be

MAX_WEIGHTS = 1_000_000_000
"""Largest dense layer that is built: 10⁹ float32 weights are 4 GB, and training needs four times that."""

SMALL_SIDE = 4
"""Convolutional stacks halve height and width while they are over this, then leave them."""


def check_image_shape(image_shape: object, *, divisible_by: int = 1) -> tuple[int, int, int]:
    """`image_shape` as `(height, width, channels)` of positive integers.

    Args:
        image_shape: what the caller was given.
        divisible_by: what height and width must be a multiple of, for a network that doubles the size step by step.

    Raises:
        UsageError: it is something else.
    """
    try:
        height, width, channels = (checks.positive_int("image_shape", size) for size in image_shape)
    except (TypeError, ValueError):
        raise must_be("image_shape", "(height, width, channels), three positive integers", image_shape) from None
    if height % divisible_by or width % divisible_by:
        raise must_be("image_shape", f"of a height and width that are multiples of {divisible_by}", image_shape)
    return height, width, channels


def image_inputs(
    image_shape: tuple[int, int, int], num_classes: int
) -> tuple[KerasTensor | list[KerasTensor], KerasTensor]:
    """Inputs of a network that sees images, and what its first layer gets.

    Args:
        image_shape: `(height, width, channels)`.
        num_classes: of a conditional network; 0 for none.

    Returns:
        Without classes the input `images`, twice. With classes the list of `images` and `labels`, one-hot rows
        `(n, num_classes)`, and the images with one more channel: of each class a plane that is learned.

    Example:
        >>> inputs, x = image_inputs((28, 28, 1), num_classes=10)
        >>> [tensor.shape for tensor in inputs], x.shape
        ([(None, 28, 28, 1), (None, 10)], (None, 28, 28, 2))
    """
    height, width, _ = image_shape
    num_classes = checks.non_negative_int("num_classes", num_classes)
    images = keras.Input(image_shape, name="images")
    if not num_classes:
        return images, images
    labels = keras.Input((num_classes,), name="labels")
    plane = dense(labels, height * width, image_shape, use_bias=False, name="label_plane")
    plane = layers.Reshape((height, width, 1))(plane)
    return [images, labels], layers.Concatenate()([images, plane])


def latent_inputs(latent_dim: int, num_classes: int) -> tuple[KerasTensor | list[KerasTensor], KerasTensor]:
    """Inputs of a network that sees latents, and what its first layer gets.

    Args:
        latent_dim: size of a latent.
        num_classes: of a conditional network; 0 for none.

    Returns:
        Without classes the input `latents`, twice. With classes the list of `latents` and `labels`, one-hot rows
        `(n, num_classes)`, and the two joined.

    Example:
        >>> inputs, x = latent_inputs(16, num_classes=10)
        >>> [tensor.shape for tensor in inputs], x.shape
        ([(None, 16), (None, 10)], (None, 26))
    """
    num_classes = checks.non_negative_int("num_classes", num_classes)
    latents = keras.Input((checks.positive_int("latent_dim", latent_dim),), name="latents")
    if not num_classes:
        return latents, latents
    labels = keras.Input((num_classes,), name="labels")
    return [latents, labels], layers.Concatenate()([latents, labels])


def dense(inputs: KerasTensor, units: int, image_shape: tuple[int, int, int], **options) -> KerasTensor:
    """A dense layer on `inputs`, unless it would not fit into memory.

    Args:
        inputs: `(n, features)`.
        units: of the layer.
        image_shape: that the network is built for, which the error message names.
        **options: of `keras.layers.Dense`.

    Raises:
        UsageError: the layer would have more than `MAX_WEIGHTS` weights; nothing was allocated for it.
    """
    check_weights(inputs.shape[-1], units, image_shape)
    return layers.Dense(units, **options)(inputs)


def check_weights(features: int, units: int, image_shape: tuple[int, int, int]) -> None:
    """`UsageError` where a layer that joins each of `features` with each of `units` would not fit into memory."""
    if features * units > MAX_WEIGHTS:
        raise UsageError(
            "image_shape, latent_dim, num_classes and layer widths must be small enough for a dense layer of at most "
            f"{MAX_WEIGHTS:,} weights, received: {features:,} x {units:,} weights for images {image_shape}"
        )


def check_widths(argument: str, widths: object) -> tuple[int, ...]:
    """`widths` as a tuple of at least one positive integer: units or filters of a stack of layers."""
    if not isinstance(widths, list | tuple) or not widths:
        raise must_be(argument, "a sequence of positive integers", widths)
    return tuple(checks.positive_int(argument, width) for width in widths)


def check_odd(argument: str, size: object) -> int:
    """`size` as an odd positive integer: the kernel of a transposed convolution that must reach odd sizes too."""
    if checks.positive_int(argument, size) % 2 == 0:
        raise must_be(argument, "an odd integer", size)
    return int(size)


def sizes_down(image_shape: tuple[int, int, int], steps: int, *, small_side: int = SMALL_SIDE) -> list[tuple[int, int]]:
    """`(height, width)` of the image and after each of `steps`, which halves what is over `small_side`, rounding up.

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
    """Strides of the convolutions, vertical and horizontal.

    Args:
        strides: one a convolution, or `None`: 2 while the side is over `SMALL_SIDE`, else 1.
        filters: of the convolutions.
        image_shape: `(height, width, channels)`.

    Example:
        >>> check_strides(None, (32, 64, 128, 128), (28, 28, 1))
        [(2, 2), (2, 2), (2, 2), (1, 1)]
    """
    if strides is None:
        sizes = sizes_down(image_shape, len(filters))
        return [_strides_between(larger, smaller) for larger, smaller in itertools.pairwise(sizes)]
    strides = check_widths("strides", strides)
    if len(strides) != len(filters):
        raise must_be("strides", f"as many as there are filters, {len(filters)}", strides)
    return [(stride, stride) for stride in strides]


def transposed_conv(x: KerasTensor, filters: int, kernel_size: int, size: tuple[int, int]) -> KerasTensor:
    """A transposed convolution from the size of `x` to `size`, the mirror of a convolution that halves, rounding up.

    Args:
        x: `(n, height, width, channels)`.
        filters: of the layer.
        kernel_size: odd, so that it has a middle.
        size: `(height, width)` to reach, each the present one, twice it, or twice it less 1.
    """
    strides = _strides_between(size, x.shape[1:3])
    # Without padding of the output, stride 2 takes n to 2n - 1; the mirror of 28 -> 14 -> 7 -> 4 needs both sizes.
    missing = tuple(
        new - ((old - 1) * stride + 1) for new, old, stride in zip(size, x.shape[1:3], strides, strict=True)
    )
    return layers.Conv2DTranspose(filters, kernel_size, strides=strides, padding="same", output_padding=missing)(x)


def batch_norm(x: KerasTensor) -> KerasTensor:
    """Batch normalization by the statistics of the global batch, so that N replicas compute what one device would."""
    # A critic with weights clipped at 0.01 has activations with variances below Keras' own epsilon of 1e-3: it would
    # leave them as small as they are, and the generator's gradient at 1e-9.
    return layers.BatchNormalization(synchronized=True, epsilon=1e-5)(x)


def layer_norm(x: KerasTensor) -> KerasTensor:
    """Normalisation of each image by itself, over height, width and channels."""
    return layers.GroupNormalization(groups=1)(x)


def posterior_heads(features: KerasTensor, latent_dim: int, image_shape: tuple[int, int, int]) -> list[KerasTensor]:
    """Two dense layers, the posterior's mean and log-variance."""
    latent_dim = checks.positive_int("latent_dim", latent_dim)
    return [dense(features, latent_dim, image_shape, name=name) for name in ("mean", "log_variance")]


def _strides_between(larger, smaller):
    return tuple(1 if new == old else 2 for new, old in zip(larger, smaller, strict=True))
