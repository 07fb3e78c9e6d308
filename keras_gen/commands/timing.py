"""Time alternatives in turn and compare them; shared by the benchmark commands."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def in_turn(ways: Mapping[Any, Callable[[], float]], repeats: int) -> dict[Any, list[float]]:
    """Return the seconds of each function, one value per round: a slow phase of the machine affects all of them."""
    seconds = {name: [] for name in ways}
    for _ in range(repeats):
        for name, function in ways.items():
            seconds[name].append(function())
    return seconds


def timed(function: Callable) -> float:
    """Return the duration of a call in seconds."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def spread(values: list[float], form: str) -> str:
    """Return median, minimum and maximum as text."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def compare(ways: Mapping[str, Callable], repeats: int, count: int | None = None) -> dict[str, list[float]]:
    """Time alternatives in turn; print their seconds, and their speed relative to the first one in the same round.

    Args:
        ways: dict. Functions without arguments, by name.
        repeats: int. Number of rounds.
        count: int or None. Number of images that a call processes. Defaults to None: no rate is printed.

    Returns:
        The seconds of each function, one value per round.
    """
    seconds = in_turn({name: functools.partial(timed, way) for name, way in ways.items()}, repeats)
    first = next(iter(seconds.values()))
    for name, measured in seconds.items():
        rate = "" if count is None else f", {spread([count / each for each in measured], ',.1f')} images per second"
        ratios = [other / own for other, own in zip(first, measured, strict=True)]
        print(f"{name}: {spread(measured, '.3f')} s{rate}; {spread(ratios, '.2f')} times as fast")
    return seconds
