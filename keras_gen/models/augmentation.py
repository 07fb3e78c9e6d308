"""Differentiable augmentation of what a discriminator sees, against overfitting to few images.

Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training", arXiv:2006.10738. Real and generated
images are augmented alike, each at random; gradients pass through to the generator.
"""

from __future__ import annotations

from collections.abc import Callable

import keras_gen.utils.backend  # noqa: F401  (first: Keras must run on TensorFlow)
import tensorflow as tf

from keras_gen import distribution
from keras_gen.utils.errors import UsageError, must_be, suggestion

SHIFT, HOLE = 1 / 8, 1 / 2
"""Largest translation, and side of the cutout, as fractions of an image's side."""


def augment(images: tf.Tensor, policy: str, key: tf.Tensor, value_range: tuple[int, int]) -> tf.Tensor:
    """Augment each image at random.

    Args:
        images: float32 tensor `(n, height, width, channels)` in `value_range`; results can exceed it.
        policy: str, names of `POLICIES` separated by commas, applied in this order; empty for none.
        key: random key. The draws do not depend on the number of replicas.
        value_range: tuple, (0, 1) or (-1, 1).

    Example:
        >>> images = tf.zeros((2, 32, 32, 3))
        >>> augment(images, "color,translation", tf.constant([0, 0]), (-1, 1)).shape
        TensorShape([2, 32, 32, 3])
    """
    low, high = value_range
    half, middle = (high - low) / 2, (high + low) / 2
    images = (images - middle) / half  # the method is defined for images in [-1, 1]
    for index, name in enumerate(_names(policy)):
        images = POLICIES[name](images, tf.random.fold_in(key, index))
    return images * half + middle


def check(argument: str, value: object) -> str:
    """Return a policy, names of `POLICIES` separated by commas, or an empty string.

    Raises:
        UsageError: `value` is anything else.
    """
    unknown = [name for name in _names(value) if name not in POLICIES] if isinstance(value, str) else [value]
    if unknown:
        requirement = f"names among {', '.join(POLICIES)}, separated by commas"
        raise UsageError(f"{must_be(argument, requirement, value)}{suggestion(unknown[0], POLICIES)}")
    return value


def _names(policy: str) -> list[str]:
    return [name.strip() for name in policy.split(",")] if policy else []


def _color(images, key):
    """Change brightness by −0.5 to 0.5, then multiply saturation by 0 to 2 and contrast by 0.5 to 1.5."""
    brightness, saturation, contrast = tf.unstack(_uniform(images, 3, key), axis=-1)
    images += brightness - 0.5
    gray = tf.reduce_mean(images, axis=3, keepdims=True)
    images = (images - gray) * (2.0 * saturation) + gray
    mean = tf.reduce_mean(images, axis=(1, 2, 3), keepdims=True)
    return (images - mean) * (contrast + 0.5) + mean


def _translation(images, key):
    """Move by up to an eighth of the side along each axis; what comes in is 0."""
    size = tf.shape(images)[1:3]
    most = tf.cast(tf.cast(size, tf.float32) * SHIFT + 0.5, tf.int32)
    draws = _uniform(images, 2, key)[:, 0, 0, 0]
    shifts = tf.cast(tf.floor(draws * tf.cast(2 * most + 1, tf.float32)), tf.int32) - most
    for axis in (1, 2):
        places = tf.range(size[axis - 1])[None] + shifts[:, axis - 1, None]
        is_inside = (places >= 0) & (places < size[axis - 1])
        taken = tf.gather(images, tf.clip_by_value(places, 0, size[axis - 1] - 1), axis=axis, batch_dims=1)
        shape = (-1, size[0], 1, 1) if axis == 1 else (-1, 1, size[1], 1)
        images = taken * tf.reshape(tf.cast(is_inside, tf.float32), shape)
    return images


def _cutout(images, key):
    """Set a square of half the side to 0; its center is anywhere in the image."""
    size = tf.cast(tf.shape(images)[1:3], tf.float32)
    side = tf.floor(size * HOLE + 0.5)
    centers = tf.floor(_uniform(images, 2, key)[:, 0, 0, 0] * (size + 1 - side % 2))
    covered = tf.ones((), tf.bool)
    for axis, shape in ((0, (-1, 1)), (1, (1, -1))):
        places = tf.reshape(tf.range(size[axis]), shape)[None]
        first = tf.reshape(centers[:, axis] - side[axis] // 2, (-1, 1, 1))
        covered = covered & (places >= first) & (places < first + side[axis])
    return images * tf.cast(~covered, tf.float32)[..., None]


def _uniform(images, count, key):
    """Return `count` uniform random numbers in [0, 1) for each image, `(n, 1, 1, 1, count)`."""
    return distribution.uniform((tf.shape(images)[0], 1, 1, 1, count), key)


POLICIES: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "color": _color,
    "translation": _translation,
    "cutout": _cutout,
}
"""Augmentations by name, each a function of images in [-1, 1] and a random key. To add one, add an entry."""
