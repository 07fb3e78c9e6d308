"""What the parts of benchmark.py share: ways to do one thing, timed in turn, and their ratios."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping
from typing import Any


def in_turn(ways: Mapping[Any, Callable[[], float]], repeats: int) -> dict[Any, list[float]]:
    """What each way returns, its seconds, once a round: what slows the machine down for a while slows all of them."""
    seconds = {name: [] for name in ways}
    for _ in range(repeats):
        for name, function in ways.items():
            seconds[name].append(function())
    return seconds


def timed(function: Callable) -> float:
    """The seconds that a call takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def compare(ways: Mapping[str, Callable], repeats: int, count: int | None = None) -> dict[str, list[float]]:
    """Time ways in turn; print their seconds and how many times as fast as the first, in the same round, each is.

    Args:
        ways: to do one thing, each a function without arguments.
        repeats: rounds.
        count: images that one call is about, if it is about images.

    Returns:
        The seconds of each way, one a round.
    """
    from keras_gen.commands.benchmark_training import spread

    seconds = in_turn({name: functools.partial(timed, way) for name, way in ways.items()}, repeats)
    first = next(iter(seconds.values()))
    for name, measured in seconds.items():
        rate = "" if count is None else f", {spread([count / each for each in measured], ',.1f')} images a second"
        ratios = [other / own for other, own in zip(first, measured, strict=True)]
        print(f"{name}: {spread(measured, '.3f')} s{rate}; {spread(ratios, '.2f')} times as fast")
    return seconds
