"""Attributes of a model that its compiled functions read as constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from keras_gen.utils.errors import must_be


@dataclass(frozen=True)
class Setting:
    """Class attribute that stands for an argument of the constructor, which a model keeps under the same name.

    Args:
        check: function of name and value that returns the value or raises `UsageError`. With None, the default, the
            attribute can't change, since other parts of the model (weights, reported quantities) depend on it.
    """

    check: Callable[[str, object], object] | None = None


class WithSettings:
    """First base class of a `keras.Model` with settings: a new value counts from the next step on, or is refused.

    The train and test functions are compiled anew after a change, also within `fit`, so that callbacks can change it.
    """

    def __setattr__(self, name, value):
        setting = getattr(type(self), name, None)
        if not isinstance(setting, Setting):
            super().__setattr__(name, value)
            return
        value = value if setting.check is None else setting.check(name, value)
        old = vars(self).get(name, value)
        if value != old and setting.check is None:
            raise must_be(name, f"given to {type(self).__name__} when it is built, and stay {old!r}", value)
        super().__setattr__(name, value)
        for kind in ("train", "test") if value != old else ():
            if getattr(self, f"{kind}_function") is not None:
                getattr(self, f"make_{kind}_function")(force=True)

    def settings(self) -> dict[str, object]:
        """Return the settings by name, those of base classes first."""
        classes = reversed(type(self).__mro__)
        names = [name for base in classes for name, value in vars(base).items() if isinstance(value, Setting)]
        return {name: getattr(self, name) for name in names}
