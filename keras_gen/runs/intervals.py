"""Intervals between checkpoints: a number of steps, epochs or minutes."""

from __future__ import annotations

import numbers
import re
from dataclasses import dataclass

from keras_gen.utils.errors import must_be

UNITS = ("steps", "epochs", "minutes")
AUTO = "auto"
_TEXT = re.compile(r"([1-9][0-9]{0,8})\s*(steps?|epochs?|minutes?)?")


@dataclass(frozen=True)
class Interval:
    """A number of steps (executions of `train_step`), epochs or minutes.

    Args:
        count: int, at least 1.
        unit: str, one of `UNITS`, or `auto`: as often as it costs little, see `keras_gen.callbacks.Checkpoint`.
    """

    count: int
    unit: str

    @classmethod
    def parse(cls, argument: str, value: object) -> Interval:
        """Return the interval that `value` describes, as `500steps` or `5minutes`; a number alone counts epochs.

        Args:
            argument: str, name of the argument in the error message.
            value: str or int.

        Raises:
            UsageError: `value` is not an interval.

        Example:
            >>> Interval.parse("checkpoint_every", "500steps")
            Interval(count=500, unit='steps')
        """
        if value == AUTO:
            return cls(1, AUTO)
        # Python refuses to convert integers of more than 4300 digits to text.
        is_integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        is_parsable = isinstance(value, str) or (is_integer and abs(value) < 10**9)
        match = _TEXT.fullmatch(f"{value}".strip()) if is_parsable else None
        if match is None:
            units = "500steps, 10epochs, 5minutes"
            raise must_be(argument, f"auto, an integer of at least 1 (epochs), or one with its unit: {units}", value)
        unit = match[2] or "epochs"
        return cls(int(match[1]), unit if unit in UNITS else f"{unit}s")

    def to_json(self) -> int | str:
        """Return the shortest value that `parse` reads as this interval: an int for epochs, otherwise a str."""
        if self.unit == AUTO:
            return AUTO
        return self.count if self.unit == "epochs" else f"{self.count}{self.unit}"
