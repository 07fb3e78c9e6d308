"""Validate the arrays that metrics are computed from (features, logits, moments): finite, and float64 unless asked.

Each check returns the array or raises a `UsageError` that names the argument and shows the array's shape. An array that
is returned may be the argument itself, so do not write to it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from keras_gen.utils.errors import UsageError, must_be
from keras_gen.utils.text import counted


class Shape:
    """An array as an error message shows it: by its shape, not its values.

    Example:
        >>> Shape(np.zeros((2, 3)))
        shape (2, 3)
    """

    def __init__(self, array: np.ndarray) -> None:
        self._shape = array.shape

    def __repr__(self) -> str:
        return f"shape {self._shape}"


def features(argument: str, value: object, *, minimum: int = 1, convert: bool = True) -> np.ndarray:
    """Return `value` as feature vectors, float64 of shape `(n, D)`.

    Args:
        argument: str, name of the argument for the error message.
        value: real numbers of shape `(n, D)`, one row per sample, D at least 1.
        minimum: int, smallest n allowed; default 1.
        convert: bool, default True. If False, floats of lower precision are returned without a copy, for a caller that
            converts a part at a time.

    Example:
        >>> features("real", [[1, 2], [3, 4]]).dtype
        dtype('float64')
    """
    requirement = "of shape (n, D), D at least 1"
    array = finite(argument, value, requirement, lambda shape: len(shape) == 2 and shape[1] > 0, convert=convert)
    return _at_least(argument, array, minimum)


def logits(argument: str, value: object, *, minimum: int = 1) -> np.ndarray:
    """Return `value` as logits: a classifier's outputs before the softmax, or log-probabilities.

    Args and result are those of `features`, with K classes, at least 2, in place of D.
    """
    array = finite(argument, value, "of shape (n, K), K at least 2", lambda shape: len(shape) == 2 and shape[1] > 1)
    return _at_least(argument, array, minimum)


def same_dimensions(argument: str, value: np.ndarray, other_argument: str, other: np.ndarray) -> None:
    """Check that `value`, of shape `(n, D)`, has the same D as `other`, of shape `(m, D)`."""
    if value.shape[1] != other.shape[1]:
        raise must_be(argument, f"of shape (n, {other.shape[1]}), like {other_argument}", Shape(value))


def mean(argument: str, value: object, dimensions: int | None = None) -> np.ndarray:
    """Return `value` as a mean of features: finite float64 of shape `(D,)`, with D = `dimensions` if that is given."""
    if dimensions is None:
        return finite(argument, value, "of shape (D,), D at least 1", lambda shape: len(shape) == 1 and shape[0] > 0)
    return finite(argument, value, f"of shape ({dimensions},)", lambda shape: shape == (dimensions,))


def covariance(argument: str, value: object, dimensions: int) -> np.ndarray:
    """Return `value` as a covariance of features: finite, symmetric float64 of shape `(dimensions, dimensions)`.

    The tolerance for asymmetry and for negative variances is 1e-6 of the largest entry, about the rounding error of
    float32. Beyond its diagonal the matrix is not checked to be positive semi-definite.

    Example:
        >>> covariance("covariance", [[1, 2], [0, 1]], 2)
        Traceback (most recent call last):
        ...
        keras_gen.utils.errors.UsageError: covariance must be symmetric, received: shape (2, 2)
    """
    shape = (dimensions, dimensions)
    array = finite(argument, value, f"of shape {shape}", lambda received: received == shape)
    rounding = 1e-6 * np.abs(array).max()
    # Most matrices are exactly symmetric, which is faster to check.
    if not np.array_equal(array, array.T) and np.abs(array - array.T).max() > rounding:
        raise must_be(argument, "symmetric", Shape(array))
    if (lowest := array.diagonal().min()) < -rounding:
        raise UsageError(f"{argument} must have no negative variance, received: {lowest} on its diagonal")
    return array


def as_array(argument: str, value: object, requirement: str) -> np.ndarray:
    """Return `value` as an array, or raise the `UsageError` that it must be `requirement`."""
    try:
        return np.asarray(value)
    except ValueError:  # rows of different lengths
        raise must_be(argument, requirement, value) from None


def finite(
    argument: str, value: object, requirement: str, fits: Callable[[tuple], bool], *, convert: bool = True
) -> np.ndarray:
    """Return `value` as a finite array whose shape satisfies `fits`, as `requirement` says in words; see `features`."""
    array = as_array(argument, value, f"an array {requirement}")
    if array.dtype.kind not in "fiub":
        raise UsageError(f"{argument} must be real numbers {requirement}, received: {array.dtype}")
    if not fits(array.shape):
        raise must_be(argument, requirement, Shape(array))
    if convert or array.dtype not in (np.float16, np.float32):
        array = array.astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        broken = array.size - int(np.isfinite(array).sum())
        raise UsageError(f"{argument} must be finite, received: {broken} of {array.size} values NaN or infinite")
    return array


def _at_least(argument: str, array: np.ndarray, minimum: int) -> np.ndarray:
    if len(array) < minimum:
        raise must_be(argument, f"at least {counted(minimum, 'sample')}", Shape(array))
    return array
