"""What a recipe is, the register of them, and building one. No Keras until a model is built."""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from keras_gen.data import catalog
from keras_gen.utils import checks
from keras_gen.utils.errors import UsageError, must_be

if TYPE_CHECKING:
    from keras_gen.models import ImageModel

_TYPES = {"int": int, "float": float, "bool": bool, "str": str}
_REQUIREMENTS = {int: "an integer", float: "a number", bool: "True or False", str: "a word"}
_RECIPES: dict[str, Recipe] = {}


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter of a recipe: a keyword argument of its function."""

    name: str
    type: type
    default: object
    optional: bool
    """Whether None is allowed: "as the recipe sees fit", said in its docstring."""

    def check(self, value: object) -> object:
        """`value` in the parameter's type, or `UsageError`."""
        if value is None and self.optional:
            return None
        if self.type is float and isinstance(value, int) and not isinstance(value, bool):
            try:
                value = float(value)
            except OverflowError:
                raise must_be(self.name, self.requirement, value) from None
        if type(value) is not self.type or (self.type is float and not math.isfinite(value)):
            raise must_be(self.name, self.requirement, value)
        return value

    def parse(self, text: str) -> object:
        """The value that `text` from a command line stands for, or `UsageError`."""
        if self.optional and text == "None":
            return None
        try:
            if self.type is bool:
                return self.check({"true": True, "false": False}[text.lower()])
            return self.check(self.type(text))
        except (ValueError, KeyError):
            raise must_be(self.name, self.requirement, text) from None

    @property
    def requirement(self) -> str:
        """What a value must be, in words."""
        return _REQUIREMENTS[self.type] + (" or None" if self.optional else "")


@dataclass(frozen=True)
class Recipe:
    """A named experiment: a function that returns a compiled model, and what is not the model."""

    name: str
    function: Callable[..., ImageModel]
    source: str
    dataset: str
    epochs: int
    batch_size: int
    weights: int
    """Trainable weights of all networks, for the recipe's own data set and arguments."""
    aliases: tuple[str, ...]
    fid_every: int
    """Epochs between two Fréchet distances of generated images during a run; 0 for none."""
    image_size: int | None
    """Side that the recipe's own data are prepared at; None is the data set's usual one."""
    parameters: Mapping[str, Parameter]
    """With the recipe's own defaults."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of the recipe's own data."""
        height, width, channels = catalog.image_shape(self.dataset)
        return (self.image_size or height, self.image_size or width, channels)

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return inspect.getdoc(self.function).partition("\n")[0]

    def check_overrides(self, overrides: Mapping[str, object]) -> dict[str, object]:
        """`overrides` in the types of the parameters they name, or `UsageError`."""
        return {name: self._parameter(name).check(value) for name, value in overrides.items()}

    def parse_overrides(self, assignments: list[str]) -> dict[str, object]:
        """The overrides that a command line's `name=value` words stand for, or `UsageError`."""
        overrides = {}
        for assignment in assignments:
            name, equals, value = assignment.partition("=")
            if not equals:
                raise must_be("--set", "name=value", assignment)
            overrides[name] = self._parameter(name).parse(value)
        return overrides

    def build(self, image_shape: tuple[int, int, int], **overrides: object) -> ImageModel:
        """The compiled model for images of that shape."""
        try:
            image_shape = tuple(image_shape)
        except TypeError:
            raise must_be("image_shape", "(height, width, channels)", image_shape) from None
        defaults = {name: parameter.default for name, parameter in self.parameters.items()}
        return self.function(image_shape, **defaults | self.check_overrides(overrides))

    def _parameter(self, name: str) -> Parameter:
        if name not in self.parameters:
            known = ", ".join(self.parameters)
            raise UsageError(
                f"{self.name} has no parameter {name!r}{_suggestion(name, self.parameters)} (it has: {known})"
            )
        return self.parameters[name]


def recipe(
    name: str,
    *,
    source: str,
    dataset: str,
    epochs: int,
    batch_size: int,
    weights: int,
    aliases: tuple[str, ...] = (),
    fid_every: int = 10,
    image_size: int | None = None,
    defaults: Mapping[str, object] | None = None,
):
    """Decorator that enters a function into the zoo.

    One function can be several recipes, each by a decorator of its own: another name, data set or `defaults`, which
    take the place of those in the signature.

    The function takes the image shape and, keyword-only with a default and an annotation (`int`, `float`, `bool`,
    `str`, or one of them `| None`), its hyperparameters, and returns a compiled model. It imports Keras inside, so
    that listing recipes is instant. The other arguments of the decorator are the fields of `Recipe`.
    """

    def register(function: Callable[..., ImageModel]) -> Callable[..., ImageModel]:
        entry = Recipe(
            name=name,
            function=function,
            source=source,
            dataset=dataset,
            epochs=epochs,
            batch_size=batch_size,
            weights=weights,
            aliases=aliases,
            fid_every=fid_every,
            image_size=image_size,
            parameters=_parameters(function, defaults or {}),
        )
        for key in (name, *aliases):
            if key in _RECIPES:
                raise ValueError(f"recipe {key!r} is registered twice")
            _RECIPES[key] = entry
        return function

    return register


def recipes() -> list[Recipe]:
    """All recipes, in the order of their modules and in them."""
    return list({entry.name: entry for entry in _all().values()}.values())


def get(name: str) -> Recipe:
    """The recipe of that name or alias.

    Raises:
        UsageError: there is none; the message lists them and names the nearest.
    """
    known = _all()
    if not isinstance(name, str) or name not in known:
        raise UsageError(f"model must be one of {', '.join(known)}, received: {name!r}{_suggestion(name, known)}")
    return known[name]


def build(
    name: str,
    image_shape: tuple[int, int, int] | None = None,
    *,
    seed: int | None = None,
    precision: str = "float32",
    **overrides: object,
) -> ImageModel:
    """Build and compile a recipe's model, ready for `fit`.

    Args:
        name: of the recipe, or an alias.
        image_shape: `(height, width, channels)`; by default that of the recipe's own data set.
        seed: of initial weights, dropout, latents and noise. By default the weights follow Keras' global state. With a
            seed, `keras.utils.set_random_seed(seed)` is called, which also seeds Python's and NumPy's global
            generators.
        precision: in which the networks' layers compute. `bfloat16` is faster where the processor has it, and has 8
            bits of mantissa; weights, optimizers, losses and likelihoods stay float32.
        **overrides: hyperparameters of the recipe, by name.

    Raises:
        UsageError: an unknown recipe or parameter, or a value of the wrong type or size.

    Example:
        >>> model = keras_gen.zoo.build("vae-mlp", latent_dim=2)
        >>> history = model.fit(images, epochs=5, verbose=0)
    """
    entry = get(name)
    shape = entry.image_shape if image_shape is None else image_shape
    overrides = entry.check_overrides(overrides)
    checks.one_of("precision", precision, checks.PRECISIONS)
    if seed is not None:
        checks.seed("seed", seed)
    import keras_gen.utils.backend  # noqa: F401
    import keras

    if seed is not None:
        keras.utils.set_random_seed(seed)
    before = keras.config.dtype_policy()
    if precision == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = entry.build(shape, **overrides)
    finally:
        keras.config.set_dtype_policy(before)
    if seed is not None:
        model.seed = seed
    return model


def _all() -> dict[str, Recipe]:
    package = importlib.import_module("keras_gen.zoo")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"keras_gen.zoo.{module.name}")
    return _RECIPES


def _parameters(function: Callable, defaults: Mapping[str, object]) -> dict[str, Parameter]:
    parameters = {}
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        annotation = parameter.annotation
        if not isinstance(annotation, str):  # a module without `from __future__ import annotations`
            annotation = inspect.formatannotation(annotation)
        annotation, _, none = annotation.partition(" | ")
        if parameter.kind is not parameter.KEYWORD_ONLY or annotation not in _TYPES or none not in ("", "None"):
            raise TypeError(f"{function.__name__}: {parameter} must be keyword-only and annotated with a plain type")
        default = defaults.get(parameter.name, parameter.default)
        parameters[parameter.name] = Parameter(parameter.name, _TYPES[annotation], default, bool(none))
    unknown = defaults.keys() - parameters.keys()
    if unknown:
        raise TypeError(f"{function.__name__} has no parameter {', '.join(sorted(unknown))} to give a default to")
    return parameters


def _suggestion(name: str, known) -> str:
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f", did you mean {close[0]!r}?" if close else ""
