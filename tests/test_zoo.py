"""The registry of recipes: names, aliases, parameters and docstrings."""

from __future__ import annotations

import inspect
import math
import re
import types
from pathlib import Path

import numpy as np
import pytest

from keras_gen import GAN, UsageError, networks, zoo
from keras_gen.data import catalog
from keras_gen.zoo import registry

RECIPES = zoo.recipes()
IDS = [recipe.name for recipe in RECIPES]


class Built(tuple):
    """An image shape and the arguments of a recipe, in the place of a model."""

    compiled, jit_compile, steps_per_execution = True, False, 1

    def limit_steps_per_execution(self, divisor_of, at_most):
        self.steps_per_execution = at_most


def made_up(
    image_shape,
    *,
    count: int = 3,
    rate: float = 0.5,
    deep: bool = False,
    kind: str = "plain",
    width: int | None = None,
    decay: float | None = None,
    residual: bool | None = None,
    loss: str | None = None,
):
    """A recipe of every type of parameter.

    From the report: nothing.

    Ours: everything.
    """
    return Built((image_shape, {name: value for name, value in locals().items() if name != "image_shape"}))


@pytest.fixture
def register(monkeypatch):
    """The decorator, with a copy of the registry."""
    monkeypatch.setattr(registry, "_RECIPES", dict(zoo.registry._RECIPES))
    details = {"source": "none", "dataset": "digits", "epochs": 1, "batch_size": 2, "weights": 3}
    return lambda name, function, **more: registry.recipe(name, **(details | more))(function)


@pytest.fixture
def every_type(register):
    register("made-up", made_up, aliases=("invented",))
    return zoo.get("made-up")


PARSED = [
    ("count=7", 7),
    ("count=-7", -7),
    ("rate=0.25", 0.25),
    ("rate=1e-3", 1e-3),
    ("rate=2", 2.0),
    ("deep=true", True),
    ("deep=True", True),
    ("deep=FALSE", False),
    ("kind=fancy", "fancy"),
    ("kind=a=b", "a=b"),
    ("kind=None", "None"),
    ("width=5", 5),
    ("width=None", None),
    ("decay=None", None),
    ("decay=0.5", 0.5),
    ("residual=None", None),
    ("residual=true", True),
    ("loss=None", None),
    ("loss=hinge", "hinge"),
]


@pytest.mark.parametrize(("text", "value"), PARSED, ids=[text for text, _ in PARSED])
def test_an_assignment_is_parsed_in_the_type_of_its_parameter(every_type, text, value):
    parsed = every_type.parse_overrides([text])[text.partition("=")[0]]
    assert parsed == value
    assert type(parsed) is type(value)


REFUSED = {
    "count=": "count must be an integer, received: ''",
    "count=3.0": "count must be an integer, received: '3.0'",
    "count=true": "count must be an integer, received: 'true'",
    "count=None": "count must be an integer, received: 'None'",
    "count=1e3": "count must be an integer, received: '1e3'",
    "rate=": "rate must be a number, received: ''",
    "rate=inf": "rate must be a number, received: inf",
    "rate=-inf": "rate must be a number, received: -inf",
    "rate=nan": "rate must be a number, received: nan",
    "rate=1e400": "rate must be a number, received: inf",
    "rate=half": "rate must be a number, received: 'half'",
    "deep=1": "deep must be True or False, received: '1'",
    "deep=": "deep must be True or False, received: ''",
    "deep=yes": "deep must be True or False, received: 'yes'",
    "width=wide": "width must be an integer or None, received: 'wide'",
    "decay=nan": "decay must be a number or None, received: nan",
    "residual=maybe": "residual must be True or False or None, received: 'maybe'",
    "count": "--set must be name=value, received: 'count'",
    "": "--set must be name=value, received: ''",
    "=3": "made-up has no parameter ''",
    "coutn=3": "made-up has no parameter 'coutn', did you mean 'count'? (it has: count, rate, deep, kind, width, decay",
    "xyzzy=3": "made-up has no parameter 'xyzzy' (it has: count",
    "image_shape=3": "made-up has no parameter 'image_shape'",
    "Count=3": "made-up has no parameter 'Count', did you mean 'count'?",
    f"count={'9' * 5000}": "count must be an integer, received: '9999",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=[text[:20] for text in REFUSED])
def test_an_invalid_assignment_is_refused(every_type, text, message):
    with pytest.raises(UsageError) as error:
        every_type.check_overrides(every_type.parse_overrides(["rate=0.25", text]))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_the_last_of_two_assignments_is_used(every_type):
    assert every_type.parse_overrides(["count=1", "rate=1", "count=2"]) == {"count": 2, "rate": 1.0}


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("rate", 1, 1.0),
        ("decay", 0, 0.0),
        ("width", None, None),
        ("count", 0, 0),
        ("count", np.int64(3), 3),
        ("rate", np.float32(0.5), 0.5),
    ],
)
def test_a_value_is_checked_and_kept_in_its_type(every_type, name, value, kept):
    checked = every_type.check_overrides({name: value})[name]
    assert checked == kept
    assert type(checked) is type(kept)


def test_a_recipe_of_the_package_has_no_file_of_a_user_also_behind_a_link(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(Path(zoo.__file__).parent)
    monkeypatch.setattr(zoo.registry, "__file__", str(tmp_path / "link" / "registry.py"))
    assert zoo.get("vae-mlp").file is None


WRONG_TYPES = [
    ("count", True),
    ("count", 3.0),
    ("count", "3"),
    ("count", None),
    ("count", [3]),
    ("rate", True),
    ("rate", "0.5"),
    ("rate", math.inf),
    ("rate", math.nan),
    ("rate", None),
    ("rate", 1j),
    ("deep", 1),
    ("deep", 0.0),
    ("deep", "true"),
    ("kind", 1),
    ("kind", None),
    ("width", 1.5),
    ("width", False),
    ("decay", "None"),
    ("rate", 10**400),
]


@pytest.mark.parametrize(("name", "value"), WRONG_TYPES, ids=lambda value: str(value)[:12])
def test_a_value_of_another_type_is_refused(every_type, name, value):
    with pytest.raises(UsageError, match=f"^{name} must be "):
        every_type.check_overrides({name: value})


def test_building_passes_the_shape_and_the_checked_values(every_type):
    shape, arguments = zoo.build("made-up", [8, 8, 1], rate=1)
    assert shape == (8, 8, 1)
    assert isinstance(shape, tuple)
    assert arguments["rate"] == 1.0
    assert isinstance(arguments["rate"], float)
    assert arguments["count"] == 3
    with pytest.raises(UsageError, match="made-up has no parameter 'coutn'"):
        zoo.build("made-up", (8, 8, 1), coutn=3)


def test_a_recipe_has_the_values_of_its_decorator(every_type):
    assert (every_type.name, every_type.aliases, every_type.source) == ("made-up", ("invented",), "none")
    assert (every_type.dataset, every_type.epochs, every_type.batch_size) == ("digits", 1, 2)
    assert (every_type.weights, every_type.fid_every) == (3, 10)
    assert every_type.summary == "A recipe of every type of parameter."
    assert zoo.get("invented") is every_type
    assert zoo.recipes()[-1] is every_type
    assert len(zoo.recipes()) == len(RECIPES) + 1
    parameter = every_type.parameters["decay"]
    assert (parameter.type, parameter.default, parameter.optional) == (float, None, True)
    assert list(every_type.parameters) == list(inspect.signature(made_up).parameters)[1:]


def test_one_function_is_several_recipes_with_other_defaults(register):
    register("first", made_up)
    register("second", made_up, dataset="mnist", defaults={"count": 9, "decay": 0.5})
    first, second = zoo.get("first"), zoo.get("second")
    assert (first.parameters["count"].default, second.parameters["count"].default) == (3, 9)
    assert zoo.build("first", (8, 8, 1))[1]["count"] == 3
    assert zoo.build("second", (8, 8, 1))[1] == zoo.build("first", (8, 8, 1), count=9, decay=0.5)[1]
    assert zoo.build("second", (8, 8, 1), count=4)[1]["count"] == 4
    with pytest.raises(TypeError, match="has no parameter lost, which `defaults` names"):
        register("third", made_up, defaults={"lost": 1})


def test_recipes_share_options_that_are_declared_once(register):
    def sharing(image_shape, *, units: int = 3, num_classes, **options):
        """A recipe that passes on what it does not name."""
        return Built((num_classes, options))

    shared = {"num_classes": 0, "decay": 0.5, "learned": False}
    register("shared", sharing, options=shared, defaults={"decay": 0.9}, steps_per_execution=8)
    parameters = zoo.get("shared").parameters
    assert {name: (each.type, each.default, each.optional) for name, each in parameters.items()} == {
        "units": (int, 3, False),
        "num_classes": (int, 0, False),
        "decay": (float, 0.9, False),
        "learned": (bool, False, False),
    }
    model = zoo.build("shared", (8, 8, 1), num_classes=4, learned=True)
    assert model == (4, {"decay": 0.9, "learned": True})
    assert (model.steps_per_execution, model.jit_compile) == (8, False)


def test_a_recipe_has_its_own_image_size(register):
    register("small", made_up, dataset="celeb_a", image_size=28)
    register("usual", made_up, dataset="celeb_a")
    assert zoo.get("small").image_shape == (28, 28, 3)
    assert zoo.get("usual").image_shape == (64, 64, 3)
    assert zoo.build("small")[0] == (28, 28, 3)


@pytest.mark.parametrize(("name", "aliases"), [("vae-mlp", ()), ("vae", ()), ("new", ("vae-mlp",)), ("new", ("gan",))])
def test_a_registered_name_is_refused(register, name, aliases):
    with pytest.raises(ValueError, match="is registered twice"):
        register(name, made_up, aliases=aliases)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "my vae/x"}, "name must be letters, digits, '-', '_' and '.', received: 'my vae/x'"),
        ({"name": 5}, "name must be letters"),
        ({"epochs": 2.5}, "epochs must be an integer of at least 1, received: 2.5"),
        ({"batch_size": "64"}, "batch_size must be an integer of at least 1"),
        ({"fid_every": "5"}, "fid_every must be "),
        ({"aliases": "ab"}, "aliases must be a tuple of names, received: 'ab'"),
    ],
    ids=str,
)
def test_arguments_of_the_decorator_are_checked(register, changes, message):
    arguments = {"name": "new", **changes}
    with pytest.raises(UsageError, match=f"^{re.escape(message)}"):
        register(arguments.pop("name"), made_up, **arguments)


def test_a_recipe_must_compile_its_model(register):
    def forgetful(image_shape):
        """A recipe without compile."""
        return GAN(networks.mlp_decoder(image_shape, latent_dim=2), networks.mlp_discriminator(image_shape))

    register("forgetful", forgetful)
    with pytest.raises(UsageError, match="^recipe forgetful must return a compiled model .* received: one that is not"):
        zoo.build("forgetful", (8, 8, 1))


def test_the_cell_of_a_notebook_can_be_run_again(register, monkeypatch):
    monkeypatch.setattr(made_up, "__module__", "__main__")
    again = types.FunctionType(made_up.__code__.replace(co_filename="another cell"), made_up.__globals__, "made_up")
    again.__kwdefaults__, again.__doc__, again.__module__ = made_up.__kwdefaults__, "Another.", "__main__"
    again.__annotations__ = made_up.__annotations__
    register("new", made_up)
    register("new", again)
    assert zoo.get("new").function is again


def positional(image_shape, units: int = 3):
    """Its parameter is not keyword-only."""


def of_another_type(image_shape, *, units: list[int] = ()):
    """Its parameter has a type that text can't give."""


def of_two_types(image_shape, *, units: int | str = 3):
    """Its parameter has two types."""


def of_any_number(image_shape, **units: int):
    """Its parameters have no names."""


def without_annotation(image_shape, *, units=3):
    """Its parameter has no type."""


@pytest.mark.parametrize("function", [positional, of_another_type, of_two_types, of_any_number, without_annotation])
def test_a_parameter_without_a_plain_type_is_refused(register, function):
    with pytest.raises(TypeError, match=f"{function.__name__}: .*units.* must be keyword-only and annotated"):
        register("new", function)
    assert "new" not in [recipe.name for recipe in zoo.recipes()]


def test_annotations_may_be_types_instead_of_their_names(register):
    def plain(image_shape, *, units=3, rate=None):
        """A recipe of a module without the future import."""

    plain.__annotations__ = {"units": int, "rate": float | None}
    register("new", plain)
    parameters = zoo.get("new").parameters
    assert (parameters["units"].type, parameters["units"].optional) == (int, False)
    assert (parameters["rate"].type, parameters["rate"].optional) == (float, True)


def test_an_alias_returns_the_recipe():
    for recipe in RECIPES:
        for name in (recipe.name, *recipe.aliases):
            assert zoo.get(name) is recipe
    assert {recipe.name: recipe.aliases for recipe in RECIPES}["vae-lstm"] == ("vae",)
    assert zoo.get("gan").name == "gan-conv"
    assert zoo.get("wgan").name == "wgan-conv"


def test_every_recipe_is_listed_once():
    assert len(set(IDS)) == len(IDS)
    assert {"vae-lstm", "vae-mlp", "gan-conv", "wgan-conv"} <= set(IDS)


@pytest.mark.parametrize(
    ("name", "suggestion"), [("vae-lsmt", "vae-lstm"), ("VAE-LSTM", None), ("wgan_conv", "wgan-conv"), ("", None)]
)
def test_an_unknown_name_is_refused_with_the_list_and_the_closest(name, suggestion):
    with pytest.raises(UsageError) as error:
        zoo.get(name)
    message = str(error.value)
    assert message.startswith("model must be one of ")
    assert f"received: {name!r}" in message
    assert all(recipe.name in message for recipe in RECIPES)
    assert ("did you mean" in message) == (suggestion is not None)
    assert suggestion is None or message.endswith(f"did you mean {suggestion!r}?")


@pytest.mark.parametrize("recipe", RECIPES, ids=IDS)
def test_the_docstring_of_a_recipe_has_a_summary_and_its_sources(recipe):
    lines = inspect.getdoc(recipe.function).splitlines()
    assert recipe.summary == lines[0]
    assert len(recipe.summary) <= 120
    assert recipe.summary.endswith(".")
    assert lines[1] == ""
    assert sum(line.startswith(("From the report", "From the paper")) for line in lines) == 1
    assert sum(line.startswith("Ours") for line in lines) == 1
    assert recipe.source


@pytest.mark.parametrize("recipe", RECIPES, ids=IDS)
def test_the_defaults_of_a_recipe_can_be_parsed_from_text(recipe):
    assert catalog.find(recipe.dataset) is not None
    for value in (recipe.epochs, recipe.batch_size, recipe.weights):
        assert isinstance(value, int)
        assert value > 0
    assert isinstance(recipe.fid_every, int)
    assert recipe.fid_every >= 0
    assert recipe.parameters
    for parameter in recipe.parameters.values():
        assert parameter.check(parameter.default) == parameter.default
        assert type(parameter.check(parameter.default)) is type(parameter.default)
        assert parameter.parse(str(parameter.default)) == parameter.default


def test_generative_recipes_are_scored_every_ten_epochs():
    scored = {recipe.name: recipe.fid_every for recipe in RECIPES}
    assert scored == {name: 0 if name in ("ae-conv", "dae-conv") else 10 for name in scored}


def test_parameters_of_the_same_name_have_the_same_type_in_all_recipes():
    types = {}
    for recipe in RECIPES:
        for parameter in recipe.parameters.values():
            assert types.setdefault(parameter.name, parameter.type) is parameter.type, parameter.name
