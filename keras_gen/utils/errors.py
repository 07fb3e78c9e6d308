"""Exceptions for mistakes in a request, each with a message of one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class UsageError(ValueError):
    """A wrong argument, file or request. Its message is one line, for the user.

    The commands in `experiments/` print the message and exit with status 2; in a script it is an
    ordinary `ValueError`. Any other exception is a defect of keras_gen or of its environment.

    Example:
        >>> raise must_be("latent_dim", "a positive integer", -3)
        Traceback (most recent call last):
        ...
        keras_gen.utils.errors.UsageError: latent_dim must be a positive integer, received: -3
    """


class DataUnavailableError(UsageError):
    """A known data set or weights file is unavailable on this machine and from the network."""


class TrainingDiverged(UsageError):
    """A quantity or a weight is no longer finite: training fails with these settings, such as the learning rate."""


def suggestion(name: object, known: Iterable[str]) -> str:
    """Return `", did you mean 'epochs'?"` if `name` resembles a known name, else the empty string."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def printable(text: str) -> str:
    """Return `text` as one line without control characters: names of files and data may control a terminal.

    Example:
        >>> printable("red\\x1b[31m")
        'red\\\\x1b[31m'
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def one_line(error: BaseException) -> str:
    """Return the message of an error with its line breaks removed, or its type's name if it has none."""
    return " ".join(str(error).split()) or type(error).__name__


def must_be(argument: str, requirement: str, received: object) -> UsageError:
    """Return the error "<argument> must be <requirement>, received: <received>" for the caller to raise."""
    try:
        shown = re.sub(r"\s*\n\s*", " ", repr(received))  # arrays have several lines
    except ValueError:  # Python prints no integer of more than 4300 digits
        shown = f"<{type(received).__name__} too long to print>"
    if len(shown) > 200:
        shown = shown[:200] + "…"
    return UsageError(f"{argument} must be {requirement}, received: {shown}")
