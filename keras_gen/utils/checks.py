"""Checks of single arguments. Each returns the value or raises a `UsageError` that names the argument."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable

from keras_gen.utils.errors import must_be

PRECISIONS = ("float32", "bfloat16")
"""Precisions of a network's layers."""

DYNAMIC = "dynamic"
BINARIZE = ("threshold", "stochastic", DYNAMIC)
"""Rules by which `keras_gen.data.load` binarizes images, here so that they can be checked without NumPy."""

SAMPLERS = ("prior", "gmm")
"""Distributions of latents: the standard normal one, and a `keras_gen.models.samplers.GaussianMixture`."""

STRATEGIES = ("auto", "none", "mirrored", "multiworker")
"""Names of distribution strategies, here so that they can be checked without TensorFlow."""


def integer(argument: str, value: object, least: int, most: float = math.inf) -> int:
    """Return `value` as an `int` from `least` to `most`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or not least <= value <= most:
        limits = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
        raise must_be(argument, f"an integer {limits}", value)
    return int(value)


def positive_int(argument: str, value: object) -> int:
    """Return `value` as an `int` of at least 1."""
    return integer(argument, value, 1)


def count(argument: str, value: object) -> int:
    """Return `value` as an `int` from 1 to 2**31 - 1, such as a number of images in TensorFlow's int32."""
    return integer(argument, positive_int(argument, value), 1, 2**31 - 1)


def non_negative_int(argument: str, value: object) -> int:
    """Return `value` as an `int` of at least 0."""
    return integer(argument, value, 0)


def non_negative_ints(argument: str, values: object) -> list[int]:
    """Return `values`, which must be a sequence of integers of at least 0, as a list."""
    if not isinstance(values, Iterable):
        raise must_be(argument, "integers of at least 0", values)
    return [non_negative_int(argument, value) for value in values]


def seed(argument: str, value: object) -> int:
    """Return `value` as an `int` in [0, 2**31 - 1], which all random generators in use accept."""
    return integer(argument, value, 0, 2**31 - 1)


def number(argument: str, value: object) -> float:
    """Return `value` as a float if it is a finite number."""
    if not _is_finite_real(value):
        raise must_be(argument, "a number", value)
    return float(value)


def positive(argument: str, value: object) -> float:
    """Return `value` as a finite `float` above 0."""
    if not _is_finite_real(value) or value <= 0:
        raise must_be(argument, "a number above 0", value)
    return float(value)


def non_negative(argument: str, value: object) -> float:
    """Return `value` as a finite `float` of at least 0."""
    if not _is_finite_real(value) or value < 0:
        raise must_be(argument, "a number of at least 0", value)
    return float(value)


def fraction(argument: str, value: object) -> float:
    """Return `value` as a `float` in [0, 1), such as a dropout rate or the decay of a moment."""
    if not _is_finite_real(value) or not 0 <= value < 1:
        raise must_be(argument, "a number in [0, 1)", value)
    return float(value)


def boolean(argument: str, value: object) -> bool:
    """Return `value`, which must be True or False."""
    if not isinstance(value, bool):
        raise must_be(argument, "True or False", value)
    return value


def one_of(argument: str, value: object, choices: Iterable[object]) -> object:
    """Return `value`, which must equal one of `choices`."""
    choices = tuple(choices)
    if value not in choices:
        raise must_be(argument, "one of " + ", ".join(map(str, choices)), value)
    return value


def _is_finite_real(value: object) -> bool:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float
        return False
