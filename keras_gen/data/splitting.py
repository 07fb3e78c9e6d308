"""Split validation and test images off the training images, at random with a fixed seed."""

from __future__ import annotations

import math
import numbers
import re

import numpy as np

from keras_gen.utils.errors import UsageError, must_be

_SEED = 0
_VALIDATION = "a fraction from 0 to below 1 or a count of images"
_NAMES = {"train": "train|training", "validation": "val|valid|validation|dev", "test": "test|testing"}


def role_of(name: str) -> str | None:
    """Return the split that a folder or an array is named after: "train", "validation" or "test", else `None`.

    Example:
        >>> role_of("Training"), role_of("val2017"), role_of("test_set"), role_of("cat")
        ('train', 'validation', 'test', None)
    """
    for role, names in _NAMES.items():
        if re.fullmatch(rf"({names})([ _-]?(set|split|data|images))?(20\d\d)?", name, re.IGNORECASE):
            return role
    return None


def check_validation(value: object) -> int | float:
    """Return `value` as a count (`int`) or a fraction (`float`) of the training images."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool) and value >= 0:
        return int(value)
    if (
        isinstance(value, numbers.Real)
        and not isinstance(value, numbers.Integral)
        and math.isfinite(value)
        and 0 <= value < 1
    ):
        return float(value)
    raise must_be("validation", _VALIDATION, value)


def split_off_validation(images: int, validation: int | float) -> tuple[np.ndarray, np.ndarray]:
    """Return indices of the remaining training images and of the validation images.

    Args:
        images: int, number of training images.
        validation: int or float, count or fraction from `check_validation`. A fraction above 0 takes at least one.

    Raises:
        UsageError: no training images would remain.

    Example:
        >>> [len(indices) for indices in split_off_validation(60, 1 / 12)]
        [55, 5]
    """
    count = validation
    if isinstance(validation, float):
        count = max(1, round(validation * images)) if validation else 0
    if count >= images:
        raise must_be("validation", f"less than all {images} training images", validation)
    return _split_off(images, count)


def split_off_test(images: int, origin: str) -> tuple[np.ndarray, np.ndarray]:
    """Return indices of the remaining images and of a random tenth, for sources without a test split.

    Raises:
        UsageError: there are fewer than 3 images, one for each split.

    Example:
        >>> [len(indices) for indices in split_off_test(60, "faces")]
        [54, 6]
    """
    if images < 3:
        raise UsageError(f"{origin} must hold at least 3 images to be split, received: {images}")
    return _split_off(images, max(1, round(images / 10)))


def _split_off(images: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    # Random, since a source may be ordered by class; sorted, so that the splits keep the source's order.
    order = np.random.default_rng(_SEED).permutation(images)
    return np.sort(order[count:]), np.sort(order[:count])
