"""Recipes: each experiment has a name and a function that builds its model. One module contains one family.

`load` gives models that are trained already.
"""

from keras_gen.zoo.pretrained import ModelInfo, load, pretrained
from keras_gen.zoo.registry import Parameter, Recipe, build, get, load_recipes, loaded_files, recipe, recipes

__all__ = [
    "ModelInfo",
    "Parameter",
    "Recipe",
    "build",
    "get",
    "load",
    "load_recipes",
    "loaded_files",
    "pretrained",
    "recipe",
    "recipes",
]
