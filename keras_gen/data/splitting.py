"""Split validation and test images off the training images, at random with a fixed seed."""

from __future__ import annotations

import numbers
import re

import numpy as np

from keras_gen.data.image_data import RawData, Split
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be

_SEED = 0
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
    check = checks.non_negative_int if isinstance(value, numbers.Integral) else checks.fraction
    return check("validation", value)


def split(raw: RawData, validation: int | float) -> tuple[list[Split], list[str]]:
    """Return train, validation and test, and notes. What the source lacks is taken from its training images.

    A random tenth becomes `test`, then `validation` images, a count or a fraction, are taken: at least one if above 0.

    Raises:
        UsageError: too few images would remain.
    """
    notes = list(raw.notes)
    train, held_out, test = raw.train, raw.validation, raw.test
    kept = np.arange(len(train))
    if test is None:
        if len(train) < 3:
            raise UsageError(f"{raw.origin} must hold at least 3 images to be split, received: {len(train)}")
        kept, chosen = _split_off(kept, max(1, round(len(kept) / 10)))
        test = train.take(chosen)
        notes.append(f"no test images in the source: {len(test)} images, a tenth, were split off")
    if held_out is None:
        count = validation
        if isinstance(validation, float):
            count = max(1, round(validation * len(kept))) if validation else 0
        if count >= len(kept):
            raise must_be("validation", f"less than all {len(kept)} training images", validation)
        kept, chosen = _split_off(kept, count)
        held_out = train.take(chosen)
    else:
        notes.append("validation images are the source's own, whatever the argument validation is")
    # The training images are copied once, after both splits.
    return [train.take(kept) if len(kept) < len(train) else train, held_out, test], notes


def _split_off(indices: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    # Random, since a source may be ordered by class; sorted, so that the splits keep the source's order.
    order = np.random.default_rng(_SEED).permutation(len(indices))
    return indices[np.sort(order[count:])], indices[np.sort(order[:count])]
