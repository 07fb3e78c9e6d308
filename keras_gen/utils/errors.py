"""The one exception type that says "what you asked for can't be done"."""

from __future__ import annotations


class UsageError(ValueError):
    """A mistake in what was asked for: its message is one line, for the person who asked.

    The commands in `experiments/` print the message and exit with status 2; in a script it is an
    ordinary `ValueError`. Anything else that is raised is a defect of keras_gen or of its surroundings.

    Example:
        >>> raise must_be("latent_dim", "a positive integer", -3)
        Traceback (most recent call last):
        ...
        keras_gen.utils.errors.UsageError: latent_dim must be a positive integer, received: -3
    """


class DataUnavailableError(UsageError):
    """A data set exists, but neither this machine nor the network has it at the moment."""


class TrainingDiverged(UsageError):
    """A quantity or a weight is no longer finite: the settings (a learning rate, say) can't be trained with."""


def must_be(argument: str, requirement: str, received: object) -> UsageError:
    """The error "<argument> must be <requirement>, received: <received>", to be raised by the caller."""
    try:
        shown = repr(received)
    except ValueError:  # Python writes no integer of more than 4300 digits
        shown = f"an unspeakable {type(received).__name__}"
    if len(shown) > 200:
        shown = shown[:200] + "…"
    return UsageError(f"{argument} must be {requirement}, received: {shown}")
