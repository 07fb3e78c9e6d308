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
    same_name = function.__qualname__ == other.__qualname__
    if "<" in function.__qualname__:  # all lambda functions of a file have one name
        same_name &= function.__code__.co_firstlineno == other.__code__.co_firstlineno
    return same_name and (same_module or same_file)
