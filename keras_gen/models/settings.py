"""Attributes of a model that its compiled functions read as constants."""

from __future__ import annotations

from collections.abc import Callable

from keras_gen.utils.errors import must_be


class Setting:
    """A checked attribute of a model: a new value counts from the next step on, or is refused.

    The train and test functions are compiled anew after a change, also within `fit`, so that callbacks can change it.

    Args:
        check: function of name and value that returns the value or raises `UsageError`. With None, the default, the
            attribute can't change, since other parts of the model (weights, reported quantities) depend on it.
        keeps_zero: bool, whether a change must keep 0 zero and others above it. Defaults to `False`.
    """

    def __init__(self, check: Callable[[str, object], object] | None = None, *, keeps_zero: bool = False):
        self.check, self.keeps_zero = check, keeps_zero

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, model, owner=None):
        if model is None:
            return self
        if self.name not in vars(model):
            raise AttributeError(self.name)
        return vars(model)[self.name]

    def __set__(self, model, value):
        value = value if self.check is None else self.check(self.name, value)
        if self.name not in vars(model):
            vars(model)[self.name] = value
            return
        old = vars(model)[self.name]
        if value is old or value == old:
            return
        if self.check is None or (self.keeps_zero and 0 in (value, old)):
            requirement = f"given to {type(model).__name__} when it is built, and stay {old!r}"
            raise must_be(self.name, requirement, value)
        vars(model)[self.name] = value
        for kind in ("train", "test"):
            if getattr(model, f"{kind}_function") is not None:
                getattr(model, f"make_{kind}_function")(force=True)
