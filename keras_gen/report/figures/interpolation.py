"""Compute latents to decode for figures: manifolds on normal quantiles, traversals and interpolations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be

_vector = arrays.mean  # a latent is checked like a mean: finite numbers of shape (D,)

_PARALLEL = 1e-6
"""Angle in radians from 0 or π below which two directions count as parallel or as opposite."""


def normal_quantiles(count: int) -> np.ndarray:
    """Return values at evenly spaced quantiles of the standard normal distribution, from 5 % to 95 %.

    zᵢ = Φ⁻¹(pᵢ), pᵢ = 0.05 + 0.9 · i / (count − 1), so that each step between neighbors has the same probability under
    the prior of one latent dimension, as in the manifolds of Kingma & Welling 2013, "Auto-encoding variational Bayes".

    Args:
        count: int of at least 2, number of values.

    Returns:
        float64 array of shape `(count,)`, ascending.

    Example:
        >>> normal_quantiles(4).round(4).tolist()
        [-1.6449, -0.3853, 0.3853, 1.6449]
    """
    from scipy.special import ndtri

    return ndtri(np.linspace(0.05, 0.95, checks.integer("count", count, 2)))


def manifold(values: Sequence[float]) -> np.ndarray:
    """Return latents on a plane, arranged as in a diagram: the first dimension grows rightward, the second upward.

    Args:
        values: ascending values of both dimensions, shape `(count,)`, such as `normal_quantiles` returns.

    Returns:
        float32 array of shape `(count, count, 2)`; row 0 has the largest value of the second dimension.

    Example:
        >>> manifold([-1, 1])[0].tolist()  # the top row, from left to right
        [[-1.0, 1.0], [1.0, 1.0]]
    """
    values = _vector("values", values)
    return np.stack(np.meshgrid(values, values[::-1]), axis=-1).astype(np.float32)


def traversal(center: object, values: Sequence[float], dimensions: Sequence[int]) -> np.ndarray:
    """Return latents that differ from `center` in one dimension at a time.

    Args:
        center: latent of shape `(latent_dim,)`.
        values: values that each dimension is set to, shape `(steps,)`.
        dimensions: sequence of at least one int, dimensions to vary, counted from 0.

    Returns:
        float32 array of shape `(len(dimensions), steps, latent_dim)`.

    Example:
        >>> traversal([5, 6], [-1, 1], dimensions=[1]).tolist()
        [[[5.0, -1.0], [5.0, 1.0]]]
    """
    center, values = _vector("center", center), _vector("values", values)
    chosen = checks.non_negative_ints("dimensions", dimensions)
    if not chosen or max(chosen) >= len(center):
        raise must_be("dimensions", f"integers from 0 to {len(center) - 1}, at least one", tuple(chosen))
    latents = np.tile(center, (len(chosen), len(values), 1))
    for row, dimension in enumerate(chosen):
        latents[row, :, dimension] = values
    return latents.astype(np.float32)


def linear_interpolation(start: object, end: object, steps: int) -> np.ndarray:
    """Interpolate linearly between two latents, (1 − t) · start + t · end with t = 0, …, 1 in equal steps.

    In many dimensions the middle lies nearer to the origin than samples of the prior; `spherical_interpolation` stays
    in the shell where they lie.

    Args:
        start, end: latents of shape `(latent_dim,)`.
        steps: int of at least 2, number of latents including both ends.

    Returns:
        float32 array of shape `(steps, latent_dim)`.

    Example:
        >>> linear_interpolation([0, 0], [2, 4], 3).tolist()
        [[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]]
    """
    start, end, t = _check_interpolation(start, end, steps)
    return ((1 - t) * start + t * end).astype(np.float32)


def spherical_interpolation(start: object, end: object, steps: int) -> np.ndarray:
    """Interpolate between two latents along a great circle (Shoemake 1985; for latents White 2016).

        slerp(t) = sin((1 − t) Ω) / sin Ω · start + sin(t Ω) / sin Ω · end,

    with the angle Ω between the two and t = 0, …, 1 in equal steps. If both have the length r, so have all latents, and
    the angle of all steps is the same. Where the formula is 0 / 0:

    - parallel latents (Ω = 0): its limit, the linear interpolation;
    - a latent that is 0, which has no direction: the linear interpolation;
    - opposite latents (Ω = π): an error, since infinitely many great circles connect them.

    Args:
        start, end: latents of shape `(latent_dim,)`.
        steps: int of at least 2, number of latents including both ends.

    Returns:
        float32 array of shape `(steps, latent_dim)`.

    Example:
        >>> spherical_interpolation([2, 0], [0, 2], 4)[:, 0].round(3)  # 2 cos of 0, 30, 60, 90 degrees
        array([2.   , 1.732, 1.   , 0.   ], dtype=float32)
    """
    start, end, t = _check_interpolation(start, end, steps)
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    angle = _angle(start / lengths[0], end / lengths[1]) if all(lengths) else 0.0
    if np.pi - angle < _PARALLEL:
        raise UsageError("start and end must not be opposite: no unique great circle connects them")
    if angle < _PARALLEL:
        return ((1 - t) * start + t * end).astype(np.float32)
    return ((np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)).astype(np.float32)


def kinds(size: int) -> dict[str, Callable]:
    """Return the interpolations of latents by name, the usual one first; of one dimension, there is no great circle.

    Example:
        >>> list(kinds(16)), list(kinds(1))
        (['spherical', 'linear'], ['linear'])
    """
    linear = {"linear": linear_interpolation}
    return linear if size == 1 else {"spherical": spherical_interpolation} | linear


def largest_variances(codes: np.ndarray, most: int) -> dict[int, float]:
    """Return the dimensions in which codes `(n, D)` vary most, and their variances: at most `most`, from the largest.

    Example:
        >>> largest_variances(np.array([[0, 2, 0], [0, 4, 1]]), 2)
        {1: 1.0, 2: 0.25}
    """
    variances = codes.astype(np.float64).var(axis=0)
    return {index: float(variances[index]) for index in np.argsort(-variances, kind="stable")[:most].tolist()}


def _angle(first: np.ndarray, second: np.ndarray) -> float:
    """Return the angle between unit vectors, accurate also near 0 and π, where the arc cosine is not (Kahan)."""
    return 2 * np.arctan2(np.linalg.norm(first - second), np.linalg.norm(first + second))


def _check_interpolation(start: object, end: object, steps: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    start = _vector("start", start)
    end = _vector("end", end, len(start))
    return start, end, np.linspace(0, 1, checks.integer("steps", steps, 2))[:, None]
