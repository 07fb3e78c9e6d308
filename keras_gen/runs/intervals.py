"""How often something is done while a model trains: every so many steps, epochs or minutes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from keras_gen.utils.errors import must_be

UNITS = ("steps", "epochs", "minutes")
_TEXT = re.compile(rf"([1-9][0-9]{{0,8}})\s*({'|'.join(f'{unit}?' for unit in UNITS)})?")


@dataclass(frozen=True)
class Interval:
    """A number of steps (executions of `train_step`), epochs or minutes.

    Args:
        count: at least 1.
        unit: one of `UNITS`.
    """

    count: int
    unit: str

    @classmethod
    def parse(cls, argument: str, value: object) -> Interval:
        """The interval that `value` says: `500steps`, `10epochs`, `5minutes`, or a number alone, which counts epochs.

        Raises:
            UsageError: naming `argument`, if it says none.

        Example:
            >>> Interval.parse("checkpoint_every", "500steps")
            Interval(count=500, unit='steps')
        """
        # Of an integer with many digits Python writes none.
        is_meant = isinstance(value, str) or (type(value) is int and abs(value) < 10**9)
        match = _TEXT.fullmatch(f"{value}".strip()) if is_meant else None
        if match is None:
            raise must_be(argument, "an integer of at least 1 (epochs), or one with its unit: " + _EXAMPLES, value)
        unit = match[2] or "epochs"
        return cls(int(match[1]), unit if unit in UNITS else f"{unit}s")

    def to_json(self) -> int | str:
        """The shortest value that `parse` reads as this interval: an integer where it counts epochs."""
        return self.count if self.unit == "epochs" else f"{self.count}{self.unit}"


_EXAMPLES = ", ".join(f"{count}{unit}" for count, unit in zip((500, 10, 5), UNITS, strict=True))
