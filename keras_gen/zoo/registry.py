"""The registry of recipes, and `build`, which makes a recipe's model. Keras is imported when a model is built."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import inspect
import math
import numbers
import os
import pkgutil
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from keras_gen.data import catalog
from keras_gen.utils import checks, functions
from keras_gen.utils.errors import UsageError, must_be, suggestion

if TYPE_CHECKING:
    from keras_gen.models import ImageModel

_TYPES = {"int": int, "float": float, "bool": bool, "str": str}
_REQUIREMENTS = {int: "an integer", float: "a number", bool: "True or False", str: "a string"}
_RECIPES: dict[str, Recipe] = {}
_MODULE_PREFIX = "keras_gen_recipes_"


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter of a recipe: a keyword argument of its function."""

    name: str
    type: type
    default: object
    optional: bool
    """Whether None is allowed; the recipe's docstring defines its meaning."""

    def check(self, value: object) -> object:
        """Return `value` converted to the parameter's type.

        Raises:
            UsageError: `value` has another type or is not finite.
        """
        if value is None and self.optional:
            return None
        kind = {int: numbers.Integral, float: numbers.Real}.get(self.type)  # also those of NumPy
        if kind and isinstance(value, kind) and not isinstance(value, bool):
            try:
                value = self.type(value)
            except OverflowError:
                raise must_be(self.name, self.requirement, value) from None
        if type(value) is not self.type or (self.type is float and not math.isfinite(value)):
            raise must_be(self.name, self.requirement, value)
        return value

    def parse(self, text: str) -> object:
        """Return the value of `text` from a command line, which `check` has to check.

        Raises:
            UsageError: `text` can't be converted to the parameter's type.
        """
        if self.optional and text == "None":
            return None
        try:
            if self.type is bool:
                return {"true": True, "false": False}[text.lower()]
            return self.type(text)
        except (ValueError, KeyError):
            raise must_be(self.name, self.requirement, text) from None

    @property
    def requirement(self) -> str:
        """The requirement on a value, as error messages word it."""
        return _REQUIREMENTS[self.type] + (" or None" if self.optional else "")


@dataclass(frozen=True)
class Recipe:
    """A named experiment: a function that returns a compiled model, its data set and its training settings."""

    name: str
    function: Callable[..., ImageModel]
    source: str
    dataset: str
    epochs: int
    batch_size: int
    weights: int | None
    """Number of trainable weights of all networks, for the recipe's own data set and defaults; None if unknown."""
    aliases: tuple[str, ...]
    fid_every: int
    """Epochs between two Fréchet distances of generated images while training; 0 for none."""
    binarize: str | None
    """How the recipe's own data set is made black and white, as in `keras_gen.data.load`; None for gray or color."""
    validation: int | None
    """Training images of the recipe's own data set kept for validation; None for the data set's default."""
    image_size: int | None
    """Image size of the recipe's own data set; None for the data set's default."""
    steps_per_execution: int
    """Maximum number of train steps per call of TensorFlow."""
    learning_rate_decay: str
    """`"linear"` or `"none"`, see `keras_gen.optimizers.LinearDecay`."""
    allows_bfloat16: bool
    """Whether `--precision auto` may choose bfloat16: results in both precisions were compared (docs/speed.md)."""
    parameters: Mapping[str, Parameter]
    """Hyperparameters by name, with this recipe's defaults."""

    @property
    def file(self) -> Path | None:
        """The file that defines the recipe; None for a recipe of the package or one defined interactively."""
        file = Path(inspect.getfile(self.function)).resolve()
        return file if file.is_file() and Path(__file__).resolve().parent not in file.parents else None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of the recipe's own data set."""
        height, width, channels = catalog.image_shape(self.dataset)
        return (self.image_size or height, self.image_size or width, channels)

    def default_batch_size(self, dataset: str) -> int:
        """Return the recipe's batch size, or the largest that is a default for a named data set, if that is smaller."""
        entry = catalog.find(dataset)
        return min(self.batch_size, (entry and entry.max_batch_size) or self.batch_size)

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def check_overrides(self, overrides: Mapping[str, object]) -> dict[str, object]:
        """Return `overrides` with every value converted to its parameter's type.

        Raises:
            UsageError: an unknown parameter, or a value of the wrong type.
        """
        return {name: self._parameter(name).check(value) for name, value in overrides.items()}

    def parse_overrides(self, assignments: list[str]) -> dict[str, object]:
        """Return the overrides that a command line's `name=value` arguments give, which `check_overrides` has to check.

        Raises:
            UsageError: an argument of another form, an unknown parameter, or a value of the wrong type.
        """
        overrides = {}
        for assignment in assignments:
            name, equals, value = assignment.partition("=")
            if not equals:
                raise must_be("--set", "name=value", assignment)
            overrides[name] = self._parameter(name).parse(value)
        return overrides

    def build(
        self,
        image_shape: tuple[int, int, int],
        overrides: Mapping[str, object],
        *,
        seed: int | None = None,
        precision: str = "float32",
        steps_per_execution: int | None = None,
        jit_compile: bool = False,
    ) -> ImageModel:
        """Build the compiled model. The arguments must be valid; `keras_gen.zoo.build` checks them.

        Args:
            image_shape: tuple of int, `(height, width, channels)`.
            overrides: mapping, hyperparameters by name, as `check_overrides` returns them.
            seed, precision: As in `keras_gen.zoo.build`.
            steps_per_execution: int or None, train steps per call of TensorFlow. Defaults to the recipe's.
            jit_compile: bool, whether to compile steps with XLA. Defaults to False.
        """
        import keras_gen.utils.backend  # noqa: F401
        import keras

        if seed is not None:
            keras.utils.set_random_seed(seed)
        before = keras.config.dtype_policy()
        if precision == "bfloat16":
            keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            defaults = {name: parameter.default for name, parameter in self.parameters.items()}
            model = self.function(tuple(image_shape), **defaults | dict(overrides))
        finally:
            keras.config.set_dtype_policy(before)
        is_model = hasattr(model, "limit_steps_per_execution")
        if not is_model or not model.compiled:
            received = "one that is not compiled" if is_model else type(model).__name__
            raise UsageError(f"recipe {self.name} must return a compiled model of keras_gen, received: {received}")
        if model.jit_compile or model.steps_per_execution > 1:
            raise UsageError(
                f"recipe {self.name} must not compile its model with jit_compile, an option of a run, "
                "or steps_per_execution, an argument of its decorator"
            )
        if seed is not None:
            model.seed = seed
        model.jit_compile = jit_compile
        model.limit_steps_per_execution(0, at_most=steps_per_execution or self.steps_per_execution)
        return model

    def _parameter(self, name: str) -> Parameter:
        if name not in self.parameters:
            known = ", ".join(self.parameters)
            raise UsageError(
                f"{self.name} has no parameter {name!r}{suggestion(name, self.parameters)} (it has: {known})"
            )
        return self.parameters[name]


def recipe(
    name: str,
    *,
    source: str,
    dataset: str,
    epochs: int,
    batch_size: int,
    weights: int | None = None,
    aliases: tuple[str, ...] = (),
    fid_every: int = 10,
    image_size: int | None = None,
    binarize: str | None = None,
    validation: int | None = None,
    steps_per_execution: int = 1,
    learning_rate_decay: str = "none",
    allows_bfloat16: bool = False,
    options: Mapping[str, object] | None = None,
    defaults: Mapping[str, object] | None = None,
):
    """Register the decorated function as a recipe.

    One function can be several recipes, with one decorator each: another name, data set or `defaults`.

    The function takes the image shape and its hyperparameters as keyword-only arguments, each with a default and an
    annotation (`int`, `float`, `bool`, `str`, or one of them `| None`), and returns a compiled model. It should import
    Keras in its body, so that listing recipes is fast. The decorator's other arguments are the fields of `Recipe`.

    Args:
        options: mapping, further hyperparameters that several recipes share, with defaults that are no None. The
            function takes them as `**options`, to pass them to the model, or by name. Defaults to none.
        defaults: mapping, replaces defaults of the signature and of `options`. Defaults to none.

    Raises:
        UsageError: `name`, `epochs`, `batch_size`, `fid_every` or `aliases` has another type or value.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]+", name):
        raise must_be("name", "letters, digits, '-', '_' and '.'", name)
    checks.positive_int("epochs", epochs)
    checks.positive_int("batch_size", batch_size)
    checks.non_negative_int("fid_every", fid_every)
    if not isinstance(aliases, tuple | list):
        raise must_be("aliases", "a tuple of names", aliases)

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
            binarize=binarize,
            validation=validation,
            steps_per_execution=steps_per_execution,
            learning_rate_decay=learning_rate_decay,
            allows_bfloat16=allows_bfloat16,
            parameters=_parameters(function, options or {}, defaults or {}),
        )
        for key in (name, *aliases):
            if key in _RECIPES and not functions.is_again(_RECIPES[key].function, function):
                raise ValueError(f"recipe {key!r} is registered twice")
            _RECIPES[key] = entry
        return function

    return register


def recipes() -> list[Recipe]:
    """Return all recipes, ordered by module and by position in the module."""
    return list({entry.name: entry for entry in _all().values()}.values())


def get(name: str) -> Recipe:
    """Return the recipe with a name or alias.

    Raises:
        UsageError: no recipe has it; the message lists all names and suggests the closest.
    """
    known = _all()
    if not isinstance(name, str) or name not in known:
        raise UsageError(f"model must be one of {', '.join(known)}, received: {name!r}{suggestion(name, known)}")
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
        name: str, name or alias of the recipe.
        image_shape: `(height, width, channels)`; default: that of the recipe's own data set.
        seed: int, seeds initial weights, dropout, latents and noise. Calls `keras.utils.set_random_seed(seed)`, which
            also seeds Python's and NumPy's global generators. Default: Keras' global random state.
        precision: str, `float32` or `bfloat16`, in which the networks' layers compute; default `float32`. `bfloat16`
            has 8 bits of mantissa and is faster on processors that support it; weights, optimizers, losses and
            likelihoods stay float32.
        **overrides: hyperparameters of the recipe, by name.

    Returns:
        A compiled model: `keras_gen.VAE`, `keras_gen.GAN`, `keras_gen.WGAN` or `keras_gen.Autoencoder`.

    Raises:
        UsageError: an unknown recipe or parameter, or a value of the wrong type or size.

    Example:
        >>> model = keras_gen.zoo.build("vae-mlp", latent_dim=2)
        >>> history = model.fit(images, epochs=5, verbose=0)
    """
    entry = get(name)
    try:
        shape = entry.image_shape if image_shape is None else tuple(image_shape)
    except TypeError:
        raise must_be("image_shape", "(height, width, channels)", image_shape) from None
    overrides = entry.check_overrides(overrides)
    checks.one_of("precision", precision, checks.PRECISIONS)
    if seed is not None:
        checks.seed("seed", seed)
    return entry.build(shape, overrides, seed=seed, precision=precision)


def load_recipes(path: str | os.PathLike) -> None:
    """Run a Python file that defines recipes with `recipe`, or data sets with `keras_gen.data.register`.

    They can then be used as those of the package, until the process ends. A file that was loaded before is run again
    only if it has changed; what it defined before is then forgotten.

    Args:
        path: str or path, the file. It is a program: load only files that you trust.

    Raises:
        UsageError: `path` is not a Python file, or fails, or defines neither recipes nor data sets.
    """
    path = Path(path).resolve()
    if path.suffix != ".py" or not path.is_file():
        raise must_be("recipes", "an existing Python file", os.fspath(path))
    registries = _all(), catalog._BY_NAME
    before = [dict(registry) for registry in registries]
    name = _MODULE_PREFIX + hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UsageError(f"recipes {path} can't be read ({error.strerror})") from error
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.source == source:
        return
    for registry in registries:  # what an earlier version of the file defined
        for key in [key for key, entry in registry.items() if getattr(entry.function, "__module__", "") == name]:
            del registry[key]
    specification = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = module = importlib.util.module_from_spec(specification)
    module.source = source
    rest = [dict(registry) for registry in registries]
    try:
        exec(compile(source, path, "exec"), module.__dict__)  # Python's own loader may take an older compiled file
        if rest == list(registries):
            raise must_be("recipes", "a Python file that defines a recipe or a data set", os.fspath(path))
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        if loaded is not None:
            sys.modules[name] = loaded
        for registry, content in zip(registries, before, strict=True):
            registry.clear()
            registry.update(content)
        if isinstance(error, UsageError) and str(path) in str(error):
            raise
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        where = f" at line {lines[-1]}" if lines else ""
        raise UsageError(f"recipes {path} can't be loaded: {type(error).__name__}{where}: {error}") from error


def loaded_files() -> list[Path]:
    """Return the files that `load_recipes` has loaded in this process."""
    return [Path(module.__file__) for name, module in sys.modules.items() if name.startswith(_MODULE_PREFIX)]


def _all() -> dict[str, Recipe]:
    package = importlib.import_module("keras_gen.zoo")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"keras_gen.zoo.{module.name}")
    return _RECIPES


def _parameters(function: Callable, options: Mapping, defaults: Mapping) -> dict[str, Parameter]:
    parameters = {}
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        if parameter.name in options or (options and parameter.kind is parameter.VAR_KEYWORD):
            continue
        annotation = parameter.annotation
        if not isinstance(annotation, str):  # a module without `from __future__ import annotations`
            annotation = inspect.formatannotation(annotation)
        annotation, _, none = annotation.partition(" | ")
        if parameter.kind is not parameter.KEYWORD_ONLY or annotation not in _TYPES or none not in ("", "None"):
            raise TypeError(f"{function.__name__}: {parameter} must be keyword-only and annotated with a plain type")
        if parameter.default is parameter.empty:
            raise TypeError(f"{function.__name__}: {parameter} must have a default")
        parameters[parameter.name] = Parameter(parameter.name, _TYPES[annotation], parameter.default, bool(none))
    for name, default in options.items():
        if type(default) not in _REQUIREMENTS:
            raise TypeError(f"{function.__name__}: option {name}={default!r} must be an int, float, bool or str")
        parameters[name] = Parameter(name, type(default), default, optional=False)
    unknown = defaults.keys() - parameters.keys()
    if unknown:
        raise TypeError(f"{function.__name__} has no parameter {', '.join(sorted(unknown))}, which `defaults` names")
    return {
        name: dataclasses.replace(parameter, default=parameter.check(defaults.get(name, parameter.default)))
        for name, parameter in parameters.items()
    }
