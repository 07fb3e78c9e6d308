"""Recipes: each experiment has a name and a function that builds its model. One module contains one family."""

from keras_gen.zoo.registry import Parameter, Recipe, build, get, load_recipes, loaded_files, recipe, recipes

__all__ = ["Parameter", "Recipe", "build", "get", "load_recipes", "loaded_files", "recipe", "recipes"]
