"""Taking validation and test images out of the training images: at random, always the same ones."""

from __future__ import annotations

import math
import numbers

import numpy as np

from keras_gen.data.image_data import Split
from keras_gen.errors import UsageError, must_be

_SEED = 0
_VALIDATION = "a fraction from 0 to below 1 or a count of images"


def check_validation(value: object) -> int | float:
    """`value` as a count (`int`) or a fraction (`float`) of the training images."""
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


def split_off_validation(train: Split, validation: int | float) -> tuple[Split, Split]:
    """`train` without the validation images, and those. A fraction above 0 takes at least one image.

    Raises:
        UsageError: nothing would be left to train on.
    """
    count = validation
    if isinstance(validation, float):
        count = max(1, round(validation * len(train))) if validation else 0
    if count >= len(train):
        raise must_be("validation", f"less than all {len(train)} training images", validation)
    return _split_off(train, count)


def split_off_test(train: Split, origin: str) -> tuple[Split, Split]:
    """`train` without a random tenth, and that tenth: for sources without a test split.

    Raises:
        UsageError: there are fewer than the 3 images that three splits need.
    """
    if len(train) < 3:
        raise UsageError(f"{origin} must hold at least 3 images to be split, received: {len(train)}")
    return _split_off(train, max(1, round(len(train) / 10)))


def _split_off(split: Split, count: int) -> tuple[Split, Split]:
    # At random, since a source may be ordered by class; sorted, so that what remains keeps the source's order.
    order = np.random.default_rng(_SEED).permutation(len(split))
    return split.take(np.sort(order[count:])), split.take(np.sort(order[:count]))
