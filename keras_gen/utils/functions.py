"""Recognize functions that are defined again."""

from __future__ import annotations

from collections.abc import Callable


def is_again(function: Callable, other: Callable) -> bool:
    """Return whether two functions are the same one, defined again by another run of its file or notebook's cell."""
    if function is other:
        return True
    if not (hasattr(function, "__code__") and hasattr(other, "__code__")):
        return False
    same_module = function.__module__ == other.__module__ == "__main__"
    same_file = function.__code__.co_filename == other.__code__.co_filename
    return function.__qualname__ == other.__qualname__ and (same_module or same_file)
