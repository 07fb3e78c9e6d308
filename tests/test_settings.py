"""Run settings: checks of every field, and their storage in recipe.json."""

import dataclasses
import json
import math
import os

import numpy as np
import pytest

from keras_gen import UsageError, zoo
from keras_gen.runs.settings import RunSettings

EVERYTHING = {
    "model": "wgan",
    "overrides": {"latent_dim": 5, "learning_rate": 1},
    "dataset": "digits",
    "data_dir": "somewhere",
    "image_size": 32,
    "channels": 3,
    "binarize": "threshold",
    "validation": 100,
    "bits": 12,
    "skip_damaged": True,
    "epochs": 3,
    "batch_size": 8,
    "seed": 2**31 - 1,
    "patience": 5,
    "max_minutes": 90,
    "learning_rate_decay": "linear",
    "strategy": "none",
    "sampler": "gmm",
    "samples_every": 0,
    "sample_count": 4,
    "fid_every": 2,
    "fid_images": 50,
    "extractor": "inception-v3",
    "extractor_weights": "weights.h5",
    "precision": "bfloat16",
    "steps_per_execution": 8,
    "jit_compile": True,
    "checkpoint_every": 7,
    "keep_best": "fid",
    "deterministic": True,
}


def test_the_example_has_every_field():
    assert list(EVERYTHING) == [field.name for field in dataclasses.fields(RunSettings)]


@pytest.mark.parametrize("recipe", zoo.recipes(), ids=lambda recipe: recipe.name)
def test_defaults_are_those_of_the_recipe(recipe):
    settings = RunSettings(recipe.name)
    assert (settings.epochs, settings.batch_size) == (recipe.epochs, None)  # digits may stand in for the data
    assert RunSettings(recipe.name, dataset=recipe.dataset).batch_size == recipe.batch_size
    assert RunSettings(recipe.name, dataset="digits").batch_size == min(recipe.batch_size, 64)
    assert RunSettings(recipe.name, dataset="digits", batch_size=500).batch_size == 500
    assert settings.fid_every == min(recipe.fid_every, recipe.epochs)
    assert settings.overrides == {}
    assert settings.dataset is None
    assert settings.recipe is recipe
    assert settings.arguments() == {name: parameter.default for name, parameter in recipe.parameters.items()}


@pytest.mark.parametrize(
    ("given", "size"),
    [
        ({}, 28),
        ({"dataset": "celeb_a"}, 28),
        ({"image_size": 64}, 64),
        ({"dataset": "cifar10"}, None),
        ({"dataset": "/faces"}, None),
    ],
    ids=str,
)
def test_the_image_size_of_the_recipe_holds_for_its_own_data_set(given, size):
    assert RunSettings("dcgan-celeba", **given).image_size == size
    assert RunSettings("dcgan").image_size is None


def test_an_alias_is_resolved_and_overrides_are_converted():
    settings = RunSettings(**EVERYTHING)
    assert settings.model == "wgan-conv"
    assert settings.overrides == {"latent_dim": 5, "learning_rate": 1.0}
    assert isinstance(settings.overrides["learning_rate"], float)
    assert settings.arguments() == RunSettings("wgan").arguments() | {"latent_dim": 5, "learning_rate": 1.0}


def test_fid_every_0_differs_from_the_default():
    assert RunSettings("vae", fid_every=0).fid_every == 0
    assert RunSettings("vae").fid_every == 10


def test_a_short_run_is_scored_after_its_last_epoch():
    assert [RunSettings("vae", epochs=epochs).fid_every for epochs in (1, 9, 10, 11)] == [1, 9, 10, 10]
    assert RunSettings("ae-conv", epochs=3).fid_every == 0
    assert RunSettings("vae", epochs=3, fid_every=7).fid_every == 7


@pytest.mark.parametrize("name", ["auto", "lenet", "cifar"])
def test_weights_are_refused_for_an_extractor_without_a_weights_file(name):
    with pytest.raises(UsageError, match=f"weights must be left out with extractor {name}, received: '.*weights.h5'"):
        RunSettings("vae", extractor=name, extractor_weights="weights.h5")


def test_the_path_of_the_weights_becomes_absolute():
    settings = RunSettings("vae", extractor="inception-v3", extractor_weights="weights.h5")
    assert settings.extractor_weights == os.path.abspath("weights.h5")


def test_settings_are_immutable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RunSettings("vae-mlp").epochs = 3


def test_overrides_are_copied():
    overrides = {"latent_dim": 5}
    settings = RunSettings("vae-mlp", overrides=overrides)
    overrides["latent_dim"] = 6
    assert settings.overrides == {"latent_dim": 5}


@pytest.mark.parametrize("given", [EVERYTHING, {"model": "vae-mlp"}], ids=["everything", "only the model"])
def test_json_restores_the_same_settings(given):
    settings = RunSettings(**given)
    text = json.dumps(settings.to_json(), allow_nan=False)
    again = RunSettings.from_json(json.loads(text), "recipe.json")
    assert again == settings
    assert again.to_json() == settings.to_json() == json.loads(text)


def test_stored_settings_do_not_follow_changed_defaults(monkeypatch):
    content = RunSettings("vae-mlp", dataset="mnist").to_json()
    recipe = zoo.get("vae-mlp")
    monkeypatch.setitem(
        zoo.registry._RECIPES, "vae-mlp", dataclasses.replace(recipe, epochs=9, batch_size=9, fid_every=9)
    )
    again = RunSettings.from_json(content, "recipe.json")
    assert (again.epochs, again.batch_size, again.fid_every) == (recipe.epochs, recipe.batch_size, recipe.fid_every)


INTEGER_LIKE = (True, 1.0, "1", [1], {}, math.nan, math.inf)
WRONG = {
    "model": ("vea", "", "vae mlp", None, 1, ["vae"]),
    "epochs": (0, -1, *INTEGER_LIKE),
    "batch_size": (0, -1, *INTEGER_LIKE),
    "seed": (-1, 2**31, None, *INTEGER_LIKE),
    "strategy": ("foo", "", None, 1, ["auto"], "Mirrored"),
    "samples_every": (-1, None, *INTEGER_LIKE),
    "sample_count": (0, -1, None, *INTEGER_LIKE),
    "fid_every": (-1, *INTEGER_LIKE),
    "fid_images": (0, 1, -1, None, *INTEGER_LIKE),
    "precision": ("float16", "", None, 1),
    "steps_per_execution": (0, -1, *INTEGER_LIKE),
    "jit_compile": (None, 0, 1, "yes"),
    "patience": (0, -1, *INTEGER_LIKE),
    "max_minutes": (0, -1, *INTEGER_LIKE),
    "keep_best": ("", 1, True),
    "checkpoint_every": (0, -1, None, "0", "steps", "5 hours", "1.5minutes", "-1steps", True, 1.0, [1], {}, math.nan),
    "deterministic": (None, 0, 1, "yes"),
    "overrides": ([], None, "latent_dim=3", [("latent_dim", 3)]),
    "dataset": ("", 1, [], True),
    "data_dir": (1, [], True),
    "image_size": (0, -1, *INTEGER_LIKE),
    "channels": (0, 2, *INTEGER_LIKE[1:]),
    "binarize": ("", "thresold", 1, [], True),
    "validation": (-1, *INTEGER_LIKE),
    "sampler": ("", "GMM", None, 1),
    "learning_rate_decay": ("", "cosine", 1, True),
    "extractor": ("", "letnet", "Lenet", None, 1, [], True),
    "extractor_weights": ("", 1, [], True),
}


def cases(table):
    return [pytest.param(name, value, id=f"{name}={value!r}") for name, values in table.items() for value in values]


@pytest.mark.parametrize(("name", "value"), cases(WRONG))
def test_a_wrong_value_is_refused_by_name(name, value):
    with pytest.raises(UsageError) as error:
        RunSettings(**({"model": "vae-mlp"} | {name: value}))
    assert f"{name} must be" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_override_is_refused_by_name():
    with pytest.raises(UsageError, match="vae-mlp has no parameter 'latentdim', did you mean 'latent_dim'"):
        RunSettings("vae-mlp", overrides={"latentdim": 3})
    with pytest.raises(UsageError, match="latent_dim must be an integer, received: '3'"):
        RunSettings("vae-mlp", overrides={"latent_dim": "3"})


DAMAGED = {
    "nothing": None,
    "a list": [],
    "a string": "vae-mlp",
    "a number": 3,
    "no model": {"epochs": 3},
    "empty": {},
    "an unknown field": {"model": "vae-mlp", "colour": "red"},
    "an unknown model": {"model": "vae-xyz"},
    "a model that is a list": {"model": ["vae-mlp"]},
    "a model that is null": {"model": None},
    "a model that is an object": {"model": {"name": "vae-mlp"}},
    "overrides that are a list": {"model": "vae-mlp", "overrides": ["latent_dim"]},
    "overrides that are null": {"model": "vae-mlp", "overrides": None},
    "overrides that are a string": {"model": "vae-mlp", "overrides": "latent_dim=3"},
    "an unknown override": {"model": "vae-mlp", "overrides": {"latent_dims": 3}},
    "an override of another type": {"model": "vae-mlp", "overrides": {"latent_dim": [3]}},
    "an override that is null": {"model": "vae-mlp", "overrides": {"latent_dim": None}},
    "epochs that are a string": {"model": "vae-mlp", "epochs": "3"},
    "epochs that are a fraction": {"model": "vae-mlp", "epochs": 3.5},
    "epochs that are not a number": {"model": "vae-mlp", "epochs": math.nan},
    "a negative seed": {"model": "vae-mlp", "seed": -1},
    "a seed that is null": {"model": "vae-mlp", "seed": None},
    "a strategy that is a list": {"model": "vae-mlp", "strategy": ["auto"]},
    "a strategy that is an object": {"model": "vae-mlp", "strategy": {}},
    "a number too large": {"model": "vae-mlp", "overrides": {"beta": 10**400}},
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_settings_raise_usage_error_with_the_file(content):
    with pytest.raises(UsageError) as error:
        RunSettings.from_json(content, "runs/00001-vae-mlp/recipe.json")
    assert "runs/00001-vae-mlp/recipe.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_integers_of_numpy_are_stored_as_integers():
    numbers = {"batch_size": 32, "seed": 1, "patience": 2, "fid_images": 5, "sample_count": 9, "samples_every": 1}
    numbers |= {"image_size": 8, "channels": 1, "bits": 8, "validation": 3, "max_minutes": 4, "epochs": 2}
    numbers |= {"checkpoint_every": 3}
    given = {name: np.int64(value) for name, value in numbers.items()}
    settings = RunSettings("vae-mlp", keep_best="val_loss", dataset="digits", **given)
    assert json.loads(json.dumps(settings.to_json())).items() >= numbers.items()
