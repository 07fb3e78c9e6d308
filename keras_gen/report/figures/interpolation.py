"""Latents to decode for figures: planes on the normal quantiles, traversals, ways from one latent to another."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np

from keras_gen.metrics import arrays
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be

_PARALLEL = 1e-6
"""Radians from 0 or π below which two directions count as the same, or as opposite."""


def normal_quantiles(count: int, low: float = 0.05, high: float = 0.95) -> np.ndarray:
    """Values at evenly spaced quantiles of the standard normal distribution.

    zᵢ = Φ⁻¹(pᵢ), pᵢ = low + (high − low) · i / (count − 1), so that each step between neighbors has the same
    probability under the prior of one latent dimension (Kingma & Welling 2013, "Auto-encoding variational Bayes",
    draw their manifolds so).

    Args:
        count: how many, at least 2.
        low, high: the first and the last p, 0 < low < high < 1.

    Returns:
        float64, shape `(count,)`, ascending.

    Raises:
        UsageError: an argument out of its range.

    Example:
        >>> normal_quantiles(4).round(4).tolist()
        [-1.6449, -0.3853, 0.3853, 1.6449]
    """
    count = _check_steps("count", count)
    low, high = checks.positive("low", low), checks.positive("high", high)
    if not low < high < 1:
        raise UsageError(f"low and high must be quantiles, 0 < low < high < 1, received: {low} and {high}")
    inverse = statistics.NormalDist().inv_cdf
    return np.array([inverse(p) for p in np.linspace(low, high, count)])


def manifold(
    values: Sequence[float], latent_dim: int = 2, dimensions: tuple[int, int] = (0, 1), center: object = None
) -> np.ndarray:
    """Latents on a plane, in the order of a diagram: the first dimension grows to the right, the second upward.

    Args:
        values: of both dimensions, shape `(count,)`, ascending, such as `normal_quantiles`.
        latent_dim: size of a latent, at least 2.
        dimensions: the two that vary, counted from 0.
        center: values of the others, shape `(latent_dim,)`; by default 0, the mean of the prior.

    Returns:
        float32, shape `(count, count, latent_dim)`; row 0 has the largest value of the second dimension.

    Raises:
        UsageError: an argument out of its range.

    Example:
        >>> manifold([-1, 1])[0].tolist()  # the top row, from left to right
        [[-1.0, 1.0], [1.0, 1.0]]
    """
    values = _vector("values", values)
    latent_dim = checks.positive_int("latent_dim", latent_dim)
    center = np.zeros(latent_dim) if center is None else _vector("center", center, latent_dim)
    chosen = _check_dimensions(dimensions, latent_dim)
    if len(chosen) != 2 or chosen[0] == chosen[1]:
        raise must_be("dimensions", "two different ones", tuple(chosen))
    latents = np.tile(center, (len(values), len(values), 1))
    latents[..., chosen[0]] = values[None, :]
    latents[..., chosen[1]] = values[::-1, None]
    return latents.astype(np.float32)


def traversal(center: object, values: Sequence[float], dimensions: Sequence[int] | None = None) -> np.ndarray:
    """Latents that differ from one in one dimension at a time.

    Args:
        center: the latent, shape `(latent_dim,)`.
        values: that each dimension is set to in turn, shape `(steps,)`.
        dimensions: which, counted from 0; by default all.

    Returns:
        float32, shape `(len(dimensions), steps, latent_dim)`.

    Raises:
        UsageError: another shape, a value that is not finite, or a dimension that is not there.

    Example:
        >>> traversal([5, 6], [-1, 1], dimensions=[1]).tolist()
        [[[5.0, -1.0], [5.0, 1.0]]]
    """
    center, values = _vector("center", center), _vector("values", values)
    chosen = _check_dimensions(range(len(center)) if dimensions is None else dimensions, len(center))
    latents = np.tile(center, (len(chosen), len(values), 1))
    for row, dimension in enumerate(chosen):
        latents[row, :, dimension] = values
    return latents.astype(np.float32)


def linear_interpolation(start: object, end: object, steps: int) -> np.ndarray:
    """The straight way from one latent to another, (1 − t) · start + t · end with t = 0, …, 1 in equal steps.

    In many dimensions its middle lies nearer to the origin than latents of the prior do; `spherical_interpolation` does
    not leave the shell where they lie.

    Args:
        start, end: latents, shape `(latent_dim,)`.
        steps: how many latents, both ends among them, at least 2.

    Returns:
        float32, shape `(steps, latent_dim)`.

    Raises:
        UsageError: another shape, a value that is not finite, or fewer than 2 steps.

    Example:
        >>> linear_interpolation([0, 0], [2, 4], 3).tolist()
        [[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]]
    """
    start, end, t = _check_ways(start, end, steps)
    return ((1 - t) * start + t * end).astype(np.float32)


def spherical_interpolation(start: object, end: object, steps: int) -> np.ndarray:
    """The way from one latent to another along a great circle (Shoemake 1985; of latents White 2016).

        slerp(t) = sin((1 − t) Ω) / sin Ω · start + sin(t Ω) / sin Ω · end,

    Ω the angle between the two, t = 0, …, 1 in equal steps: if both are of one length r, all are, and steps turn by
    equal angles. Where the formula is 0 / 0:

    - parallel latents (Ω = 0): its limit, the straight way;
    - a latent that is 0, which has no direction: the straight way along the other's;
    - opposite latents (Ω = π): refused, since every great circle through the one leads to the other.

    Args:
        start, end: latents, shape `(latent_dim,)`.
        steps: how many latents, both ends among them, at least 2.

    Returns:
        float32, shape `(steps, latent_dim)`.

    Raises:
        UsageError: opposite latents, another shape, a value that is not finite, or fewer than 2 steps.

    Example:
        >>> spherical_interpolation([2, 0], [0, 2], 4)[:, 0].round(3)  # 2 cos of 0, 30, 60, 90 degrees
        array([2.   , 1.732, 1.   , 0.   ], dtype=float32)
    """
    start, end, t = _check_ways(start, end, steps)
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    angle = _angle(start / lengths[0], end / lengths[1]) if all(lengths) else 0.0
    if np.pi - angle < _PARALLEL:
        raise UsageError("start and end must not be opposite, which leaves the way between them open")
    if angle < _PARALLEL:
        return ((1 - t) * start + t * end).astype(np.float32)
    return ((np.sin((1 - t) * angle) * start + np.sin(t * angle) * end) / np.sin(angle)).astype(np.float32)


def _angle(first: np.ndarray, second: np.ndarray) -> float:
    """Between unit vectors. Exact also near 0 and π, where the arc cosine loses half of the digits (Kahan)."""
    return 2 * np.arctan2(np.linalg.norm(first - second), np.linalg.norm(first + second))


def _check_ways(start: object, end: object, steps: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    start = _vector("start", start)
    end = _vector("end", end, len(start))
    return start, end, np.linspace(0, 1, _check_steps("steps", steps))[:, None]


def _check_steps(argument: str, value: object) -> int:
    if checks.positive_int(argument, value) < 2:
        raise must_be(argument, "at least 2", value)
    return int(value)


def _check_dimensions(dimensions: object, latent_dim: int) -> list[int]:
    chosen = [checks.non_negative_int("dimensions", dimension) for dimension in dimensions]
    if not chosen or max(chosen) >= latent_dim:
        raise must_be("dimensions", f"integers from 0 to {latent_dim - 1}, at least one", tuple(chosen))
    return chosen


def _vector(argument: str, value: object, size: int | None = None) -> np.ndarray:
    if size is None:
        return arrays.finite(argument, value, "of shape (D,), D at least 1", lambda shape: len(shape) == 1 and shape[0])
    return arrays.finite(argument, value, f"of shape ({size},)", lambda shape: shape == (size,))
