"""Pieces that several builders share, and the checks of their arguments."""

from __future__ import annotations

import keras_gen.backend  # noqa: F401  (first: Keras must come up on TensorFlow)
from keras import KerasTensor, layers

from keras_gen import checks
from keras_gen.errors import UsageError, must_be

MAX_WEIGHTS = 1_000_000_000
"""Largest dense layer that is built: 10⁹ float32 weights are 4 GB, and training needs four times that."""


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
    if inputs.shape[-1] * units > MAX_WEIGHTS:
        raise UsageError(
            "image_shape, latent_dim and layer widths must be small enough for a dense layer of at most "
            f"{MAX_WEIGHTS:,} weights, received: {inputs.shape[-1]:,} x {units:,} weights for images {image_shape}"
        )
    return layers.Dense(units, **options)(inputs)


def check_widths(argument: str, widths: object) -> tuple[int, ...]:
    """`widths` as a tuple of at least one positive integer: units or filters of a stack of layers."""
    if not isinstance(widths, list | tuple) or not widths:
        raise must_be(argument, "a sequence of positive integers", widths)
    return tuple(checks.positive_int(argument, width) for width in widths)


def posterior_heads(features: KerasTensor, latent_dim: int, image_shape: tuple[int, int, int]) -> list[KerasTensor]:
    """Two dense layers, the posterior's mean and log-variance."""
    latent_dim = checks.positive_int("latent_dim", latent_dim)
    return [dense(features, latent_dim, image_shape, name=name) for name in ("mean", "log_variance")]
